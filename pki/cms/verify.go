package cms

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
)

var (
	// ErrNoSigner: nobody signed the message.
	ErrNoSigner = errors.New("the message has no signer")
	// ErrNoCertificate: the signer's certificate is not at hand.
	ErrNoCertificate = errors.New("the signer's certificate is neither in the message nor given")
	// ErrDigest: the content is not what was signed.
	ErrDigest = errors.New("the content does not match the signed digest")
)

// Oddities that a verified signature may carry. They are findings for a lint
// and no reason to refuse.
const (
	NoteDefiniteLengths = "the signed attributes verify only with definite lengths, not as they came"
	NoteSorted          = "the signed attributes verify only in DER order, not as they came"
	NoteSHA1            = "the content digest is SHA-1, which is no longer collision resistant"
)

// VerifyOptions adds to what a message brings along.
type VerifyOptions struct {
	// Certificates that may be a signer's, beside those in the message.
	Certificates []*cert.Certificate
}

// Result is what verifying one signer gave.
type Result struct {
	Signer      *Signer
	Certificate *cert.Certificate // that verified, or was tried last; nil where none was found
	SigningTime time.Time         // as claimed; zero where not claimed
	Notes       []string
	Err         error // nil where the signature holds
}

// Verify checks each signer's signature with the certificate it names. A
// signature that does not hold is cert.ErrSignature, one that cannot be checked
// cert.ErrUnsupported; the other errors are those above. The
// error is nil only where there is a signer and every signature holds; the
// results tell each one's story in any case.
func (sd *SignedData) Verify(opts VerifyOptions) ([]Result, error) {
	if len(sd.Signers) == 0 {
		return nil, fmt.Errorf("verify CMS SignedData: %w", ErrNoSigner)
	}
	v := verifier{sd: sd, extra: opts.Certificates, digests: map[crypto.Hash][]byte{}}
	results := make([]Result, 0, len(sd.Signers))
	var failed []error
	for i := range sd.Signers {
		result := v.signer(&sd.Signers[i])
		if result.Err != nil {
			failed = append(failed, fmt.Errorf("verify CMS SignedData, signer %d: %w", i+1, result.Err))
		}
		results = append(results, result)
	}
	return results, errors.Join(failed...)
}

type verifier struct {
	sd      *SignedData
	extra   []*cert.Certificate
	digests map[crypto.Hash][]byte // of the content
}

func (v *verifier) signer(s *Signer) Result {
	result := Result{Signer: s}
	result.Err = func() error {
		hash, err := v.checkAttributes(s)
		if err != nil {
			return err
		}
		if hash == crypto.SHA1 {
			result.Notes = append(result.Notes, NoteSHA1)
		}
		if result.SigningTime, err = s.SigningTime(); err != nil {
			return err
		}
		candidates := v.candidates(s)
		if len(candidates) == 0 {
			return v.noCertificate(s)
		}
		forms, err := s.signedForms()
		if err != nil {
			return err
		}
		alg := s.signatureAlgorithm(hash)
		for _, c := range candidates {
			result.Certificate = c
			if c.PublicKeyErr != nil {
				err = c.PublicKeyErr
				continue
			}
			for _, form := range forms {
				if err = cert.Verify(alg, c.PublicKey, form.octets, s.Signature); err == nil {
					if form.note != "" {
						result.Notes = append(result.Notes, form.note)
					}
					return nil
				}
			}
		}
		return fmt.Errorf("signature over the signed attributes: %w", err)
	}()
	return result
}

// checkAttributes holds content type and digest against what was signed.
func (v *verifier) checkAttributes(s *Signer) (crypto.Hash, error) {
	if s.signedAttrs.raw == nil {
		return 0, errors.New("there are no signed attributes, which this content type must have")
	}
	contentType, err := s.attribute("contentType", oidContentType)
	if err != nil {
		return 0, err
	}
	var oid asn1.ObjectIdentifier
	in := cryptobyte.String(contentType)
	if !in.ReadASN1ObjectIdentifier(&oid) || !in.Empty() {
		return 0, errors.New("the signed attribute contentType is missing or malformed")
	}
	if !oid.Equal(v.sd.ContentType) {
		return 0, fmt.Errorf("the signed content type is %v, but the message says %v", oid, v.sd.ContentType)
	}
	value, err := s.attribute("messageDigest", oidMessageDigest)
	if err != nil {
		return 0, err
	}
	var signed []byte
	in = cryptobyte.String(value)
	if !in.ReadASN1Bytes(&signed, cbasn1.OCTET_STRING) || !in.Empty() {
		return 0, errors.New("the signed attribute messageDigest is missing or malformed")
	}
	hash, ok := cert.HashByOID(s.DigestAlgorithm.OID)
	if !ok {
		return 0, fmt.Errorf("unknown digest algorithm %v: %w", s.DigestAlgorithm.OID, cert.ErrUnsupported)
	}
	if subtle.ConstantTimeCompare(signed, v.digest(hash)) != 1 {
		return 0, ErrDigest
	}
	return hash, nil
}

func (v *verifier) digest(hash crypto.Hash) []byte {
	if _, ok := v.digests[hash]; !ok {
		h := hash.New()
		h.Write(v.sd.Content)
		v.digests[hash] = h.Sum(nil)
	}
	return v.digests[hash]
}

func (v *verifier) candidates(s *Signer) []*cert.Certificate {
	var out []*cert.Certificate
	for _, list := range [][]*cert.Certificate{v.sd.Certificates, v.extra} {
		for _, c := range list {
			if len(out) < maxCandidates && s.names(c) {
				out = append(out, c)
			}
		}
	}
	return out
}

func (v *verifier) noCertificate(s *Signer) error {
	err := fmt.Errorf("%w (%s)", ErrNoCertificate, s.id())
	for _, u := range v.sd.Unreadable {
		err = fmt.Errorf("%w; a certificate in the message cannot be read: %w", err, u.Err)
	}
	return err
}

// form is one serialisation of the signed attributes that the signer may have
// signed.
type form struct {
	octets []byte
	note   string
}

// signedForms gives the octets to verify over, in the order to try them.
func (s *Signer) signedForms() ([]form, error) {
	set := s.signedAttrs
	set.tag = byte(cbasn1.SET)
	asCame := bytes.Clone(set.raw)
	asCame[0] = set.tag
	forms := []form{{octets: asCame}}
	for _, other := range []struct {
		sorted bool
		note   string
	}{{false, NoteDefiniteLengths}, {true, NoteSorted}} {
		octets, err := set.definite(other.sorted, 0)
		if err != nil {
			return nil, fmt.Errorf("signedAttrs: %w", err)
		}
		if !bytes.Equal(octets, forms[len(forms)-1].octets) {
			forms = append(forms, form{octets, other.note})
		}
	}
	return forms, nil
}

// Signature algorithms that name only the key: the hash is then the digest's.
var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECKey   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	rsaByHash  = map[crypto.Hash]int{crypto.SHA1: 5, crypto.SHA224: 14, crypto.SHA256: 11, crypto.SHA384: 12, crypto.SHA512: 13}
	ecdsaBySHA = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 10045, 4, 1},
		crypto.SHA224: {1, 2, 840, 10045, 4, 3, 1},
		crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
		crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
		crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
	}
)

func (s *Signer) signatureAlgorithm(hash crypto.Hash) cert.Algorithm {
	switch {
	case s.SignatureAlgorithm.OID.Equal(oidRSA): // RFC 3370 section 3.2
		return cert.Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, rsaByHash[hash]}}
	case s.SignatureAlgorithm.OID.Equal(oidECKey):
		return cert.Algorithm{OID: ecdsaBySHA[hash]}
	}
	return s.SignatureAlgorithm
}
