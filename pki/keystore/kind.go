package keystore

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
	"strconv"
	"strings"

	"chipid/pki/curve"
)

// Kind is a kind of key to generate: on a curve, or RSA.
type Kind struct {
	Curve   *curve.Curve
	RSABits int // where Curve is nil
}

// RSA moduli that are generated: what Doc 9303-12 section 4.4.1 recommends,
// and no more than takes a minute.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// ParseKind reads the name of a curve, or RSA-BITS.
func ParseKind(name string) (Kind, error) {
	if bits, ok := strings.CutPrefix(name, "RSA-"); ok {
		n, err := strconv.Atoi(bits)
		k := Kind{RSABits: n}
		if err != nil || k.check() != nil || k.String() != name {
			return Kind{}, fmt.Errorf("there is no %s; RSA keys have %d to %d bits, in steps of 256, as in RSA-3072", name, minRSABits, maxRSABits)
		}
		return k, nil
	}
	c, ok := curve.ByName(name)
	if !ok {
		msg := "there is no curve " + name + "; there are"
		for _, c := range curve.Named() {
			msg += " " + c.Name()
		}
		return Kind{}, fmt.Errorf("%s, and RSA-3072, RSA-4096 and other sizes", msg)
	}
	return Kind{Curve: c}, nil
}

// IsZero tells whether nothing was chosen.
func (k Kind) IsZero() bool { return k == Kind{} }

func (k Kind) check() error {
	if k.Curve == nil && (k.RSABits < minRSABits || k.RSABits > maxRSABits || k.RSABits%256 != 0) {
		return fmt.Errorf("no kind of key: %d bits", k.RSABits)
	}
	return nil
}

func (k Kind) String() string {
	if k.Curve != nil {
		return k.Curve.Name()
	}
	return "RSA-" + strconv.Itoa(k.RSABits)
}

// PublicKey is an empty public key of the kind, to ask what fits it.
func (k Kind) PublicKey() crypto.PublicKey {
	if k.Curve != nil {
		return &curve.PublicKey{Curve: k.Curve}
	}
	return new(rsa.PublicKey)
}

// generate makes a key in memory.
func (k Kind) generate(rand io.Reader) (crypto.Signer, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if k.Curve != nil {
		return curve.GenerateKey(k.Curve, rand)
	}
	return rsa.GenerateKey(rand, k.RSABits)
}
