package cert

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Template is what goes into a new certificate.
type Template struct {
	SerialNumber *big.Int // nil: drawn at random, 127 bits
	Subject      Name
	NotBefore    time.Time
	NotAfter     time.Time
	Extensions   []Extension // in this order
	Scheme       Scheme      // 0: the signer's
	// NamedCurve leaves the curve's name in the public key, as for TLS; travel
	// documents have it spelled out.
	NamedCurve bool
}

// Create makes a certificate for pub and signs it. A nil issuer makes it
// self-signed. What it returns has been read again and its signature checked.
func Create(rand io.Reader, t Template, issuer *Certificate, pub crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	der, err := create(rand, t, issuer, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("create the certificate of %s: %w", t.Subject, err)
	}
	return der, nil
}

func create(rand io.Reader, t Template, issuer *Certificate, pub crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial := t.SerialNumber
	if serial == nil {
		var err error
		if serial, err = RandomSerial(rand); err != nil {
			return nil, err
		}
	}
	// Doc 9303-12 Table 5; 20 octets with the sign bit clear.
	if serial.Sign() <= 0 || serial.BitLen() > 159 {
		return nil, errors.New("the serial number is not positive, or longer than 20 octets")
	}
	if t.Subject.Empty() {
		return nil, errors.New("the subject has no name")
	}
	if !t.NotBefore.Before(t.NotAfter) {
		return nil, errors.New("it would end before it begins")
	}
	issuerName := t.Subject.Raw()
	issuerKey := pub
	if issuer != nil {
		issuerName, issuerKey = issuer.RawSubject, issuer.PublicKey
	}
	if !samePublicKey(signer.Public(), issuerKey) {
		return nil, errors.New("the signing key is not the issuer's")
	}
	spki, err := MarshalPublicKey(pub, !t.NamedCurve)
	if err != nil {
		return nil, err
	}
	der, err := signBody(rand, signer, t.Scheme, func(b *cryptobyte.Builder, algorithm Algorithm) {
		b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1BigInt(serial)
		algorithm.AddTo(b)
		b.AddBytes(issuerName)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.NotBefore)
			addTime(b, t.NotAfter)
		})
		b.AddBytes(t.Subject.Raw())
		b.AddBytes(spki)
		if len(t.Extensions) > 0 {
			b.AddASN1(context3, func(b *cryptobyte.Builder) { addExtensions(b, t.Extensions) })
		}
	})
	if err != nil {
		return nil, err
	}
	made, err := Parse(der)
	if err != nil {
		return nil, fmt.Errorf("what was made cannot be read: %w", err)
	}
	if len(made.ExtensionErrs) > 0 {
		return nil, fmt.Errorf("what was made cannot be read: %w", made.ExtensionErrs[0])
	}
	if issuer == nil {
		issuer = made
	}
	// A fault while signing can give the key away; it must not get out.
	if err := made.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	return der, nil
}

// RandomSerial draws a serial number of 16 octets, positive and never zero.
func RandomSerial(rand io.Reader) (*big.Int, error) {
	octets := make([]byte, 16)
	if _, err := io.ReadFull(rand, octets); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	octets[0] = octets[0]&0x3F | 0x40 // all of one length
	return new(big.Int).SetBytes(octets), nil
}

// signBody writes SEQUENCE { body, algorithm, signature }.
func signBody(rand io.Reader, signer crypto.Signer, scheme Scheme, body func(b *cryptobyte.Builder, algorithm Algorithm)) ([]byte, error) {
	if scheme == 0 {
		scheme = SchemeOf(signer)
	}
	algorithm, err := scheme.Algorithm()
	if err != nil {
		return nil, err
	}
	var tbs cryptobyte.Builder
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { body(b, algorithm) })
	message, err := tbs.Bytes()
	if err != nil {
		return nil, err
	}
	_, signature, err := Sign(rand, signer, scheme, message)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(message)
		algorithm.AddTo(b)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// addTime writes UTCTime through 2049 and GeneralizedTime from then on (RFC
// 5280 §4.1.2.5), in whole seconds.
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	switch {
	case t.Year() < 1950 || t.Year() > 9999:
		b.SetError(fmt.Errorf("the year %d cannot stand in a certificate", t.Year()))
	case t.Year() < 2050:
		b.AddASN1UTCTime(t)
	default:
		b.AddASN1GeneralizedTime(t)
	}
}
