package curve

import "filippo.io/nistec"

// nistPoint is what the point types of filippo.io/nistec have in common.
type nistPoint[T any] interface {
	*nistec.P224Point | *nistec.P256Point | *nistec.P384Point | *nistec.P521Point
	Add(p, q T) T
	Bytes() []byte
	SetBytes([]byte) (T, error)
	ScalarMult(T, []byte) (T, error)
	ScalarBaseMult([]byte) (T, error)
}

// nist is a group whose arithmetic is the standard library's (filippo.io/nistec
// is its public copy).
type nist[T nistPoint[T]] struct {
	fresh func() T
	size  int
}

// encode maps nistec's one-octet infinity to nil.
func (n nist[T]) encode(p T) []byte {
	if b := p.Bytes(); len(b) > 1 {
		return b
	}
	return nil
}

func (n nist[T]) check(enc []byte) error {
	// nistec also takes compressed points and infinity; chipid does not.
	if len(enc) != 1+2*n.size || enc[0] != 4 {
		return errEncoding
	}
	if _, err := n.fresh().SetBytes(enc); err != nil {
		return errOffCurve
	}
	return nil
}

func (n nist[T]) add(p, q []byte) ([]byte, error) {
	a, err := n.fresh().SetBytes(p)
	if err != nil {
		return nil, err
	}
	b, err := n.fresh().SetBytes(q)
	if err != nil {
		return nil, err
	}
	return n.encode(n.fresh().Add(a, b)), nil
}

func (n nist[T]) mult(p, k []byte) ([]byte, error) {
	a, err := n.fresh().SetBytes(p)
	if err != nil {
		return nil, err
	}
	r, err := n.fresh().ScalarMult(a, k)
	if err != nil {
		return nil, err
	}
	return n.encode(r), nil
}

func (n nist[T]) baseMult(k []byte) ([]byte, error) {
	r, err := n.fresh().ScalarBaseMult(k)
	if err != nil {
		return nil, err
	}
	return n.encode(r), nil
}
