package lds

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// DomainParameters say where PACE or chip authentication compute: on a curve or
// in a group modulo a prime. One of the two is set.
type DomainParameters struct {
	Curve *curve.Curve
	Group *dh.Group
}

// maxStandardizedID ends the numbers that are kept for the table of
// standardised domain parameters; explicit ones have others (Doc 9303-11
// §9.5.1).
const maxStandardizedID = 31

// IsStandardizedID tells whether a parameterId means the table and not a
// PACEDomainParameterInfo.
func IsStandardizedID(id int) bool { return id >= 0 && id <= maxStandardizedID }

// StandardizedParameters finds domain parameters by their number in the table
// of Doc 9303-11 §9.5.1: 0 to 2 and 8 to 18.
func StandardizedParameters(id int) (DomainParameters, bool) {
	if g, ok := dh.ByDomainParameterID(id); ok {
		return DomainParameters{Group: g}, true
	}
	if c, ok := curve.ByDomainParameterID(id); ok {
		return DomainParameters{Curve: c}, true
	}
	return DomainParameters{}, false
}

// Agreement says which of the two it is; 0 for neither.
func (p DomainParameters) Agreement() KeyAgreement {
	switch {
	case p.Curve != nil:
		return ECDH
	case p.Group != nil:
		return DH
	}
	return 0
}

// Known tells whether the parameters are ones that everybody may know to be
// sound: a named curve, a standardised group. Others are the issuer's own.
func (p DomainParameters) Known() bool {
	if p.Group != nil {
		_, ok := p.Group.DomainParameterID()
		return ok
	}
	return p.Curve != nil && p.Curve.Name() != ""
}

var (
	// oidStandardizedParameters is an AlgorithmIdentifier whose parameter is a
	// number of the table of domain parameters.
	oidStandardizedParameters = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 2}
	oidECPublicKey            = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// minUnsignedCurve is the length that the order of a curve of nobody's table must
// have: that of the weakest curve in the table that is still good.
const minUnsignedCurve = 224

// ParseUnsignedParameters is ParseDomainParameters for what nobody has signed. It
// takes Known parameters, and others where they are sound and strong enough for
// whoever may have chosen them; the bounds also keep the work of judging small.
// Package pace says what depends on it.
func ParseUnsignedParameters(algorithm []byte) (DomainParameters, error) {
	p, err := parseParameters(algorithm, dh.ParseUnsigned)
	if err == nil && p.Curve != nil && !p.Known() && p.Curve.BitSize() < minUnsignedCurve {
		return DomainParameters{}, fmt.Errorf("domain parameters: a curve of %d bits that is in no table: %w", p.Curve.BitSize(), cert.ErrUnsupported)
	}
	return p, err
}

// ParseDomainParameters reads an AlgorithmIdentifier as Doc 9303-11 §9.5 has
// them: standardizedDomainParameters, ecPublicKey, dhpublicnumber, and
// dhKeyAgreement of PKCS#3.
func ParseDomainParameters(algorithm []byte) (DomainParameters, error) {
	return parseParameters(algorithm, dh.ParseAlgorithm)
}

func parseParameters(algorithm []byte, parseGroup func([]byte) (*dh.Group, error)) (DomainParameters, error) {
	input := cryptobyte.String(algorithm)
	var body cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !input.ReadASN1(&body, cbasn1.SEQUENCE) || !input.Empty() || !body.ReadASN1ObjectIdentifier(&oid) {
		return DomainParameters{}, fmt.Errorf("domain parameters: %w", ErrMalformed)
	}
	switch {
	case oid.Equal(oidStandardizedParameters):
		var id int
		if !body.ReadASN1Integer(&id) || !body.Empty() {
			return DomainParameters{}, fmt.Errorf("domain parameters: %w", ErrMalformed)
		}
		p, ok := StandardizedParameters(id)
		if !ok {
			return DomainParameters{}, fmt.Errorf("domain parameters %d: %w", id, cert.ErrUnsupported)
		}
		return p, nil
	case oid.Equal(oidECPublicKey):
		c, _, err := curve.ParseParameters(body)
		if err != nil {
			return DomainParameters{}, fmt.Errorf("domain parameters: %w", err)
		}
		return DomainParameters{Curve: c}, nil
	case dh.IsAlgorithm(oid):
		g, err := parseGroup(algorithm)
		if err != nil {
			return DomainParameters{}, fmt.Errorf("domain parameters: %w", err)
		}
		return DomainParameters{Group: g}, nil
	}
	return DomainParameters{}, fmt.Errorf("domain parameters of algorithm %v: %w", oid, cert.ErrUnsupported)
}

// ParametersAlgorithm makes an AlgorithmIdentifier of domain parameters as other
// programs write them to a file: ECParameters, a curve's object identifier, the
// DHParameter of PKCS#3, the DomainParameters of X9.42, all DER. An
// AlgorithmIdentifier stays as it is.
func ParametersAlgorithm(der []byte) ([]byte, error) {
	input := cryptobyte.String(der)
	var body cryptobyte.String
	oid := oidECPublicKey
	switch {
	case input.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER):
	case !input.ReadASN1(&body, cbasn1.SEQUENCE) || !input.Empty():
		return nil, fmt.Errorf("domain parameters: %w: not one SEQUENCE in DER", ErrMalformed)
	case body.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER):
		return der, nil
	default:
		// After the first number a curve has its field; groups have numbers only.
		integers := 0
		for body.PeekASN1Tag(cbasn1.INTEGER) && body.SkipASN1(cbasn1.INTEGER) {
			integers++
		}
		switch {
		case integers == 1 && !body.Empty():
		case integers == 2:
			oid = dh.OIDPKCS3()
		case integers == 3 || integers == 4:
			// The third may be a length of PKCS#3; an order is longer than that.
			if oid = dh.OIDX942(); shortThird(der) {
				oid = dh.OIDPKCS3()
			}
		default:
			return nil, fmt.Errorf("domain parameters: %w: neither a curve's nor a group's", ErrMalformed)
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddBytes(der)
	})
	return b.Bytes()
}

// shortThird tells whether the third number of a SEQUENCE has four octets at most.
func shortThird(der []byte) bool {
	input := cryptobyte.String(der)
	var body, third cryptobyte.String
	return input.ReadASN1(&body, cbasn1.SEQUENCE) && body.SkipASN1(cbasn1.INTEGER) && body.SkipASN1(cbasn1.INTEGER) &&
		body.ReadASN1(&third, cbasn1.INTEGER) && len(third) <= 4
}
