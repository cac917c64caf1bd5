package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/termauth"
	"chipid/pki/cvc"
)

// terminalAuthentication protects the holder's fingerprints from us, and says
// nothing of the document: not asked for, or refused, it takes nothing from the
// verdict. What an accepted run left is checked again all the same. The
// certificates and the signature are ours; that a chip accepted what no chip
// accepts is said by a chip that checks nothing, or by a record that was changed
// since, and neither can be genuine.
func (c *checker) terminalAuthentication() Outcome {
	run := c.evidence.TerminalAuthentication
	if run == nil {
		offered := c.listed(lds.DG3) || c.listed(lds.DG4) ||
			(c.options != nil && len(c.options.TerminalAuthentication) > 0) ||
			(c.cardAccess != nil && len(c.cardAccess.TerminalAuthentication) > 0)
		if !offered {
			return notOffered("", "the chip holds no fingerprints or irises", "chip không có vân tay, mống mắt")
		}
		if plan := c.evidence.ReadingPlan(); plan.Names(lds.DG3) || plan.Names(lds.DG4) {
			return notRun("no_terminal", "fingerprints and irises take the key of a terminal, and none was given (--terminal)",
				"đọc vân tay, mống mắt cần khóa của đầu đọc được cấp quyền, chưa được cho (--terminal)")
		}
		return notRun("not_asked", "fingerprints and irises were not asked for", "không yêu cầu đọc vân tay, mống mắt")
	}
	rights, err := c.terminalRecord(run)
	var check Outcome
	switch {
	case run.Refused != "":
		check = notRun("refused", "the chip did not let terminal "+run.Terminal+" in", "chip không chấp nhận đầu đọc "+run.Terminal).because(run.Refused)
		// Whose fault it was is for whoever runs the terminals to find out.
		if run.Transcript != nil && err == nil {
			check.Detail += "; what the terminal showed and signed is sound by itself"
		} else if run.Transcript != nil {
			check.Detail += "; of what the terminal showed and signed: " + err.Error()
		}
	case errors.Is(err, errUnchecked):
		check = passed("", "the chip accepted terminal "+run.Terminal, "chip đã chấp nhận đầu đọc "+run.Terminal).because(err.Error())
	case err != nil:
		check = failed("terminal_record", "the chip is said to have accepted a terminal that no chip accepts: the chip checks nothing, or the record was changed",
			"chip bị ghi là đã chấp nhận một đầu đọc không hợp lệ: chip không kiểm tra gì, hoặc bản ghi đã bị sửa").because(err.Error())
	default:
		check = passed("", "the chip accepted terminal "+run.Terminal+", whose certificates and signature hold",
			"chip đã chấp nhận đầu đọc "+run.Terminal+"; chứng thư và chữ ký của đầu đọc đều đúng").because(rightsInWords(rights))
	}
	if check.Status == Passed {
		c.given(&check)
	}
	check.Protocol = "TA"
	return check
}

// given says what the terminal's right was good for.
func (c *checker) given(check *Outcome) {
	var given, withheld []string
	for _, f := range []lds.File{lds.DG3, lds.DG4} {
		if _, ok := c.doc.Get(f); ok {
			given = append(given, f.String())
		} else if c.evidence.Refused[f.String()] == iso7816.SWSecurityStatus {
			withheld = append(withheld, f.String())
		}
	}
	if len(given) > 0 {
		check.Reason += "; it gave " + strings.Join(given, " and ")
		check.ReasonVI += "; đã cho đọc " + strings.Join(given, ", ")
	}
	if len(withheld) > 0 {
		check.Code = "no_right"
		check.Reason += "; it has no right to read " + strings.Join(withheld, " and ")
		check.ReasonVI += "; không có quyền đọc " + strings.Join(withheld, ", ")
	}
}

// errUnchecked says that the record lacks what it would be checked by.
var errUnchecked = errors.New("not checked again")

// terminalRecord checks a record again: the chain from a trust point that the
// chip names, the signature, and that it was made for this chip and channel.
func (c *checker) terminalRecord(run *TerminalAuthentication) (rights byte, err error) {
	tr := run.Transcript
	if tr == nil {
		return 0, fmt.Errorf("%w: the evidence has no transcript of it", errUnchecked)
	}
	raw, ok := c.doc.Get(lds.EFCVCA)
	if !ok {
		return 0, fmt.Errorf("%w: EF.CVCA, which names the chip's trust points, is not in the evidence", errUnchecked)
	}
	trusted, err := lds.DecodeCVCA(raw)
	if err != nil {
		return 0, err
	}
	var points []cvc.Reference
	for _, name := range trusted.References {
		points = append(points, cvc.Reference(name))
	}
	if rights, err = termauth.VerifyTranscript(*tr, points); errors.Is(err, termauth.ErrNoRoot) {
		return 0, fmt.Errorf("%w: %w", errUnchecked, err)
	} else if err != nil {
		return 0, err
	}
	if last, err := cvc.Parse(tr.Certificates[len(tr.Certificates)-1]); err != nil || string(last.CHR) != run.Terminal {
		return 0, fmt.Errorf("the certificates are not those of %s", run.Terminal)
	}
	return rights, c.boundTerminal(tr)
}

// boundTerminal holds what the terminal signed to the session: a signature for
// another chip or channel gives no right to this one.
func (c *checker) boundTerminal(tr *termauth.Transcript) error {
	// BAC has no key of the chip's to name it by, but its document number.
	if c.evidence.Access.Protocol == "BAC" && c.fields.mrz != nil && !bytes.Equal(tr.ID, termauth.BACIdentifier(c.fields.mrz.DocumentNumber)) {
		return errors.New("the terminal signed for a chip with another document number")
	}
	// The card may have been lost and have proved itself anew, each time with
	// another key of ours.
	var runs []*eac.Transcript
	if run := c.evidence.ChipAuthentication; run != nil && run.Transcript != nil {
		runs = append(runs, run.Transcript)
	}
	for _, r := range c.evidence.Resumed {
		if r.ChipAuthentication != nil {
			runs = append(runs, r.ChipAuthentication)
		}
	}
	if len(runs) == 0 || c.options == nil {
		return nil // PACE-CAM, of which our key is not kept
	}
	for _, run := range runs {
		offer, ok := run.Offer(*c.options)
		if !ok {
			continue // chip authentication says so
		}
		if key, err := run.Compressed(offer.Info, offer.Key); err == nil && bytes.Equal(key, tr.Compressed) {
			return nil
		}
	}
	return errors.New("the terminal signed for another channel than the one that chip authentication made")
}

func rightsInWords(rights byte) string {
	switch rights & cvc.AllRights {
	case cvc.AllRights:
		return "it may read fingerprints and irises"
	case cvc.ReadFingerprints:
		return "it may read fingerprints"
	case cvc.ReadIrises:
		return "it may read irises"
	}
	return "it may read neither fingerprints nor irises"
}
