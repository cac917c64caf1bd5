package cvc

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Template is what to put into a certificate.
type Template struct {
	CAR, CHR          Reference
	Key               Key // the holder's
	Authorization     Authorization
	Effective, Expiry Date
	Extensions        []byte // the content of 65, as it stands
}

// Issue makes a certificate, signed by the key that CAR names. A CVCA's comes
// with its curve, any other without, so that a verifier or terminal must use the
// curve of its CVCA. What is made is read again and verified before it is given
// out.
func Issue(rand io.Reader, t Template, signer crypto.Signer, scheme Scheme) (*Certificate, error) {
	chat, err := t.Authorization.encode()
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.CHR, err)
	}
	isCVCA := t.Authorization.Role() == CVCA
	key, err := encodeKey(t.Key, isCVCA)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.CHR, err)
	}
	parts := [][]byte{
		encode(tagProfile, []byte{0}), encode(tagCAR, []byte(t.CAR)), key, encode(tagCHR, []byte(t.CHR)), chat,
		encode(tagEffective, t.Effective.Octets()), encode(tagExpiry, t.Expiry.Octets()),
	}
	if t.Extensions != nil {
		parts = append(parts, encode(tagExtensions, t.Extensions))
	}
	body := encode(tagBody, parts...)
	signature, err := Sign(rand, signer, scheme, body)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.CHR, err)
	}
	c, err := Parse(encode(tagCertificate, body, encode(tagSignature, signature)))
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.CHR, err)
	}
	got, err := c.CheckSignature(Key{scheme, signer.Public()})
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", t.CHR, err)
	}
	if !got.Equal(t.Key) {
		return nil, fmt.Errorf("issue a certificate for %s: %w: its key is on another curve than its signer's", t.CHR, ErrUnsupported)
	}
	return c, nil
}

// Request asks for a certificate (TR-03110-3 C.2): the holder's key, signed with
// itself, and for a renewal signed with the holder's former key too.
type Request struct {
	Raw    []byte
	CAR    Reference // whom it is meant for; empty where it does not say
	CHR    Reference
	Key    Key
	Outer  Reference // the holder's former name, which vouches for this one; empty: nobody does
	vouch  []byte    // outer signature
	signed []byte    // and what it is over
}

// Voucher signs a request for a renewal with the key that is to be replaced.
type Voucher struct {
	CHR    Reference
	Signer crypto.Signer
	Scheme Scheme
}

// NewRequest makes a request; v is nil for the first one of a holder, which
// must be authenticated by other means.
func NewRequest(rand io.Reader, car, chr Reference, signer crypto.Signer, scheme Scheme, v *Voucher) (*Request, error) {
	wrong := func(err error) (*Request, error) {
		return nil, fmt.Errorf("request a certificate for %s: %w", chr, err)
	}
	key, err := encodeKey(Key{scheme, signer.Public()}, true)
	if err != nil {
		return wrong(err)
	}
	parts := [][]byte{encode(tagProfile, []byte{0})}
	if car != "" {
		parts = append(parts, encode(tagCAR, []byte(car)))
	}
	body := encode(tagBody, append(parts, key, encode(tagCHR, []byte(chr)))...)
	signature, err := Sign(rand, signer, scheme, body)
	if err != nil {
		return wrong(err)
	}
	raw := encode(tagCertificate, body, encode(tagSignature, signature))
	if v != nil {
		signed := slices.Concat(raw, encode(tagCAR, []byte(v.CHR)))
		if signature, err = Sign(rand, v.Signer, v.Scheme, signed); err != nil {
			return wrong(err)
		}
		raw = encode(tagRequest, signed, encode(tagSignature, signature))
	}
	return ParseRequest(raw)
}

// ParseRequest reads a request and verifies that its sender holds its key. Who
// the sender is, CheckVoucher tells or nobody.
func ParseRequest(raw []byte) (*Request, error) {
	if len(raw) > maxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(raw))
	}
	raw = bytes.Clone(raw)
	q := &Request{Raw: raw}
	r := reader{rest: raw}
	if outer, ok := r.optional(tagRequest); ok {
		r.end()
		inner := reader{rest: outer.value, err: r.err}
		certificate, name, vouch := inner.next(tagCertificate), inner.next(tagCAR), inner.next(tagSignature)
		inner.end()
		if inner.err != nil {
			return nil, inner.err
		}
		q.Outer, q.vouch = Reference(name.value), vouch.value
		q.signed = outer.value[:len(certificate.raw)+len(name.raw)]
		if err := q.Outer.check(); err != nil {
			return nil, err
		}
		r = reader{rest: certificate.raw}
	}
	certificate := r.next(tagCertificate)
	r.end()
	r = reader{rest: certificate.value, err: r.err}
	body, signature := r.next(tagBody), r.next(tagSignature)
	r.end()
	r = reader{rest: body.value, err: r.err}
	profile := r.next(tagProfile)
	if car, ok := r.optional(tagCAR); ok {
		q.CAR = Reference(car.value)
		if err := q.CAR.check(); err != nil {
			return nil, err
		}
	}
	key, chr := r.next(tagPublicKey), r.next(tagCHR)
	r.optional(tagExtensions) // nothing here makes use of them
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	if err := checkProfile(profile.value); err != nil {
		return nil, err
	}
	q.CHR = Reference(chr.value)
	if err := q.CHR.check(); err != nil {
		return nil, err
	}
	k, err := parseKey(key.value)
	if err != nil {
		return nil, err
	}
	if q.Key, err = k.complete(Key{}); err != nil {
		return nil, err
	}
	if err := q.Key.Verify(body.raw, signature.value); err != nil {
		return nil, fmt.Errorf("request of %s: %w", q.CHR, err)
	}
	return q, nil
}

// ErrNoVoucher says that a request is signed with its own key only.
var ErrNoVoucher = errors.New("nobody vouches for the request")

// CheckVoucher verifies the outer signature with the key of q.Outer, which the
// caller has from that holder's certificate.
func (q *Request) CheckVoucher(former Key) error {
	if q.Outer == "" {
		return fmt.Errorf("request of %s: %w", q.CHR, ErrNoVoucher)
	}
	if err := former.Verify(q.signed, q.vouch); err != nil {
		return fmt.Errorf("request of %s, vouched for by %s: %w", q.CHR, q.Outer, err)
	}
	return nil
}
