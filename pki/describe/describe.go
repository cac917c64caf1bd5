// Package describe tells what is in a file of the PKI, for people and as JSON:
// certificates, revocation lists, master lists, CMS objects such as EF.SOD,
// card-verifiable certificates, sealed keys. It judges nothing but lists, and those only where it is given
// the root; a description of a forgery looks like one of the original.
package describe

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
	"chipid/pki/keystore"
)

// Object is the description of one file. One of its parts is set.
type Object struct {
	Kind          string          `json:"kind"`
	Certificates  []Certificate   `json:"certificates,omitempty"`
	List          *RevocationList `json:"revocationList,omitempty"`
	MasterList    *MasterList     `json:"masterList,omitempty"`
	DeviationList *DeviationList  `json:"deviationList,omitempty"`
	Signed        *Signed         `json:"signedData,omitempty"` // also of the two lists
	Key           *Key            `json:"key,omitempty"`
	CV            *CV             `json:"cardVerifiable,omitempty"`
}

// Kinds of objects.
const (
	KindCertificate   = "certificate"
	KindList          = "revocation list"
	KindMasterList    = "master list"
	KindDeviationList = "deviation list"
	KindSigned        = "signed data"
	KindKey           = "sealed key"
	KindCV            = "card-verifiable certificate"
	KindCVRequest     = "request for a card-verifiable certificate"
)

// Certificate describes a certificate.
type Certificate struct {
	Subject      string     `json:"subject"`
	Issuer       string     `json:"issuer"`
	SerialNumber string     `json:"serialNumber"` // hex
	NotBefore    time.Time  `json:"notBefore"`
	NotAfter     time.Time  `json:"notAfter"`
	SignsFrom    *time.Time `json:"signsFrom,omitempty"` // private key usage period
	SignsUntil   *time.Time `json:"signsUntil,omitempty"`
	PublicKey    string     `json:"publicKey"`
	Signature    string     `json:"signatureAlgorithm"`
	SelfSigned   bool       `json:"selfSigned"`
	CA           bool       `json:"ca"`
	KeyID        string     `json:"subjectKeyIdentifier,omitempty"`
	IssuerKeyID  string     `json:"authorityKeyIdentifier,omitempty"`
	MRZCountry   string     `json:"mrzCountry,omitempty"`
	Documents    []string   `json:"documentTypes,omitempty"`
	CRLURLs      []string   `json:"revocationListAt,omitempty"`
	SHA256       string     `json:"sha256"`
	Problems     []string   `json:"problems,omitempty"` // what of it cannot be read
}

// RevocationList describes a revocation list. Of its entries it shows the
// first few.
type RevocationList struct {
	Issuer     string     `json:"issuer"`
	Number     string     `json:"number,omitempty"`
	ThisUpdate time.Time  `json:"thisUpdate"`
	NextUpdate *time.Time `json:"nextUpdate,omitempty"`
	Signature  string     `json:"signatureAlgorithm"`
	Count      int        `json:"count"`
	Revoked    []Revoked  `json:"revoked,omitempty"`
	Problems   []string   `json:"problems,omitempty"`
}

// Revoked is an entry of a revocation list.
type Revoked struct {
	SerialNumber string    `json:"serialNumber"`
	At           time.Time `json:"revokedAt"`
}

// maxShown bounds the entries that are shown of a list.
const maxShown = 1000

// Signed describes CMS SignedData.
type Signed struct {
	ContentType  string        `json:"contentType"`
	ContentName  string        `json:"contentName,omitempty"`
	ContentBytes int           `json:"contentBytes"`
	Signers      []Signer      `json:"signers"`
	Certificates []Certificate `json:"certificates"`
}

// Signer describes a signer of a CMS object.
type Signer struct {
	Digest      string     `json:"digest"`
	Signature   string     `json:"signatureAlgorithm"`
	Certificate string     `json:"certificate,omitempty"`
	SigningTime *time.Time `json:"signingTime,omitempty"`
	Holds       bool       `json:"signatureHolds"` // with the named certificate, whoever issued that
	Problem     string     `json:"problem,omitempty"`
	Notes       []string   `json:"notes,omitempty"`
}

// Key describes the public half of a sealed key.
type Key struct {
	PublicKey string          `json:"publicKey"`
	KeyID     string          `json:"subjectKeyIdentifier,omitempty"`
	SPKI      []byte          `json:"subjectPublicKeyInfo,omitempty"`
	Costs     keystore.Params `json:"argon2id"`
}

// maxFile bounds what is looked at.
const maxFile = 128 << 20

// Options for Read.
type Options struct {
	// Unseal is asked for a sealer only where the file is a sealed key.
	Unseal func() (*keystore.Sealer, error)
	// Roots are what a master list or deviation list is verified to.
	Roots []*cert.Certificate
}

// Read describes the content of a file.
func Read(raw []byte, o Options) (*Object, error) {
	if len(raw) > maxFile {
		return nil, fmt.Errorf("more than %d octets", maxFile)
	}
	if costs, err := keystore.Inspect(raw); err == nil {
		return readKey(raw, costs, o.Unseal)
	} else if !errors.Is(err, keystore.ErrNotSealed) {
		return nil, err
	}
	if bytes.Contains(raw, []byte("-----BEGIN ")) {
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, errors.New("holds no readable PEM block")
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return nil, errors.New("a private key that is not sealed; it should not lie about")
		}
		if block.Type != "CERTIFICATE" {
			raw = block.Bytes
		}
	}
	if cv := readCV(raw); cv != nil {
		return cv, nil
	}
	return readDER(raw, o.Roots)
}

func readDER(raw []byte, roots []*cert.Certificate) (*Object, error) {
	list, certErr := cert.ParseAll(raw)
	if certErr == nil {
		o := &Object{Kind: KindCertificate}
		for _, c := range list {
			o.Certificates = append(o.Certificates, certificate(c))
		}
		return o, nil
	}
	if crl, err := cert.ParseCRL(raw); err == nil {
		return &Object{Kind: KindList, List: revocationList(crl)}, nil
	}
	message := unwrap(raw)
	sd, cmsErr := cms.Parse(message)
	if cmsErr == nil {
		o := &Object{Kind: KindSigned, Signed: signedData(sd)}
		return o, o.lists(message, sd, roots)
	}
	return nil, fmt.Errorf("neither a certificate, a revocation list, a CMS object nor a sealed key (as a certificate: %w; as CMS: %w)", certErr, cmsErr)
}

// unwrap takes EF.SOD's tag 77 off (Doc 9303-10 section 4.6.2).
func unwrap(raw []byte) []byte {
	in, inner := cryptobyte.String(raw), cryptobyte.String(nil)
	if len(raw) > 0 && raw[0] == 0x77 && in.ReadASN1(&inner, cbasn1.Tag(0x77)) {
		return inner
	}
	return raw
}

func certificate(c *cert.Certificate) Certificate {
	d := Certificate{
		Subject:      c.Subject.String(),
		Issuer:       c.Issuer.String(),
		SerialNumber: fmt.Sprintf("%X", c.SerialNumber),
		NotBefore:    c.NotBefore,
		NotAfter:     c.NotAfter,
		SignsFrom:    given(c.PrivateKeyUsage.NotBefore),
		SignsUntil:   given(c.PrivateKeyUsage.NotAfter),
		PublicKey:    "cannot be read",
		Signature:    c.SignatureAlgorithm.String(),
		SelfSigned:   c.SelfIssued() && c.CheckSignatureFrom(c) == nil,
		CA:           c.IsCA,
		KeyID:        fmt.Sprintf("%X", c.SubjectKeyID),
		IssuerKeyID:  fmt.Sprintf("%X", c.AuthorityKeyID),
		MRZCountry:   cert.Locality(c.SubjectAltNames),
		Documents:    c.DocumentTypes,
		CRLURLs:      c.CRLURLs,
		SHA256:       digest(c.Raw),
	}
	if c.PublicKeyErr != nil {
		d.Problems = append(d.Problems, c.PublicKeyErr.Error())
	} else {
		d.PublicKey = publicKey(c.PublicKey)
		if c.ExplicitParameters {
			d.PublicKey += ", explicit parameters"
		}
	}
	for _, oid := range c.UnhandledCriticals {
		d.Problems = append(d.Problems, fmt.Sprintf("critical extension %v is not known", oid))
	}
	for _, err := range c.ExtensionErrs {
		d.Problems = append(d.Problems, err.Error())
	}
	return d
}

func publicKey(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *curve.PublicKey:
		return "EC " + key.Curve.Name()
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d bits", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

func revocationList(crl *cert.CRL) *RevocationList {
	d := &RevocationList{
		Issuer:     crl.Issuer.String(),
		ThisUpdate: crl.ThisUpdate,
		NextUpdate: given(crl.NextUpdate),
		Signature:  crl.SignatureAlgorithm.String(),
		Count:      crl.Len(),
	}
	if crl.Number != nil {
		d.Number = crl.Number.String()
	}
	for _, oid := range crl.UnhandledCriticals {
		d.Problems = append(d.Problems, fmt.Sprintf("extension %v makes it another kind of list than this program knows", oid))
	}
	for _, err := range crl.ExtensionErrs {
		d.Problems = append(d.Problems, err.Error())
	}
	for serial, when := range crl.Entries() {
		if len(d.Revoked) == maxShown {
			break
		}
		d.Revoked = append(d.Revoked, Revoked{SerialNumber: fmt.Sprintf("%X", serial), At: when})
	}
	return d
}

var contentNames = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{cms.OIDSecurityObject, "document security object (EF.SOD)"},
	{cms.OIDMasterList, "CSCA master list"},
	{cms.OIDDeviationList, "deviation list"},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 3, 2, 1}, "security infos (EF.CardSecurity)"},
}

func signedData(sd *cms.SignedData) *Signed {
	d := &Signed{ContentType: sd.ContentType.String(), ContentBytes: len(sd.Content), Signers: []Signer{}, Certificates: []Certificate{}}
	for _, n := range contentNames {
		if n.oid.Equal(sd.ContentType) {
			d.ContentName = n.name
		}
	}
	for _, c := range sd.Certificates {
		d.Certificates = append(d.Certificates, certificate(c))
	}
	// The error only sums up the results.
	results, _ := sd.Verify(cms.VerifyOptions{})
	for _, r := range results {
		s := Signer{
			Digest:      r.Signer.DigestAlgorithm.OID.String(),
			Signature:   r.Signer.SignatureAlgorithm.String(),
			SigningTime: given(r.SigningTime),
			Holds:       r.Err == nil,
			Notes:       r.Notes,
		}
		if hash, ok := cert.HashByOID(r.Signer.DigestAlgorithm.OID); ok {
			s.Digest = hash.String()
		}
		if r.Certificate != nil {
			s.Certificate = r.Certificate.Subject.String()
		}
		if r.Err != nil {
			s.Problem = r.Err.Error()
		}
		d.Signers = append(d.Signers, s)
	}
	return d
}

func readKey(raw []byte, costs keystore.Params, unseal func() (*keystore.Sealer, error)) (*Object, error) {
	sealer, err := unseal()
	if err != nil {
		return nil, err
	}
	key, err := keystore.OpenKey(raw, sealer)
	if err != nil {
		return nil, err
	}
	d := &Key{PublicKey: publicKey(key.Public()), Costs: costs}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		id, err := cert.KeyIdentifier(key.Public())
		if err != nil {
			return nil, err
		}
		d.KeyID = fmt.Sprintf("%X", id)
		if d.SPKI, err = cert.MarshalPublicKey(key.Public(), false); err != nil {
			return nil, err
		}
	}
	return &Object{Kind: KindKey, Key: d}, nil
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
