package pace

import (
	"bytes"
	"fmt"
	"io"

	"chipid/card/lds"
	"chipid/pki/curve"
)

// mapping is one side's part of the second exchange: it turns the nonce into
// the generator of the key agreement (Doc 9303-11 §4.4.3.3). Each side sends
// one message, which for some mappings is empty.
type mapping interface {
	message() ([]byte, error)
	generator(nonce, peer []byte) (*curve.Point, error)
}

// mappings are those that this package speaks.
var mappings = map[lds.Mapping]func(*curve.Curve, io.Reader) mapping{
	lds.GenericMapping: newGeneric,
}

// generic is the generic mapping over an elliptic curve: an anonymous
// Diffie-Hellman agreement on a point H, then Ĝ = s·G + H (Doc 9303-11
// §4.4.3.3.1).
type generic struct {
	curve  *curve.Curve
	rand   io.Reader
	secret []byte
	public *curve.Point
}

func newGeneric(c *curve.Curve, rand io.Reader) mapping { return &generic{curve: c, rand: rand} }

func (g *generic) message() ([]byte, error) {
	var err error
	if g.secret, err = g.curve.RandomScalar(g.rand); err != nil {
		return nil, err
	}
	if g.public, err = g.curve.ScalarBaseMult(g.secret); err != nil {
		return nil, err
	}
	return g.public.Bytes(), nil
}

func (g *generic) generator(nonce, peer []byte) (*curve.Point, error) {
	theirs, err := g.curve.ParsePoint(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: mapping data: %w", ErrProtocol, err)
	}
	if bytes.Equal(peer, g.public.Bytes()) {
		return nil, fmt.Errorf("%w: the mapping data is our own, sent back", ErrProtocol)
	}
	shared, err := theirs.ScalarMult(g.secret)
	if err != nil {
		return nil, fmt.Errorf("%w: mapping data: %w", ErrProtocol, err)
	}
	sG, err := g.curve.ScalarBaseMult(nonce)
	if err != nil {
		return nil, fmt.Errorf("%w: nonce: %w", ErrProtocol, err)
	}
	mapped := sG.Add(shared)
	if mapped.IsInfinity() {
		return nil, fmt.Errorf("%w: the mapping data cancels the nonce out", ErrProtocol)
	}
	return mapped, nil
}
