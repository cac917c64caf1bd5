package inspect

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"chipid/card/lds"
)

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
	if c.otherNumber() {
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

// otherNumber tells whether the document is not of the number that was given.
func (c *checker) otherNumber() bool {
	p := c.policy
	return p.Number != "" && (c.fields.Holder == nil || c.fields.Holder.Number != p.Number ||
		p.State != "" && c.fields.IssuingState != p.State)
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
