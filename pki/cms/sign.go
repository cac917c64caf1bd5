package cms

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
)

// SignOptions say who signs and how.
type SignOptions struct {
	// Certificate of the signer; it goes into the message.
	Certificate *cert.Certificate
	// Signer holds the certificate's key.
	Signer crypto.Signer
	// Scheme is the signature scheme; zero means the signer's. Its hash
	// is the content's digest too.
	Scheme cert.Scheme
	// SigningTime is claimed in the signed attributes; zero leaves it out.
	SigningTime time.Time
	// Certificates go into the message beside the signer's own.
	Certificates []*cert.Certificate
	// BySubjectKeyID names the certificate by its subject key identifier, as
	// recommended for master lists (Doc 9303-12 section 9.1); else by issuer
	// and serial number, as recommended for EF.SOD (Doc 9303-10 section
	// 4.6.2.2).
	BySubjectKeyID bool
}

// Sign makes a ContentInfo with SignedData, version 3, in DER.
func Sign(rand io.Reader, contentType asn1.ObjectIdentifier, content []byte, opts SignOptions) ([]byte, error) {
	der, err := sign(rand, contentType, content, opts)
	if err != nil {
		return nil, fmt.Errorf("sign CMS SignedData: %w", err)
	}
	return der, nil
}

func sign(rand io.Reader, contentType asn1.ObjectIdentifier, content []byte, opts SignOptions) ([]byte, error) {
	if opts.Certificate == nil || opts.Signer == nil {
		return nil, errors.New("no certificate or no key to sign with")
	}
	if !sameKey(opts.Certificate.PublicKey, opts.Signer.Public()) {
		return nil, errors.New("the key does not belong to the certificate")
	}
	if opts.BySubjectKeyID && len(opts.Certificate.SubjectKeyID) == 0 {
		return nil, errors.New("the certificate has no subject key identifier to name it by")
	}
	scheme := opts.Scheme
	if scheme == 0 {
		scheme = cert.SchemeOf(opts.Signer)
	}
	hash := scheme.Hash()
	if hash == 0 {
		return nil, fmt.Errorf("there is no scheme %v for a key of type %T", scheme, opts.Certificate.PublicKey)
	}

	attrs, err := signedAttributes(contentType, content, hash, opts.SigningTime)
	if err != nil {
		return nil, err
	}
	toSign, err := encode(byte(cbasn1.SET), attrs)
	if err != nil {
		return nil, err
	}
	algorithm, signature, err := cert.Sign(rand, opts.Signer, scheme, toSign)
	if err != nil {
		return nil, err
	}
	certificates := [][]byte{opts.Certificate.Raw}
	for _, c := range opts.Certificates {
		certificates = append(certificates, c.Raw)
	}
	// A DER SET OF is in order, and nothing needs to be in it twice.
	slices.SortFunc(certificates, bytes.Compare)
	certificates = slices.CompactFunc(certificates, bytes.Equal)

	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3) // RFC 5652 section 5.1: not id-data
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { AddDigestAlgorithm(b, hash) })
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(contentType)
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
				})
				b.AddASN1(context0, func(b *cryptobyte.Builder) {
					for _, raw := range certificates {
						b.AddBytes(raw)
					}
				})
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addSignerID(b, opts)
						AddDigestAlgorithm(b, hash)
						b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
						algorithm.AddTo(b)
						b.AddASN1OctetString(signature)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// addSignerID writes version and sid of SignerInfo (RFC 5652 section 5.3).
func addSignerID(b *cryptobyte.Builder, opts SignOptions) {
	if opts.BySubjectKeyID {
		b.AddASN1Int64(3)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(opts.Certificate.SubjectKeyID) })
		return
	}
	b.AddASN1Int64(1)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(opts.Certificate.RawIssuer)
		b.AddASN1BigInt(opts.Certificate.SerialNumber)
	})
}

// signedAttributes gives the content of the SET, in DER order.
func signedAttributes(contentType asn1.ObjectIdentifier, content []byte, hash crypto.Hash, at time.Time) ([]byte, error) {
	h := hash.New()
	h.Write(content)
	attributes := []func(b *cryptobyte.Builder){
		attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(contentType) }),
		attribute(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.Sum(nil)) }),
	}
	if !at.IsZero() {
		attributes = append(attributes, attribute(oidSigningTime, func(b *cryptobyte.Builder) {
			// RFC 5652 section 11.3: UTCTime through 2049.
			if at = at.UTC(); at.Year() < 2050 {
				b.AddASN1UTCTime(at)
			} else {
				b.AddASN1GeneralizedTime(at)
			}
		}))
	}
	encoded := make([][]byte, len(attributes))
	for i, add := range attributes {
		var b cryptobyte.Builder
		add(&b)
		var err error
		if encoded[i], err = b.Bytes(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(encoded, bytes.Compare)
	return bytes.Join(encoded, nil), nil
}

func attribute(oid asn1.ObjectIdentifier, value func(b *cryptobyte.Builder)) func(b *cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cbasn1.SET, value)
		})
	}
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
