// Package passiveauth is Passive Authentication (Doc 9303-11 §5.1): the
// issuing state signs the hashes of a document's data groups, and whoever reads
// them compares.
//
//	DG1 … DG16 ──hash──▶ LDSSecurityObject ──CMS──▶ EF.SOD ◀── document signer ◀── CSCA
//
// It proves that the data are what the state wrote, and nothing about the chip
// they came from: files can be copied, which is why chip and active
// authentication exist. It also says nothing about who the signer is; whether
// its certificate leads to a trusted CSCA is for pki/trust.
package passiveauth

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // of old documents, for verifying only
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

var (
	// ErrNoSOD says that there is nothing to verify against.
	ErrNoSOD = errors.New("passive authentication: the document has no EF.SOD")
	// ErrSigner says that the signature over the security object is missing or
	// does not hold.
	ErrSigner = errors.New("passive authentication: the signature does not hold")
	// ErrUnchecked says that this program cannot check the signature: its
	// algorithm or the signer's curve is not known here, or the signer's
	// certificate is not at hand. Nothing speaks against it, and nothing for it.
	ErrUnchecked = errors.New("passive authentication: the signature cannot be checked")
	// ErrDataGroup says that a data group is not the one that was signed.
	ErrDataGroup = errors.New("passive authentication: a data group is not what was signed")
)

// Options say how to issue. The zero value is a version 0 object with SHA-256.
type Options struct {
	// Hash of the data groups.
	Hash crypto.Hash
	// LDSVersion and UnicodeVersion, "0108" and "040000", make it a version 1
	// object.
	LDSVersion, UnicodeVersion string
	// Scheme of the signature; zero is what fits the key.
	Scheme cert.Scheme
	// SigningTime is claimed in the signature; zero leaves it out.
	SigningTime time.Time
}

// Issue signs the data groups of doc and gives EF.SOD. It verifies what it
// made before it gives it out: a card whose signature does not hold is found
// at the border, years later, by somebody else.
func Issue(rand io.Reader, doc *lds.Document, ds *cert.Certificate, signer crypto.Signer, opts Options) ([]byte, error) {
	if opts.Hash == 0 {
		opts.Hash = crypto.SHA256
	}
	if opts.Hash == crypto.SHA1 {
		return nil, errors.New("issue EF.SOD: SHA-1 is for verifying old documents only")
	}
	object, err := NewSecurityObject(doc, opts.Hash)
	if err != nil {
		return nil, err
	}
	object.LDSVersion, object.UnicodeVersion = opts.LDSVersion, opts.UnicodeVersion
	content, err := object.Encode()
	if err != nil {
		return nil, err
	}
	signed, err := cms.Sign(rand, cms.OIDSecurityObject, content, cms.SignOptions{
		Certificate: ds, Signer: signer, Scheme: opts.Scheme, SigningTime: opts.SigningTime,
	})
	if err != nil {
		return nil, fmt.Errorf("issue EF.SOD: %w", err)
	}
	sod := lds.EncodeSOD(signed)

	var made lds.Document
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		made.Set(f, raw)
	}
	made.Set(lds.EFSOD, sod)
	result, err := Verify(&made)
	if err == nil {
		err = result.Err()
	}
	if err == nil && !bytes.Equal(result.Signer.Raw, ds.Raw) {
		err = errors.New("it names another signer")
	}
	if err != nil {
		return nil, fmt.Errorf("issue EF.SOD: what was signed does not verify, so it is not given out: %w", err)
	}
	return sod, nil
}

// Status is how a data group stands to the signed object.
type Status string

// The statuses. A data group that was read but is not signed is as bad as one
// that does not match: anybody can have put it there.
const (
	Match     Status = "match"
	Mismatch  Status = "mismatch"
	NotSigned Status = "not_in_sod"
	NotRead   Status = "not_read"
)

// DataGroup is the verdict on one data group.
type DataGroup struct {
	Number int
	Status Status
}

// Result is what Verify found.
type Result struct {
	Object      SecurityObject
	Signer      *cert.Certificate // the first of Signers; where there is none, who was tried last, or nil
	SigningTime time.Time         // as claimed; zero where it is not
	Notes       []string          // oddities of the signature that do not make it fail
	// Signers are all whose signatures hold. Documents have one; some have
	// another beside it, of a kind that only newer readers know.
	Signers []*cert.Certificate
	// Signature is nil where a signature holds, and none that can be checked
	// does not; else it is ErrSigner or ErrUnchecked.
	Signature error
	// DataGroups that are signed or were read, in order.
	DataGroups []DataGroup
}

// Err is nil where the signature holds and no data group contradicts it. Data
// groups that were not read are no error.
func (r *Result) Err() error {
	if r.Signature != nil {
		return r.Signature
	}
	var bad []string
	for _, g := range r.DataGroups {
		switch g.Status {
		case Mismatch:
			bad = append(bad, fmt.Sprintf("DG%d was changed", g.Number))
		case NotSigned:
			bad = append(bad, fmt.Sprintf("DG%d is not signed", g.Number))
		}
	}
	if bad != nil {
		return fmt.Errorf("%w: %s", ErrDataGroup, strings.Join(bad, ", "))
	}
	return nil
}

// Status gives a data group's, NotRead for one that neither was read nor is
// signed.
func (r *Result) Status(number int) Status {
	for _, g := range r.DataGroups {
		if g.Number == number {
			return g.Status
		}
	}
	return NotRead
}

// Verify compares the data groups of doc with its EF.SOD. The signer's
// certificate is in the EF.SOD or, as LDS version 0 allowed, among others.
//
// The error says that there is no EF.SOD or that it cannot be read; everything
// else is in the result.
func Verify(doc *lds.Document, others ...*cert.Certificate) (*Result, error) {
	raw, ok := doc.Get(lds.EFSOD)
	if !ok {
		return nil, ErrNoSOD
	}
	r, err := VerifySOD(raw, others...)
	if err != nil {
		return nil, err
	}
	return r.Compare(doc)
}

// VerifySOD is the part of Verify that needs no data group, and costs most: who
// reads a chip can do it while the data groups come.
func VerifySOD(sod []byte, others ...*cert.Certificate) (*Result, error) {
	signed, object, err := parseSOD(sod)
	if err != nil {
		return nil, err
	}
	r := &Result{Object: object}
	results, err := signed.Verify(cms.VerifyOptions{Certificates: others})
	switch {
	case !isSecurityObject(signed.ContentType):
		// Something else that the same key signed, and that happens to parse.
		r.Signature = fmt.Errorf("%w: it signs a content of type %s, not a security object", ErrSigner, signed.ContentType)
	case err != nil:
		if fault := signatureFault(results); fault != nil {
			r.Signature = fmt.Errorf("%w: %w", fault, err)
		} else {
			r.Notes = append(r.Notes, fmt.Sprintf("one of several signatures cannot be checked: %v", err))
		}
	}
	r.takeSigners(results)
	if !signed.ContentType.Equal(cms.OIDSecurityObject) && r.Signature == nil {
		r.Notes = append(r.Notes, NoteContentType)
	}
	return r, nil
}

// Listed gives the numbers of the data groups that EF.SOD says there are,
// whether or not anybody signed that.
func Listed(sod []byte) ([]int, error) {
	_, object, err := parseSOD(sod)
	if err != nil {
		return nil, err
	}
	return object.DataGroups(), nil
}

func parseSOD(sod []byte) (*cms.SignedData, SecurityObject, error) {
	message, err := lds.DecodeSOD(sod)
	if err != nil {
		return nil, SecurityObject{}, fmt.Errorf("passive authentication: %w", err)
	}
	signed, err := cms.Parse(message)
	if err != nil {
		return nil, SecurityObject{}, fmt.Errorf("passive authentication: EF.SOD: %w", err)
	}
	object, err := ParseSecurityObject(signed.Content)
	return signed, object, err
}

// Compare holds the data groups of doc against a security object: the result
// is that of Verify. r stays as it is.
func (r *Result) Compare(doc *lds.Document) (*Result, error) {
	present, err := NewSecurityObject(doc, r.Object.Hash)
	if err != nil {
		return nil, err
	}
	compared := *r
	compared.DataGroups = nil
	for n := 1; n <= lastDataGroup; n++ {
		want, signed := r.Object.Hashes[n]
		got, read := present.Hashes[n]
		status := Match
		switch {
		case !signed && !read:
			continue
		case !read:
			status = NotRead
		case !signed:
			status = NotSigned
		case subtle.ConstantTimeCompare(want, got) != 1:
			status = Mismatch
		}
		compared.DataGroups = append(compared.DataGroups, DataGroup{n, status})
	}
	return &compared, nil
}

// NoteContentType says that the security object is signed under an object
// identifier from before ICAO had its own.
const NoteContentType = "the content type is an old one of the LDSSecurityObject"

// isSecurityObject knows ICAO's object identifier and the two that documents
// carry from before Doc 9303 settled on it.
func isSecurityObject(contentType asn1.ObjectIdentifier) bool {
	for _, oid := range []asn1.ObjectIdentifier{
		cms.OIDSecurityObject, {1, 3, 27, 1, 1, 1}, {1, 2, 528, 1, 1006, 1, 20, 1},
	} {
		if contentType.Equal(oid) {
			return true
		}
	}
	return false
}

// takeSigners takes over what verifying told of those who signed.
func (r *Result) takeSigners(results []cms.Result) {
	for _, one := range results {
		r.Notes = append(r.Notes, one.Notes...)
		if one.Err != nil {
			if len(r.Signers) == 0 {
				r.Signer = one.Certificate
			}
			continue
		}
		if len(r.Signers) == 0 {
			r.Signer, r.SigningTime = one.Certificate, one.SigningTime
		}
		r.Signers = append(r.Signers, one.Certificate)
	}
}

// signatureFault tells signatures of which one at least does not hold from
// those of which none holds, but none was found wrong either. It is nil where
// one holds and none is wrong.
func signatureFault(results []cms.Result) error {
	fault := ErrUnchecked
	if len(results) == 0 {
		return ErrSigner
	}
	for _, one := range results {
		switch err := one.Err; {
		case err == nil:
			fault = nil
		case errors.Is(err, cert.ErrUnsupported), errors.Is(err, curve.ErrUnsupportedCurve), errors.Is(err, cms.ErrNoCertificate):
		default:
			return ErrSigner
		}
	}
	return fault
}
