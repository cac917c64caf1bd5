package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/pki/cert"
	"chipid/pki/trust"
	"chipid/reader"
)

// Policy says what an operator insists on beyond the rules of the package.
// The zero Policy is Check's.
type Policy struct {
	// RequireRevocation makes a document undetermined where no current
	// revocation list speaks for its signer.
	RequireRevocation bool
	// MaxCRLAge is the age beyond which a revocation list is not current,
	// whatever it says itself; 0 leaves it to the list.
	MaxCRLAge time.Duration
	// Challenge binds the read to whoever drew it, a server for one: a document
	// whose chip did not sign it is not genuine, whatever else proves the chip.
	// Evidence of another challenge is of another time or place and fails. Where
	// active authentication was not run, which alone signs a challenge, the read
	// is bound to nothing and the document undetermined. Empty: any challenge.
	Challenge []byte
	// Plan is what must have been read: under the zero Plan, all, a document is
	// not genuine without its portrait, whatever plan the evidence says that its
	// reader had. That is the reader's own word; who takes it at that word sets
	// this to Evidence.ReadingPlan.
	Plan reader.Plan
	// Number is the personal number that the document must be of, where it is known
	// beforehand: a CAN that is made of its last digits fits a million cards, and
	// whoever answers for a chip can take any CAN. Empty: any number.
	Number string
	// AnyDocumentType lets a signer sign documents of types that its certificate
	// does not list; else such a document is undetermined.
	AnyDocumentType bool
}

// Check decides on evidence with the trust store, for a time: now at the
// counter, the time of the read for evidence that was recorded. It never
// gives nil.
func Check(e *Evidence, store *trust.Store, at time.Time) *Report {
	return Policy{}.Check(e, store, at)
}

// Check is the function Check under this policy.
func (p Policy) Check(e *Evidence, store *trust.Store, at time.Time) *Report {
	return p.check(e, store, at, nil)
}

func (p Policy) check(e *Evidence, store *trust.Store, at time.Time, known *memo) *Report {
	doc := e.Document()
	r := &Report{
		Plan:      e.ReadingPlan().String(),
		Files:     map[string]FileInfo{},
		Traffic:   e.Traffic,
		CheckedAt: at,

		Interruptions: len(e.Resumed) + e.Restarts,
	}
	if !e.ReadAt.IsZero() {
		readAt := e.ReadAt.UTC()
		r.ReadAt = &readAt
	}
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		sum := sha256.Sum256(raw)
		r.Files[f.String()] = FileInfo{Bytes: len(raw), SHA256: hex.EncodeToString(sum[:])}
	}
	c := &checker{policy: p, evidence: e, doc: doc, store: store, at: at, known: known}
	r.Checks.PassiveAuthentication = c.passiveAuthentication()
	r.Document = readFields(doc, c.today())
	c.fields = r.Document
	r.Checks.Trust, r.Checks.Revocation = c.trust()
	c.readOffers()
	r.Checks.AccessControl = c.accessControl()
	r.Checks.ChipAuthentication = c.throughout(c.chipAuthentication(), restsOnChipKey)
	r.Checks.ActiveAuthentication = c.bound(c.throughout(c.activeAuthentication(), restsOnSignature))
	r.Checks.TerminalAuthentication = c.terminalAuthentication()
	r.Checks.Validity = c.validity()
	r.Verdict = verdict(&r.Checks, p)
	r.Checks.cut()
	return r
}

// verdict applies the rules. Of chip and active authentication one suffices:
// each proves the chip on its own. But only active authentication answers a
// challenge.
func verdict(c *Checks, p Policy) Verdict {
	if c.ChipAuthentication.Status == Passed && len(p.Challenge) == 0 {
		c.ActiveAuthentication.needed = false
	}
	if c.ActiveAuthentication.Status == Passed {
		c.ChipAuthentication.needed = false
	}
	v := Genuine
	for _, check := range c.All() {
		switch check.Status {
		case Passed, NotOffered:
		case NotRun, NoTrustAnchor:
			if check.needed && v == Genuine {
				v = Undetermined
			}
		default:
			v = Rejected
		}
	}
	// Nothing above lets these two through by being neither failed nor needed.
	if v == Genuine && (c.PassiveAuthentication.Status != Passed || c.Trust.Status != Passed) {
		v = Undetermined
	}
	return v
}

type checker struct {
	policy   Policy
	evidence *Evidence
	doc      *lds.Document
	fields   *Fields
	store    *trust.Store
	at       time.Time
	known    *memo

	passive *passiveauth.Result // nil where EF.SOD cannot be read
	path    *trust.Path         // nil where the signer is not known

	// What the chip offers, by its signed DG14 and its unsigned EF.CardAccess.
	options       *lds.SecurityInfos
	optionsErr    error
	cardAccess    *lds.SecurityInfos
	cardAccessErr error
}

func passed(code, en, vi string) Outcome {
	return Outcome{Status: Passed, Code: code, Reason: en, ReasonVI: vi}
}

func failed(code, en, vi string) Outcome {
	return Outcome{Status: Failed, Code: code, Reason: en, ReasonVI: vi}
}

func notOffered(code, en, vi string) Outcome {
	return Outcome{Status: NotOffered, Code: code, Reason: en, ReasonVI: vi}
}

// missing is a check that was not run and without which there is no Genuine.
func missing(code, en, vi string) Outcome {
	return Outcome{Status: NotRun, Code: code, Reason: en, ReasonVI: vi, needed: true}
}

func notRun(code, en, vi string) Outcome {
	return Outcome{Status: NotRun, Code: code, Reason: en, ReasonVI: vi}
}

// because adds what the reason, which a clerk reads, leaves out.
func (o Outcome) because(detail string) Outcome {
	o.Detail = detail
	return o
}

// denied tells whether the chip said that it does not have a file.
func (c *checker) denied(f lds.File) bool {
	return c.evidence.Refused[f.String()] == iso7816.SWFileNotFound
}

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

// bestPath is that of the first signer who is trusted, and where none is, of
// the first: each has signed all of it.
func (c *checker) bestPath() trust.Path {
	var first trust.Path
	for i, signer := range c.passive.Signers {
		path := c.trustPath(signer)
		if path.Status == trust.Trusted {
			return path
		}
		if i == 0 {
			first = path
		}
	}
	return first
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

func (c *checker) readOffers() {
	if raw, ok := c.doc.Get(lds.DG14); ok {
		if infos, err := lds.DecodeDG14(raw); err != nil {
			c.optionsErr = err
		} else {
			c.options = &infos
		}
	}
	if raw, ok := c.doc.Get(lds.EFCardAccess); ok {
		if infos, err := lds.DecodeCardAccess(raw); err != nil {
			c.cardAccessErr = err
		} else {
			c.cardAccess = &infos
		}
	}
}

func (c *checker) accessControl() Outcome {
	if changed := c.changedCardAccess(); changed != nil {
		return *changed
	}
	access := c.evidence.Access
	if access.OtherZone && access.Password != zonePassword {
		// Nobody can tell a slip of the hand from a chip behind another's print.
		check := missing("other_zone", "the machine readable zone that was given is not the one in the chip's data: compare card, chip and what was typed",
			"vùng MRZ đã nhập khác với dữ liệu trong chip: hãy đối chiếu thẻ, chip và số đã nhập")
		check.Protocol = access.Protocol
		return check
	}
	if want := c.policy.Number; want != "" && (c.fields.Holder == nil || c.fields.Holder.Number != want) {
		check := missing("other_number", "the personal number that was given is not the one in the chip's data: compare card, chip and what was typed",
			"số định danh đã nhập khác với dữ liệu trong chip: hãy đối chiếu thẻ, chip và số đã nhập")
		check.Protocol = access.Protocol
		return check
	}
	if access.OtherZone {
		// A chip makes its access keys of its own zone. This one stands in for
		// another: it is in another's card, or is relayed from elsewhere.
		check := failed("other_zone", "the chip opened with a machine readable zone that is not the one in its data: chip and card do not belong together",
			"chip mở được bằng vùng MRZ khác với dữ liệu trong chip: chip và thẻ không thuộc về nhau")
		check.Protocol = access.Protocol
		return check
	}
	switch {
	case c.evidence.Origin == OriginFiles:
		return notRun("files_only", "these are files, no chip was read", "chỉ có tệp, không đọc từ chip")
	case access.Protocol == "" && len(access.Attempts) == 0:
		return notOffered("open", "the chip gives its data without access control", "chip không bảo vệ truy cập dữ liệu")
	case access.Protocol == "":
		return missing("no_access", "access to the chip was not opened", "chưa mở được truy cập chip")
	}
	check := passed("", fmt.Sprintf("opened with the %s", access.Password), fmt.Sprintf("mở bằng %s", access.Password))
	if !c.vouchedFor(access.Parameters) {
		check = missing("own_parameters", "the chip was opened over domain parameters of its own, which no signed DG14 repeats: somebody between chip and reader may have chosen them",
			"chip được mở bằng tham số riêng không có trong DG14 đã ký: có thể do kẻ đứng giữa chọn")
	}
	if access.Resumed {
		check.Reason += " after the CAN, since two wrong PINs had suspended it"
		check.ReasonVI += " sau khi dùng CAN, vì PIN đã bị tạm ngưng do hai lần nhập sai"
	}
	check.Protocol = access.Protocol
	if len(access.Attempts) > 0 {
		var before, why []string
		for _, a := range access.Attempts {
			before = append(before, a.Protocol)
			why = append(why, a.Protocol+": "+a.Error)
		}
		if check.Status == Passed {
			check.Code = "fallback"
		}
		check.Reason += "; passed over: " + strings.Join(before, ", ")
		check.ReasonVI += "; đã bỏ qua: " + strings.Join(before, ", ")
		check.Detail = strings.Join(why, "; ")
	}
	return check
}

// zonePassword is what Access.Password says where the zone opened the chip.
const zonePassword = "MRZ"

// vouchedFor tells whether domain parameters of the card's own, if PACE ran over
// any, stand in the signed DG14 too. Package pace says why that matters.
func (c *checker) vouchedFor(own []byte) bool {
	if len(own) == 0 {
		return true
	}
	return c.options != nil && c.signed(lds.DG14) && slices.ContainsFunc(c.options.PACEDomainParameters, func(p lds.PACEDomainParameterInfo) bool {
		return bytes.Equal(p.Parameters, own)
	})
}

// changedCardAccess compares the unsigned EF.CardAccess with the offers of
// PACE in the signed DG14, where the issuer repeats them (Doc 9303-11 §9.2):
// who sits between chip and reader could else take the strong ones away, or
// put weak ones in. A DG14 without PACE cannot be compared.
func (c *checker) changedCardAccess() *Outcome {
	if c.options == nil || !c.signed(lds.DG14) || len(c.options.PACE) == 0 {
		return nil
	}
	var check Outcome
	switch {
	case c.cardAccessErr != nil:
		check = failed("card_access_malformed", "EF.CardAccess is damaged", "EF.CardAccess bị hỏng").because(c.cardAccessErr.Error())
	case c.cardAccess == nil && c.evidence.Origin == OriginFiles:
		return nil
	case c.cardAccess == nil:
		check = failed("downgrade", "the signed DG14 offers PACE and the chip hides it: access control was weakened",
			"DG14 đã ký có PACE nhưng chip che giấu: kiểm soát truy cập bị hạ cấp")
	default:
		signed, shown := paceOffers(c.options), paceOffers(c.cardAccess)
		if slices.Equal(signed, shown) {
			return nil
		}
		check = failed("downgrade",
			"EF.CardAccess does not offer the access control that the signed DG14 offers: it was tampered with",
			"EF.CardAccess khác với DG14 đã ký: kiểm soát truy cập bị can thiệp",
		).because(fmt.Sprintf("EF.CardAccess offers %s, DG14 %s", list(shown), list(signed)))
	}
	check.Protocol = c.evidence.Access.Protocol
	return &check
}

func paceOffers(infos *lds.SecurityInfos) []string {
	var offers []string
	for _, i := range infos.PACE {
		offers = append(offers, fmt.Sprintf("%s version %d parameters %d", i.Name(), i.Version, i.ParameterID))
	}
	for _, p := range infos.PACEDomainParameters {
		offers = append(offers, fmt.Sprintf("%s parameters %d of its own, %X", lds.ProtocolName(p.Protocol), p.ParameterID, sha256.Sum256(p.Parameters)))
	}
	slices.Sort(offers)
	return slices.Compact(offers)
}

func list(s []string) string {
	if len(s) == 0 {
		return "nothing"
	}
	return strings.Join(s, ", ")
}

// optionsGap says why the signed offers of DG14 or the key of DG15 cannot be
// known: nil where they can, or where EF.SOD rules them out.
func (c *checker) optionsGap(f lds.File, what, whatVI string) *Outcome {
	var check Outcome
	_, read := c.doc.Get(f)
	switch {
	case c.passive == nil || c.passive.Signature != nil:
		check = missing("unsigned", "without a signature that holds, it is not known what the chip should prove",
			"không có chữ ký hợp lệ nên không biết chip phải chứng minh gì")
	case !c.listed(f) || c.signed(f):
		return nil
	case read: // and changed
		check = failed("key_changed", fmt.Sprintf("%s is not what was signed: %s would be with the wrong key", f, what),
			fmt.Sprintf("%s không khớp dữ liệu đã ký: khóa để %s bị thay", f, whatVI))
	case c.denied(f):
		check = failed("stripped", fmt.Sprintf("%s is signed and the chip does not have it: it was taken out, as on a copy that cannot pass %s", f, what),
			fmt.Sprintf("%s đã được ký nhưng không có trên chip: dấu hiệu sao chép để tránh %s", f, whatVI))
	case c.evidence.Faulty[f.String()] != "":
		check = failed("unreadable", fmt.Sprintf("%s is signed and cannot be read", f),
			fmt.Sprintf("%s đã được ký nhưng không đọc được", f)).because(c.evidence.Faulty[f.String()])
	default:
		check = missing("not_read", fmt.Sprintf("%s was not read, so that %s could not be run", f, what),
			fmt.Sprintf("chưa đọc %s nên chưa thể %s", f, whatVI))
	}
	return &check
}

const (
	chipAuthenticationVI   = "xác thực chip"
	activeAuthenticationVI = "xác thực chủ động"
)

// chipAuthentication is the proof of the key in DG14, or that of PACE's chip
// authentication mapping where DG14 has none.
func (c *checker) chipAuthentication() Outcome {
	check := c.keyOfDG14()
	mapping, run := c.chipMapping()
	switch {
	case !run:
		return check
	case mapping.Status == Failed:
		return mapping
	case check.Status == NotOffered, check.Code == codeUnsignedOffer, check.Code == codeMappingNotRun:
		return mapping
	case check.Status == NotRun && mapping.Status == Passed:
		return mapping // one proof suffices
	}
	return check
}

// chipMapping checks what the chip authentication mapping has proved: every run
// there was, since each channel that data came through rests on one. false: the
// chip was not opened by it.
func (c *checker) chipMapping() (check Outcome, run bool) {
	transcripts := c.evidence.ChipMappings
	if len(transcripts) == 0 {
		return Outcome{}, false
	}
	defer func() { check.Protocol = transcripts[0].Protocol }()
	raw, ok := c.doc.Get(lds.EFCardSecurity)
	if !ok {
		if c.denied(lds.EFCardSecurity) {
			return failed("stripped", "the chip was opened by a mapping that proves its key, and does not have EF.CardSecurity, where that key is signed",
				"chip không có EF.CardSecurity chứa khóa đã ký"), true
		}
		return missing("not_read", "EF.CardSecurity, where the chip's key is signed, was not read", "chưa đọc EF.CardSecurity"), true
	}
	security, err := c.verifyCardSecurity(raw)
	if err != nil {
		return failed("card_security_malformed", "EF.CardSecurity, where the chip's key is signed, is damaged", "EF.CardSecurity bị hỏng").because(err.Error()), true
	}
	if errors.Is(security.Signature, passiveauth.ErrUnchecked) {
		return missing("unsupported", "this program cannot check the signature of EF.CardSecurity", "chương trình chưa kiểm tra được chữ ký của EF.CardSecurity").because(security.Signature.Error()), true
	}
	if security.Signature != nil {
		return failed("bad_signature", "the signature of EF.CardSecurity, where the chip's key is, does not hold",
			"chữ ký của EF.CardSecurity không hợp lệ").because(security.Signature.Error()), true
	}
	if untrusted := c.trustCardSecurity(security.Signer); untrusted != nil {
		return *untrusted, true
	}
	for _, tr := range transcripts {
		switch err := c.verifyMapping(tr, raw, security.Infos); {
		case errors.Is(err, pace.ErrNoKey), errors.Is(err, cert.ErrUnsupported):
			return missing("unsupported", "EF.CardSecurity has no key that this program could check the chip by", "EF.CardSecurity không có khóa phù hợp").because(err.Error()), true
		case err != nil:
			return failed("clone", "the chip did not prove that it has the private key to the public key in EF.CardSecurity: it is a copy",
				"chip không chứng minh được có khóa bí mật ứng với EF.CardSecurity: đây là bản sao").because(err.Error()), true
		}
	}
	return passed("", "the chip proved by PACE that it has the private key to the signed public key: it is no copy",
		"chip đã chứng minh qua PACE có khóa bí mật ứng với khóa đã ký: không phải bản sao"), true
}

func (c *checker) verifyCardSecurity(raw []byte) (*passiveauth.CardSecurity, error) {
	type verified struct {
		security *passiveauth.CardSecurity
		err      error
	}
	v := remember(c.known, "EF.CardSecurity", func() verified {
		security, err := passiveauth.VerifyCardSecurity(raw)
		return verified{security, err}
	}, raw)
	return v.security, v.err
}

func (c *checker) verifyMapping(tr pace.Transcript, cardSecurity []byte, infos lds.SecurityInfos) error {
	return remember(c.known, "PACE-CAM", func() error { return pace.VerifyTranscript(tr, infos) },
		[]byte(tr.Protocol), []byte(strconv.Itoa(tr.ParameterID)), tr.MappingKey, tr.Proof, cardSecurity)
}

func (c *checker) verifyChipAuthentication(tr eac.Transcript, offer eac.Offer) error {
	dg14, _ := c.doc.Get(lds.DG14) // which the offer is from, by the transcript's protocol and key
	return remember(c.known, "CA", func() error { return eac.VerifyTranscript(tr, offer.Info, offer.Key) },
		[]byte(tr.Protocol), tr.KeyID, tr.PrivateKey, tr.Command, tr.Response, dg14)
}

// trustCardSecurity holds the signer of EF.CardSecurity to what that of EF.SOD
// is held to; nil: it is trusted. Both are of one state.
func (c *checker) trustCardSecurity(signer *cert.Certificate) *Outcome {
	var check Outcome
	if c.store == nil {
		check = missing("no_trust_anchor", "there is no trust store to compare the signer of EF.CardSecurity with", "không có kho tin cậy để kiểm tra bên ký EF.CardSecurity")
		return &check
	}
	path := c.trustPath(signer)
	switch path.Status {
	case trust.Trusted:
		if c.path == nil || c.path.Anchor == nil {
			check = missing("no_signer", "EF.CardSecurity cannot be compared with the document, whose signer is not known", "không so sánh được EF.CardSecurity vì chưa xác định bên ký giấy tờ")
			return &check
		}
		if !sameCountry(path.Anchor.Subject.Country(), c.path.Anchor.Subject.Country()) {
			check = failed("wrong_state", "EF.CardSecurity is signed by another state than the document", "EF.CardSecurity do nước khác ký")
			return &check
		}
		return nil
	case trust.NoAnchor, trust.NotYetValid, trust.RevocationUnknown:
		check = missing("no_trust_anchor", "the signer of EF.CardSecurity is not known to be trusted", "chưa xác định được bên ký EF.CardSecurity").because(path.Reason)
	default:
		check = failed("untrusted", "the signer of EF.CardSecurity is not trusted", "bên ký EF.CardSecurity không được tin cậy").because(path.Reason)
	}
	return &check
}

func sameCountry(a, b string) bool { return strings.EqualFold(a, b) }

func (c *checker) keyOfDG14() Outcome {
	if gap := c.optionsGap(lds.DG14, "chip authentication", chipAuthenticationVI); gap != nil {
		return *gap
	}
	run := c.evidence.ChipAuthentication
	if !c.signed(lds.DG14) {
		return c.noChipKey()
	}
	if c.optionsErr != nil {
		return missing("dg14_malformed", "the signed DG14 cannot be understood", "không hiểu được nội dung DG14").because(c.optionsErr.Error())
	}
	offers := eac.Offers(*c.options)
	if len(offers) == 0 {
		return c.noChipKey()
	}
	check := func() Outcome {
		switch {
		case run == nil:
			return missing("not_run", "the document offers chip authentication and it was not run: a copy would look the same",
				"giấy tờ có xác thực chip nhưng chưa thực hiện: không phân biệt được bản sao")
		case run.Unsupported != "":
			return unsupportedChipAuthentication(run.Unsupported)
		case run.Transcript == nil:
			return failed("clone", "the chip does not have the private key to the public key in its signed data: it is a copy",
				"chip không có khóa bí mật ứng với dữ liệu đã ký: đây là bản sao").because(run.Refused)
		}
		offer, ok := run.Transcript.Offer(*c.options)
		if !ok {
			return failed("wrong_offer", "chip authentication was run with a protocol or key that the signed DG14 does not offer",
				"xác thực chip dùng giao thức hoặc khóa không có trong DG14 đã ký")
		}
		if err := c.verifyChipAuthentication(*run.Transcript, offer); errors.Is(err, eac.ErrUnsupported) {
			return unsupportedChipAuthentication(err.Error())
		} else if err != nil {
			return failed("clone", "the chip did not prove that it has the private key to the public key in its signed data",
				"chip không chứng minh được có khóa bí mật ứng với dữ liệu đã ký").because(err.Error())
		}
		return passed("", "the chip has the private key to the public key in its signed data: it is no copy",
			"chip có khóa bí mật ứng với dữ liệu đã ký: không phải bản sao")
	}()
	check.Protocol = offers[0].Info.Name()
	if run != nil && run.Protocol != "" {
		check.Protocol = run.Protocol
	}
	if run != nil && len(run.Attempts) > 0 {
		var before []string
		for _, a := range run.Attempts {
			before = append(before, a.Protocol)
		}
		check.Reason += "; the chip refused " + strings.Join(before, ", ")
		check.ReasonVI += "; chip từ chối " + strings.Join(before, ", ")
		if check.Status == Passed {
			check.Code = "fallback"
		}
	}
	return check
}

func unsupportedChipAuthentication(why string) Outcome {
	return missing("unsupported", "this program cannot run the chip authentication that the document offers",
		"chương trình chưa hỗ trợ loại xác thực chip này").because(why)
}

// noChipKey is a document whose signed data groups have no key for chip
// authentication. That EF.CardAccess offers it all the same (documents with
// version 2 of the protocols have the key elsewhere) is a proof not given. Where
// DG14 has a key, what else the unsigned EF.CardAccess offers does not matter.
func (c *checker) noChipKey() Outcome {
	if c.offersMapping() {
		return missing(codeMappingNotRun, "the chip offers to prove its key while it is opened, and was opened otherwise: a copy would look the same",
			"chip có thể tự chứng minh khi mở (PACE-CAM) nhưng đã mở bằng cách khác: không phân biệt được bản sao")
	}
	if c.cardAccess != nil && len(c.cardAccess.ChipAuthentication) > 0 {
		return missing(codeUnsignedOffer, "EF.CardAccess offers chip authentication and no signed DG14 has the key for it",
			"EF.CardAccess có xác thực chip nhưng không có DG14 đã ký chứa khóa")
	}
	return notOffered("", "the document has no key for chip authentication", "giấy tờ không có khóa xác thực chip")
}

// Codes that the proof by PACE's chip authentication mapping settles.
const (
	codeUnsignedOffer = "unsigned_offer"
	codeMappingNotRun = "mapping_not_run"
)

// offersMapping tells whether the chip offers the chip authentication mapping,
// by its unsigned file or by the signed one.
func (c *checker) offersMapping() bool {
	for _, infos := range []*lds.SecurityInfos{c.cardAccess, c.options} {
		if infos == nil {
			continue
		}
		for _, i := range infos.PACE {
			if i.Mapping() == lds.ChipAuthenticationMapping {
				return true
			}
		}
	}
	return false
}

func (c *checker) activeAuthentication() Outcome {
	if gap := c.optionsGap(lds.DG15, "active authentication", activeAuthenticationVI); gap != nil {
		return *gap
	}
	if !c.signed(lds.DG15) {
		return notOffered("", "the document has no key for active authentication", "giấy tờ không có khóa xác thực chủ động")
	}
	raw, _ := c.doc.Get(lds.DG15)
	key, err := lds.DecodeDG15(raw)
	if err != nil {
		return missing("dg15_malformed", "the signed DG15 cannot be understood", "không hiểu được nội dung DG15").because(err.Error())
	}
	run := c.evidence.ActiveAuthentication
	switch {
	case run == nil:
		return missing("not_run", "the document offers active authentication and it was not run: a copy would look the same",
			"giấy tờ có xác thực chủ động nhưng chưa thực hiện: không phân biệt được bản sao")
	case run.Unsupported != "":
		return missing("unsupported", "active authentication could not be run", "chưa thực hiện được xác thực chủ động").because(run.Unsupported)
	case run.Refused != "":
		return failed("clone", "the chip does not sign with the private key to the public key in its signed data: it is a copy",
			"chip không ký được bằng khóa bí mật ứng với dữ liệu đã ký: đây là bản sao").because(run.Refused)
	}
	if err := activeauth.Verify(key, c.signatureInfo(), run.Challenge, run.Response); errors.Is(err, activeauth.ErrUnsupported) {
		return missing("unsupported", "this program does not know the algorithm of this active authentication",
			"chương trình chưa hỗ trợ loại xác thực chủ động này").because(err.Error())
	} else if err != nil {
		return failed("clone", "the chip's signature is not by the private key to the public key in its signed data",
			"chữ ký của chip không khớp khóa trong dữ liệu đã ký").because(err.Error())
	}
	return passed("", "the chip signed our challenge with the private key to the public key in its signed data",
		"chip đã ký thử thách bằng khóa bí mật ứng với dữ liệu đã ký")
}

// bound holds active authentication to the challenge of the policy.
func (c *checker) bound(check Outcome) Outcome {
	want, run := c.policy.Challenge, c.evidence.ActiveAuthentication
	switch {
	case len(want) == 0 || check.Status == Failed:
		return check
	case run != nil && run.Unsupported == "" && !bytes.Equal(run.Challenge, want):
		return failed("other_challenge", "the chip was asked to sign another challenge than the one given: this read is not the answer to it",
			"chip đã được yêu cầu ký thử thách khác: lần đọc này không trả lời thử thách đã cho")
	case check.Status == NotOffered, run == nil:
		return missing("no_challenge", "the chip signed no challenge, so that nothing binds this read to the one given",
			"chip không ký thử thách nào nên lần đọc này không gắn với thử thách đã cho").because(check.Reason)
	}
	return check
}

// signatureInfo is what the signed DG14 says of the algorithm of active
// authentication.
func (c *checker) signatureInfo() *lds.ActiveAuthenticationInfo {
	if c.options == nil || !c.signed(lds.DG14) || len(c.options.ActiveAuthentication) == 0 {
		return nil
	}
	return &c.options.ActiveAuthentication[0]
}

// early says that the clock cannot be right: whoever signed was not there yet.
func (c *checker) early() bool {
	return c.passive != nil && c.passive.Signer != nil && c.at.Before(c.passive.Signer.NotBefore)
}

// today is the day by which the two digits of a year in the zone get their
// century: where the clock cannot be right, the signer's first.
func (c *checker) today() time.Time {
	if c.early() {
		return c.passive.Signer.NotBefore
	}
	return c.at
}

// validity compares the date of expiry with the day at hand in universal
// time, so that everybody who checks the same evidence says the same.
func (c *checker) validity() Outcome {
	info := c.fields.mrz
	if info == nil {
		return missing("no_mrz", "the date of expiry is not known, since DG1 was not read or is damaged", "không biết ngày hết hạn vì thiếu DG1")
	}
	// Who signed must have been there to sign, trusted or not.
	if c.path != nil && c.path.Status == trust.NotYetValid || c.early() {
		return missing("clock", "the clock is wrong, so it is not known whether the document has expired", "đồng hồ máy sai nên không biết giấy tờ còn hạn hay không")
	}
	expiry, err := mrz.ExpiryDate(info.DateOfExpiry, c.at)
	switch {
	case errors.Is(err, mrz.ErrNoDate) || (err == nil && info.DateOfExpiry == mrz.NoExpiry):
		return passed("no_expiry", "the document does not expire", "giấy tờ không thời hạn")
	case err != nil:
		return failed("bad_date", "the date of expiry in DG1 is none", "ngày hết hạn trong DG1 không hợp lệ")
	}
	day := expiry.Format(time.DateOnly)
	if c.at.UTC().Format(time.DateOnly) > day {
		return failed("expired", "the document expired on "+day, "giấy tờ đã hết hạn ngày "+expiry.Format("02/01/2006"))
	}
	return passed("", "the document is valid until "+day, "giấy tờ có giá trị đến "+expiry.Format("02/01/2006"))
}
