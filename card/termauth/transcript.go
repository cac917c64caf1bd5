package termauth

import (
	"errors"
	"fmt"
	"slices"

	"chipid/pki/cvc"
)

// Transcript is what it takes to check again, without the chip and without the
// terminal's key, that a terminal was entitled and proved it: what was shown to
// the chip and what was signed.
type Transcript struct {
	// Root is the self-signed certificate of the key that verifies the first of
	// Certificates. The chip holds that key and is not shown it; empty where the
	// terminal did not have it either.
	Root         []byte   `cbor:"1,keyasint,omitempty"`
	Certificates [][]byte `cbor:"2,keyasint"` // as they were shown, the terminal's last
	ID           []byte   `cbor:"3,keyasint"` // how the chip is named in what is signed
	Challenge    []byte   `cbor:"4,keyasint,omitempty"`
	Compressed   []byte   `cbor:"5,keyasint"` // the terminal's ephemeral key of the channel
	Signature    []byte   `cbor:"6,keyasint,omitempty"`
}

// Format keeps the name of the chip, which BAC makes of the document number,
// out of logs and messages.
func (tr Transcript) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "transcript of terminal authentication with %d certificates (not shown)", len(tr.Certificates))
}

// Transcript begins the record of a run that shows the chip what Present gives
// for the same trust points. Challenge and Signature are for the caller to add.
func (c Credential) Transcript(trustPoints []cvc.Reference, id, compressed []byte) (Transcript, error) {
	chain, err := cvc.Chain(c.Certificates, trustPoints, c.Name)
	if err != nil {
		return Transcript{}, err
	}
	tr := Transcript{ID: id, Compressed: compressed}
	for _, certificate := range chain {
		tr.Certificates = append(tr.Certificates, certificate.Raw)
	}
	for _, certificate := range c.Certificates {
		// A link to it will not do: by whose key it is, nothing here could tell.
		if certificate.CHR == chain[0].CAR && certificate.SelfSigned() {
			tr.Root = certificate.Raw
		}
	}
	return tr, nil
}

// maxTranscript is how many certificates a transcript may have: links over
// more generations than any CVCA has had, verifier and terminal.
const maxTranscript = 64

// ErrNoRoot says that a transcript does not have the key by which its chain
// begins, so that its signatures cannot be checked.
var ErrNoRoot = errors.New("the certificate of the chip's trust point was not recorded")

// VerifyTranscript checks a run again: that the certificates lead from one of
// the trust points that the chip's EF.CVCA names to the terminal, and that its
// key has signed the challenge for this chip and channel. It gives the rights of
// the whole chain. Dates are not held against anybody: only the chip knows what
// it took for the day. ErrAuthentication says that no chip would have accepted
// this.
func VerifyTranscript(tr Transcript, trustPoints []cvc.Reference) (rights byte, err error) {
	fail := func(err error) (byte, error) { return 0, fmt.Errorf("%w: %w", ErrAuthentication, err) }
	if n := len(tr.Certificates); n == 0 || n > maxTranscript {
		return fail(fmt.Errorf("%d certificates", n))
	}
	var chain []*cvc.Certificate
	for i, raw := range tr.Certificates {
		certificate, err := cvc.Parse(raw)
		if err != nil {
			return fail(fmt.Errorf("certificate %d: %w", i+1, err))
		}
		chain = append(chain, certificate)
	}
	if !slices.Contains(trustPoints, chain[0].CAR) {
		return fail(fmt.Errorf("the first certificate is by %s: %w", chain[0].CAR, cvc.ErrUnknownSigner))
	}
	if len(tr.Challenge) != ChallengeSize || len(tr.ID) == 0 || len(tr.Compressed) == 0 {
		return fail(errors.New("nothing that could be signed"))
	}
	if len(tr.Root) == 0 {
		return 0, ErrNoRoot
	}
	root, err := cvc.Parse(tr.Root)
	if err != nil {
		return fail(fmt.Errorf("the trust point: %w", err))
	}
	if root.CHR != chain[0].CAR {
		return fail(fmt.Errorf("the trust point is %s, the first certificate by %s", root.CHR, chain[0].CAR))
	}
	point, err := cvc.NewPoint(root)
	if err != nil {
		return fail(err)
	}
	store := &cvc.Store{Points: []*cvc.Point{point}}
	for _, certificate := range chain {
		// A chip has forgotten by the next certificate what it knew of the last
		// but one; the store does so too, but for trust points.
		store.Date = cvc.Date{}
		if err := store.Verify(certificate); err != nil {
			return fail(err)
		}
	}
	terminal, ok := store.Terminal()
	if !ok {
		return fail(errors.New("the chain does not end at a terminal"))
	}
	if err := terminal.Key.Verify(signedData(tr.ID, tr.Challenge, tr.Compressed), tr.Signature); err != nil {
		return fail(err)
	}
	return terminal.Rights(), nil
}
