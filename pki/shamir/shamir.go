// Package shamir splits a secret so that any k of n shares give it back, and
// k − 1 of them tell nothing about it (A. Shamir, How to share a secret, CACM
// 22, 1979).
//
// Each octet of the secret is the value at 0 of a polynomial of degree k − 1
// over GF(2⁸), whose other coefficients are random; share x holds the values
// at x. k values fix the polynomial, and with fewer every secret is as likely.
//
// It is written here rather than taken from a library: it is sixty lines, the
// text form with its checks is ours in any case, and field arithmetic is in
// constant time, which the common implementations, with their tables, are not.
package shamir

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxShares: x is an octet other than 0; more than this is no ceremony.
	MaxShares = 32
	maxSecret = 64

	version   = 1
	headSize  = 1 + setSize + 1 + 1
	setSize   = 4
	checkSize = 4
)

var (
	// ErrShare: a text is no share, or was copied wrongly.
	ErrShare = errors.New("not a share, or copied wrongly")
	// ErrTooFew: more shares are needed.
	ErrTooFew = errors.New("too few shares")
	// ErrMixed: shares of different secrets.
	ErrMixed = errors.New("the shares are not of one secret")
)

// Share is one part of a secret.
type Share struct {
	// Set tells the shares of one Split from others'.
	Set [setSize]byte
	// Needed is how many shares give the secret back.
	Needed int
	// X is the share's number, from 1.
	X int
	y []byte
}

// Split makes n shares of a secret, k of which give it back.
func Split(rand io.Reader, secret []byte, k, n int) ([]Share, error) {
	if k < 2 || k > n || n > MaxShares {
		return nil, fmt.Errorf("split a secret: %d of %d shares: at least 2 are needed, of at most %d", k, n, MaxShares)
	}
	if len(secret) < 1 || len(secret) > maxSecret {
		return nil, fmt.Errorf("split a secret: it has %d octets, not 1 to %d", len(secret), maxSecret)
	}
	coefficients := make([]byte, (k-1)*len(secret))
	var set [setSize]byte
	for _, part := range [][]byte{coefficients, set[:]} {
		if _, err := io.ReadFull(rand, part); err != nil {
			return nil, fmt.Errorf("split a secret: %w", err)
		}
	}
	shares := make([]Share, n)
	for i := range shares {
		x := byte(i + 1)
		y := make([]byte, len(secret))
		for j := range secret {
			// Horner, from the highest coefficient to the secret.
			var v byte
			for d := k - 2; d >= 0; d-- {
				v = multiply(v^coefficients[d*len(secret)+j], x)
			}
			y[j] = v ^ secret[j]
		}
		shares[i] = Share{set, k, int(x), y}
	}
	return shares, nil
}

// Combine gives the secret back. Further shares than are needed must agree.
func Combine(shares []Share) ([]byte, error) {
	if len(shares) == 0 {
		return nil, fmt.Errorf("combine shares: %w: there is none", ErrTooFew)
	}
	first := shares[0]
	var distinct []Share
	for _, s := range shares {
		if s.Set != first.Set || s.Needed != first.Needed || len(s.y) != len(first.y) || s.X < 1 || s.X > MaxShares {
			return nil, fmt.Errorf("combine shares: %w", ErrMixed)
		}
		known := false
		for _, d := range distinct {
			if d.X == s.X {
				known = true
				if subtle.ConstantTimeCompare(d.y, s.y) != 1 {
					return nil, fmt.Errorf("combine shares: %w: there are two different ones numbered %d", ErrMixed, s.X)
				}
			}
		}
		if !known {
			distinct = append(distinct, s)
		}
	}
	if len(distinct) < first.Needed {
		return nil, fmt.Errorf("combine shares: %w: %d different ones are there, %d are needed", ErrTooFew, len(distinct), first.Needed)
	}
	secret := interpolate(distinct[:first.Needed], 0)
	for _, s := range distinct[first.Needed:] {
		if subtle.ConstantTimeCompare(interpolate(distinct[:first.Needed], byte(s.X)), s.y) != 1 {
			return nil, fmt.Errorf("combine shares: %w: number %d does not agree with the others", ErrMixed, s.X)
		}
	}
	return secret, nil
}

// interpolate gives the polynomial's values at a place (Lagrange).
func interpolate(shares []Share, at byte) []byte {
	out := make([]byte, len(shares[0].y))
	for i, s := range shares {
		weight := byte(1)
		for j, o := range shares {
			if i != j {
				weight = multiply(weight, multiply(at^byte(o.X), inverse(byte(s.X)^byte(o.X))))
			}
		}
		for j := range out {
			out[j] ^= multiply(weight, s.y[j])
		}
	}
	return out
}

// multiply is the product in GF(2⁸) modulo x⁸+x⁴+x³+x+1, in constant time.
func multiply(a, b byte) byte {
	var p byte
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1B&-(a>>7)
		b >>= 1
	}
	return p
}

// inverse is a to the power of 254.
func inverse(a byte) byte {
	r := byte(1)
	for range 7 { // 254 = 2 + 4 + … + 128
		a = multiply(a, a)
		r = multiply(r, a)
	}
	return r
}

// letters leaves out what is mistaken for something else when read aloud or
// typed from paper: 0, 1, O and I.
var letters = base32.NewEncoding("ABCDEFGHJKLMNPQRSTUVWXYZ23456789").WithPadding(base32.NoPadding)

// Text is the share as it is printed and typed: groups of letters and
// digits, with a check against slips. It is secret.
func (s Share) Text() string {
	raw := append([]byte{version}, s.Set[:]...)
	raw = append(raw, byte(s.Needed), byte(s.X))
	raw = append(raw, s.y...)
	sum := sha256.Sum256(raw)
	text := letters.EncodeToString(append(raw, sum[:checkSize]...))
	var groups []string
	for len(text) > 4 {
		groups, text = append(groups, text[:4]), text[4:]
	}
	return strings.Join(append(groups, text), "-")
}

// String keeps the share out of logs.
func (s Share) String() string { return fmt.Sprintf("share %d of a secret (not shown)", s.X) }

// GoString is String.
func (s Share) GoString() string { return s.String() }

// Parse reads a share as Text wrote it; case, blanks and dashes do not matter.
func Parse(text string) (Share, error) {
	if len(text) > 1024 {
		return Share{}, fmt.Errorf("read a share: %w", ErrShare)
	}
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -\t\r\n", r) {
			return -1
		}
		return r
	}, strings.ToUpper(text))
	raw, err := letters.DecodeString(clean)
	if err != nil || len(raw) < headSize+1+checkSize || len(raw) > headSize+maxSecret+checkSize {
		return Share{}, fmt.Errorf("read a share: %w", ErrShare)
	}
	body, check := raw[:len(raw)-checkSize], raw[len(raw)-checkSize:]
	sum := sha256.Sum256(body)
	s := Share{Set: [setSize]byte(body[1:]), Needed: int(body[1+setSize]), X: int(body[2+setSize]), y: body[headSize:]}
	if subtle.ConstantTimeCompare(sum[:checkSize], check) != 1 || body[0] != version || s.Needed < 2 || s.Needed > MaxShares || s.X < 1 || s.X > MaxShares {
		return Share{}, fmt.Errorf("read a share: %w", ErrShare)
	}
	return s, nil
}
