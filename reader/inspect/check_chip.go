package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"chipid/card/activeauth"
	"chipid/card/eac"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/pki/cert"
	"chipid/pki/trust"
)

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
	switch {
	case run == nil:
	case run.Transcript != nil: // what was run, not what is said beside it
		check.Protocol = run.Transcript.Protocol
	case run.Protocol != "":
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
	if c.signed(lds.DG14) && offersOtherProof(c.options) {
		return unsupportedChipAuthentication("DG14 offers a protocol that is not known here, or one without its key")
	}
	if offersOtherProof(c.cardAccess) {
		return missing(codeUnsignedOffer, "EF.CardAccess offers chip authentication and no signed DG14 has the key for it",
			"EF.CardAccess có xác thực chip nhưng không có DG14 đã ký chứa khóa")
	}
	return notOffered("", "the document has no key for chip authentication", "giấy tờ không có khóa xác thực chip")
}

// offersOtherProof tells whether a chip that shows no key which could be used says
// that it proves itself all the same.
func offersOtherProof(infos *lds.SecurityInfos) bool {
	return infos != nil && (len(infos.ChipAuthentication) > 0 || slices.ContainsFunc(infos.Other, lds.OtherInfo.OffersChipProof))
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
		if c.signed(lds.DG14) && c.options != nil && len(c.options.ActiveAuthentication) > 0 {
			return missing("no_key", "DG14 offers active authentication, and no DG15 with the key for it was signed: a copy would look the same",
				"DG14 có xác thực chủ động nhưng không có DG15 đã ký chứa khóa: không phân biệt được bản sao")
		}
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
