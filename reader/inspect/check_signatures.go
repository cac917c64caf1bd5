package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/pki/cert"
	"chipid/pki/trust"
)

func (c *checker) passiveAuthentication() Outcome {
	result, err := c.verifySOD()
	switch {
	case errors.Is(err, passiveauth.ErrNoSOD) && c.denied(lds.EFSOD):
		return failed("no_sod", "the chip has no EF.SOD: nobody has signed its data",
			"chip không có EF.SOD: dữ liệu không được ai ký")
	case errors.Is(err, passiveauth.ErrNoSOD):
		if why, faulty := c.evidence.Faulty[lds.EFSOD.String()]; faulty {
			return failed("sod_unreadable", "EF.SOD, which carries the signature, could not be read",
				"không đọc được EF.SOD chứa chữ ký").because(why)
		}
		return missing("no_sod", "EF.SOD, which carries the signature, is not there", "thiếu EF.SOD chứa chữ ký")
	case errors.Is(err, cert.ErrUnsupported):
		return uncheckedSignature(err)
	case err != nil:
		return failed("sod_malformed", "EF.SOD, which carries the signature, is damaged",
			"EF.SOD chứa chữ ký bị hỏng").because(err.Error())
	}
	c.passive = result
	if errors.Is(result.Signature, passiveauth.ErrSigner) {
		return failed("bad_signature", "the signature over the data does not hold",
			"chữ ký trên dữ liệu không hợp lệ").because(result.Signature.Error())
	}
	var changed, unsigned, unread []string
	for _, g := range result.DataGroups {
		name := fmt.Sprintf("DG%d", g.Number)
		switch g.Status {
		case passiveauth.Mismatch:
			changed = append(changed, name)
		case passiveauth.NotSigned:
			unsigned = append(unsigned, name)
		case passiveauth.NotRead:
			unread = append(unread, name)
		}
	}
	switch {
	case changed != nil:
		list := strings.Join(changed, ", ")
		return failed("data_group_changed", list+" is not what was signed: the data were changed",
			list+" không khớp với dữ liệu đã ký: dữ liệu đã bị sửa")
	case unsigned != nil:
		list := strings.Join(unsigned, ", ")
		return failed("data_group_unsigned", list+" is on the chip and nobody has signed it",
			list+" có trên chip nhưng không được ký")
	}
	if result.Signature != nil {
		return uncheckedSignature(result.Signature)
	}
	if gap := c.unreadGroup(unread); gap != nil {
		return *gap
	}
	en, vi := "every data group that was read is what was signed", "mọi nhóm dữ liệu đã đọc đều khớp chữ ký"
	plan := c.evidence.ReadingPlan()
	left := slices.DeleteFunc(slices.Clone(unread), func(name string) bool { f, _ := lds.FileByName(name); return plan.Wants(f) })
	unread = slices.DeleteFunc(unread, func(name string) bool { return slices.Contains(left, name) })
	if len(left) > 0 {
		list := strings.Join(left, ", ")
		en, vi = en+" (left out by the reading plan "+plan.String()+": "+list+")", vi+" (không đọc theo kế hoạch "+plan.String()+": "+list+")"
	}
	if len(unread) > 0 {
		list := strings.Join(unread, ", ")
		en, vi = en+" (not read: "+list+")", vi+" (chưa đọc: "+list+")"
	}
	var absent []string
	for f := lds.DG1; f <= lds.DG16; f++ {
		if plan.Names(f) && !c.listed(f) {
			absent = append(absent, f.String())
		}
	}
	if len(absent) > 0 {
		list := strings.Join(absent, ", ")
		en, vi = en+" (asked for, and not on this document: "+list+")", vi+" (được yêu cầu nhưng giấy tờ không có: "+list+")"
	}
	return passed("", en, vi)
}

// verifySOD is passiveauth.Verify, of which the signature is not verified again
// where that was done.
func (c *checker) verifySOD() (*passiveauth.Result, error) {
	raw, ok := c.doc.Get(lds.EFSOD)
	if !ok {
		return nil, passiveauth.ErrNoSOD
	}
	type verified struct {
		result *passiveauth.Result
		err    error
	}
	v := remember(c.known, "EF.SOD", func() verified {
		result, err := passiveauth.VerifySOD(raw)
		return verified{result, err}
	}, raw)
	if v.err != nil {
		return nil, v.err
	}
	return v.result.Compare(c.doc)
}

// unreadGroup is what speaks against a document of which these signed data
// groups were not read: DG1 and DG2, by which the holder is recognised, must be
// there, and so must those that were asked for by name. nil: nothing does.
func (c *checker) unreadGroup(unread []string) *Outcome {
	var check Outcome
	for f := lds.DG1; f <= lds.DG16; f++ {
		if !slices.Contains(unread, f.String()) || f > lds.DG2 && !c.policy.Plan.Names(f) {
			continue
		}
		if why, faulty := c.evidence.Faulty[f.String()]; faulty {
			check = failed("data_group_unreadable", fmt.Sprintf("%s is signed and cannot be read", f),
				fmt.Sprintf("%s đã được ký nhưng không đọc được", f)).because(why)
			return &check
		}
		if c.denied(f) {
			check = failed("data_group_removed", fmt.Sprintf("%s is signed and the chip does not have it: it was taken out", f),
				fmt.Sprintf("%s đã được ký nhưng không có trên chip: đã bị gỡ bỏ", f))
			return &check
		}
	}
	if _, ok := c.doc.Get(lds.DG1); !ok {
		check = missing("no_dg1", "DG1, which says whose document this is, was not read", "chưa đọc DG1 (thông tin chủ thẻ)")
		return &check
	}
	if !c.listed(lds.DG2) && c.policy.Plan.Wants(lds.DG2) { // which every document must have (Doc 9303-10 §4.7.2)
		check = missing("no_dg2", "the document has no signed portrait (DG2): it is not known whose face belongs to it",
			"giấy tờ không có ảnh đã ký (DG2) nên không biết ảnh của chủ thẻ")
		return &check
	}
	for _, name := range unread {
		f, _ := lds.FileByName(name)
		switch {
		case f == lds.DG2 && c.policy.Plan.Wants(f):
			check = missing("no_dg2", "DG2, the signed portrait, was not read: it is not known whose face belongs to this document",
				"chưa đọc DG2 (ảnh đã ký) nên không biết ảnh của chủ thẻ")
			if plan := c.evidence.ReadingPlan(); !plan.Wants(f) {
				check = check.because("it was left out by the reading plan " + plan.String())
			}
			return &check
		case c.policy.Plan.Names(f):
			check = missing("data_group_missing", name+" was asked for and was not read", "chưa đọc được "+name+" đã yêu cầu")
			return &check
		}
	}
	return nil
}

// uncheckedSignature is neither good nor bad: this program does not know the
// algorithm or the curve, or has not the signer's certificate.
func uncheckedSignature(why error) Outcome {
	return missing("signature_unchecked", "this program cannot check the kind of signature that the data carry, or lacks the signer's certificate",
		"chương trình chưa kiểm tra được loại chữ ký này, hoặc thiếu chứng thư bên ký").because(why.Error())
}

func (c *checker) trust() (authority, revocation Outcome) {
	revocation = notRun("no_path", "there is no trusted signer that could be revoked", "chưa xác định được bên ký để kiểm tra thu hồi")
	if c.passive == nil || c.passive.Signature != nil || len(c.passive.Signers) == 0 {
		return missing("no_signer", "without a signature that holds, there is no signer to trust",
			"không có chữ ký hợp lệ nên không xác định được bên ký"), revocation
	}
	noAnchor := Outcome{
		Status: NoTrustAnchor, Code: "no_trust_anchor", needed: true,
		ReasonVI: "kho tin cậy không có chứng thư CSCA của nơi cấp",
	}
	if c.store == nil {
		noAnchor.Reason = "there is no trust store to compare the signer with"
		return noAnchor, revocation
	}
	path := c.bestPath()
	c.path = &path
	anchor := ""
	if path.Anchor != nil {
		anchor = path.Anchor.Subject.String()
	}
	switch path.Status {
	case trust.NoAnchor:
		noAnchor.Reason = path.Reason
		return noAnchor, revocation
	case trust.BadSignature:
		return failed("forged_signer", path.Reason, "chứng thư bên ký mạo danh nơi cấp: chữ ký không khớp khóa của CSCA"), revocation
	case trust.NotSigner:
		return failed("not_a_signer", path.Reason, "chứng thư này không được phép ký giấy tờ"), revocation
	case trust.Expired:
		authority = failed("signer_expired", path.Reason, "chứng thư bên ký đã hết hạn")
	case trust.NotYetValid:
		// The signature is there, so its time has been: the clock is wrong, and
		// then nothing can be said.
		authority = missing("clock", path.Reason, "chứng thư bên ký chưa có hiệu lực: kiểm tra lại đồng hồ máy")
	case trust.Trusted, trust.Revoked, trust.RevocationUnknown:
		authority = passed("", "the signer was appointed by "+anchor, "bên ký được "+anchor+" chứng nhận")
	default:
		authority = failed("untrusted", path.Reason, "bên ký không được tin cậy")
	}
	authority.Anchor = anchor
	if authority.Status == Passed {
		for _, wrong := range []*Outcome{c.otherType(), c.wrongState()} {
			if wrong != nil {
				wrong.Anchor = anchor
				authority = *wrong
			}
		}
	}
	return authority, c.revocation(path)
}

// bestPath is that of the first signer who is trusted: each has signed all of it.
// Where none is, it is that of the first against whom something speaks, and only
// where nothing does, of the first: a key that nobody knows takes a moment to
// make, and must not cover up one that was revoked.
func (c *checker) bestPath() trust.Path {
	var other trust.Path
	for i, signer := range c.passive.Signers {
		path := c.trustPath(signer)
		if path.Status == trust.Trusted {
			return path
		}
		if i == 0 || !speaksAgainst(other) && speaksAgainst(path) {
			other = path
		}
	}
	return other
}

// speaksAgainst tells a path that fails from one that lacks something.
func speaksAgainst(path trust.Path) bool {
	switch path.Status {
	case trust.NoAnchor, trust.NotYetValid, trust.RevocationUnknown:
		return false
	}
	return true
}

func (c *checker) trustPath(signer *cert.Certificate) trust.Path {
	return remember(c.known, "path", func() trust.Path {
		return c.store.Check(signer, c.at, trust.Policy{RequireRevocation: c.policy.RequireRevocation, MaxCRLAge: c.policy.MaxCRLAge})
	}, signer.Raw)
}

// wrongState fails a document of one state that another state's authority
// signed: every CSCA in the store can sign, and none may sign for another
// (Doc 9303-12 §7.1).
func (c *checker) wrongState() *Outcome {
	if c.fields.mrz == nil || c.passive.Status(1) != passiveauth.Match {
		return nil // passive authentication says what is wrong
	}
	country := c.path.Anchor.Subject.Country()
	if sameState(c.fields.mrz.IssuingState, country) {
		return nil
	}
	check := failed("wrong_state",
		fmt.Sprintf("the document says it is of %s, and the authority that signed it is of %s", c.fields.mrz.IssuingState, country),
		fmt.Sprintf("giấy tờ ghi nước cấp %s nhưng bên ký thuộc %s", c.fields.mrz.IssuingState, country))
	return &check
}

func (c *checker) revocation(path trust.Path) Outcome {
	switch r := path.Revocation; r.Status {
	case trust.IsRevoked:
		return failed("revoked", r.Reason, "chứng thư bên ký đã bị thu hồi")
	case trust.NotRevoked:
		return passed("", r.Reason, "chứng thư bên ký không bị thu hồi")
	default:
		check := notRun("no_revocation_list", r.Reason, "không có danh sách thu hồi còn hiệu lực")
		if check.Reason == "" {
			check.Reason = "no revocation list was asked"
		}
		check.needed = c.policy.RequireRevocation
		return check
	}
}

// signed tells whether a file is a data group that passive authentication
// vouches for.
func (c *checker) signed(f lds.File) bool {
	n, ok := f.DataGroup()
	return ok && c.passive != nil && c.passive.Signature == nil && c.passive.Status(n) == passiveauth.Match
}

// listed tells whether EF.SOD lists a data group, whether or not it was read.
func (c *checker) listed(f lds.File) bool {
	n, ok := f.DataGroup()
	if !ok || c.passive == nil {
		return false
	}
	_, listed := c.passive.Object.Hashes[n]
	return listed
}
