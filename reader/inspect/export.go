package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"chipid/card/activeauth"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/pki/durable"
	"chipid/reader"
)

// Form is a shape in which evidence leaves for others to check.
type Form string

// The forms. Those of C06 are what the licensed intermediaries of Vietnam's
// registry ask for, one of the two each; which pieces they take is public, how
// they call them is not, so that the names in the JSON are ours.
const (
	FormC06   Form = "c06"    // idNumber, EF.COM, DG1, DG2, DG13, DG14, DG15
	FormC06AA Form = "c06-aa" // EF.SOD, DG1, DG2, DG13, DG14, and the signature of active authentication with all that it is verified by
	FormFiles Form = "files"  // a folder with every file as it is on the chip
)

// forms lists them.
func forms() []Form { return []Form{FormC06, FormC06AA, FormFiles} }

// FormByName finds a form.
func FormByName(name string) (Form, error) {
	var names []string
	for _, f := range forms() {
		if string(f) == name {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("there is no form %q: give %s", name, strings.Join(names, ", "))
}

// IncompleteError says that evidence lacks what a form consists of.
type IncompleteError struct {
	Form    Form
	Missing []string // files, or the signature of active authentication
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("the form %s needs %s, which this evidence does not have: read the card again, all of it", e.Form, strings.Join(e.Missing, ", "))
}

// ErrNoChipRead says that evidence is of files alone: somebody may have copied them
// from anywhere, and the forms of C06 tell a registry that a card was there.
var ErrNoChipRead = errors.New("no chip was read, there are only its files: read the card with chipid read --out and export that")

// MissingSignature is what a piece is called that is no file.
const MissingSignature = "the signature of active authentication"

// c06 and c06AA are encoded with their octets in base64 (RFC 4648 §4).
type c06 struct {
	Number string `json:"idNumber"`
	COM    []byte `json:"efCom"`
	DG1    []byte `json:"dg1"`
	DG2    []byte `json:"dg2"`
	DG13   []byte `json:"dg13"`
	DG14   []byte `json:"dg14"`
	DG15   []byte `json:"dg15"`
}

type c06AA struct {
	SOD       []byte `json:"sod"`
	DG1       []byte `json:"dg1"`
	DG2       []byte `json:"dg2"`
	DG13      []byte `json:"dg13"`
	DG14      []byte `json:"dg14"`
	Challenge []byte `json:"aaChallenge"` // that the chip was asked to sign
	Signature []byte `json:"aaSignature"` // as the chip gave it
	Key       []byte `json:"aaPublicKey"` // SubjectPublicKeyInfo, the content of DG15
	Algorithm string `json:"aaAlgorithm"` // as activeauth.Algorithm names it
}

// Export gives evidence in one of the forms of C06, as JSON. It is personal data,
// and of a chip that was read: see ErrNoChipRead.
// at is the day by which the two digits of a year get their century.
func Export(e *Evidence, form Form, at time.Time) ([]byte, error) {
	doc := e.Document()
	var missing []string
	file := func(f lds.File) []byte {
		raw, ok := doc.Get(f)
		if !ok {
			missing = append(missing, f.String())
		}
		return raw
	}
	var content any
	switch form {
	case FormC06:
		content = c06{
			COM: file(lds.EFCOM), DG1: file(lds.DG1), DG2: file(lds.DG2), DG13: file(lds.DG13), DG14: file(lds.DG14), DG15: file(lds.DG15),
		}
	case FormC06AA:
		content = c06AA{
			SOD: file(lds.EFSOD), DG1: file(lds.DG1), DG2: file(lds.DG2), DG13: file(lds.DG13), DG14: file(lds.DG14), Key: file(lds.DG15),
		}
		if run := e.ActiveAuthentication; run == nil || len(run.Response) == 0 {
			missing = append(missing, MissingSignature)
		}
	default:
		return nil, fmt.Errorf("export the evidence: %q is no form that one file holds", form)
	}
	if e.Origin != OriginChip {
		return nil, fmt.Errorf("export the evidence as %s: %w", form, ErrNoChipRead)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("export the evidence: %w", &IncompleteError{form, missing})
	}
	var err error
	switch c := content.(type) {
	case c06:
		c.Number, err = personalNumber(doc, at)
		content = c
	case c06AA:
		err = c.sign(e.ActiveAuthentication)
		content = c
	}
	if err != nil {
		return nil, fmt.Errorf("export the evidence: %w", err)
	}
	raw, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("export the evidence: %w", err)
	}
	return append(raw, '\n'), nil
}

// personalNumber is the twelve digits of a Vietnamese card.
func personalNumber(doc *lds.Document, at time.Time) (string, error) {
	profile, err := national.OfDocument(doc)
	if err != nil {
		return "", err
	}
	if profile.State() != "VNM" {
		return "", fmt.Errorf("this document is of %s, and C06 keeps the numbers of Vietnam", profile.State())
	}
	holder, err := profile.Holder(doc, at)
	if err != nil {
		return "", err
	}
	if holder.Number == "" {
		return "", fmt.Errorf("%s and %s tell no personal number", lds.DG1, lds.DG13)
	}
	return holder.Number, nil
}

// sign adds the proof of active authentication, after it was verified once more:
// a signature that does not hold is of no use to anybody.
func (c *c06AA) sign(run *ActiveAuthentication) error {
	key, err := lds.DecodeDG15(c.Key)
	if err != nil {
		return err
	}
	var info *lds.ActiveAuthenticationInfo
	if infos, err := lds.DecodeDG14(c.DG14); err == nil && len(infos.ActiveAuthentication) > 0 {
		info = &infos.ActiveAuthentication[0]
	}
	if c.Algorithm, err = activeauth.Algorithm(key, info, run.Challenge, run.Response); err != nil {
		return err
	}
	c.Challenge, c.Signature = run.Challenge, run.Response
	c.Key, err = lds.SubjectPublicKeyInfo(c.Key)
	return err
}

// ExportFiles writes every file of the evidence into a folder, under the names
// of reader.WriteDocument, and nothing else: no transcript and no word of who
// read them.
func ExportFiles(dir string, e *Evidence) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return reader.WriteDocument(dir, e.Document())
}
