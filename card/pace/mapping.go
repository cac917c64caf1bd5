package pace

import (
	"crypto/cipher"
	"fmt"
	"io"

	"chipid/card/iso7816"
	"chipid/card/lds"
)

// mapping is one side's part of the second exchange: it turns the nonce into
// the generator of the key agreement (Doc 9303-11 §4.4.3.3). Each side sends
// one message, which for some mappings is empty.
type mapping interface {
	message() ([]byte, error)
	generator(nonce, peer []byte) (element, error)
}

// newMapping starts this side's part. The chip authentication mapping is the
// generic one; what it adds comes with the tokens.
func (s suite) newMapping(chip bool, rand io.Reader) mapping {
	if s.mapping == lds.IntegratedMapping {
		return &integrated{group: s.group, cipher: s.cipher, chip: chip, rand: rand}
	}
	return &generic{group: s.group, rand: rand}
}

// generic is the generic mapping: an anonymous Diffie-Hellman agreement on an
// element H, then Ĝ = s·G + H (Doc 9303-11 §4.4.3.3.1).
type generic struct {
	group group
	rand  io.Reader
	own   keyPair
	peer  element
}

func (g *generic) message() ([]byte, error) {
	var err error
	if g.own, err = newKey(g.group, nil, g.rand); err != nil {
		return nil, err
	}
	return g.own.public.encode(), nil
}

func (g *generic) generator(nonce, peer []byte) (element, error) {
	var err error
	if g.peer, err = g.group.parse(peer); err != nil {
		return nil, fmt.Errorf("%w: mapping data: %w", ErrProtocol, err)
	}
	if g.peer.equal(g.own.public) {
		return nil, fmt.Errorf("%w: the mapping data is our own, sent back", ErrProtocol)
	}
	shared, err := g.peer.multiply(g.own.secret)
	if err != nil {
		return nil, fmt.Errorf("%w: mapping data: %w", ErrProtocol, err)
	}
	sG, err := g.group.multiplyGenerator(nonce)
	if err != nil {
		return nil, fmt.Errorf("%w: nonce: %w", ErrProtocol, err)
	}
	mapped, err := sG.add(shared)
	if err != nil {
		return nil, fmt.Errorf("%w: the mapping data cancels the nonce out: %w", ErrProtocol, err)
	}
	return mapped, nil
}

// integrated is the integrated mapping: the terminal sends a second nonce t in
// the clear, and Ĝ = f(R_p(s, t)), where f takes a number to an element whose
// logarithm nobody knows (Doc 9303-11 §4.4.3.3.2). The chip's message is empty.
type integrated struct {
	group  group
	cipher iso7816.Cipher
	chip   bool
	rand   io.Reader
	t      []byte
}

func (m *integrated) message() ([]byte, error) {
	if m.chip {
		return nil, nil
	}
	m.t = make([]byte, m.cipher.KeySize())
	if _, err := io.ReadFull(m.rand, m.t); err != nil {
		return nil, fmt.Errorf("PACE: drawing the mapping nonce: %w", err)
	}
	return m.t, nil
}

func (m *integrated) generator(nonce, peer []byte) (element, error) {
	if m.chip {
		m.t = peer
	} else if len(peer) != 0 {
		return nil, fmt.Errorf("%w: %d octets of mapping data, which the integrated mapping has none of", ErrProtocol, len(peer))
	}
	if n := m.cipher.KeySize(); len(m.t) != n {
		return nil, fmt.Errorf("%w: a mapping nonce of %d octets, not %d", ErrProtocol, len(m.t), n)
	}
	random, err := pseudoRandom(m.cipher, nonce, m.t, m.group.fieldBits())
	if err != nil {
		return nil, err
	}
	mapped, err := m.group.mapNumber(random)
	if err != nil {
		return nil, fmt.Errorf("%w: the nonces map to nothing: %w", ErrProtocol, err)
	}
	return mapped, nil
}

// mapConstants are c0 and c1 of the pseudo-random function, by the length of
// its blocks.
var mapConstants = map[int][2]string{
	16: {
		"\xa6\x68\x89\x2a\x7c\x41\xe3\xca\x73\x9f\x40\xb0\x57\xd8\x59\x04",
		"\xa4\xe1\x36\xac\x72\x5f\x73\x8b\x01\xc1\xf6\x02\x17\xc1\x88\xad",
	},
	32: {
		"\xd4\x63\xd6\x52\x34\x12\x4e\xf7\x89\x70\x54\x98\x6d\xca\x0a\x17\x4e\x28\xdf\x75\x8c\xba\xa0\x3f\x24\x06\x16\x41\x4d\x5a\x16\x76",
		"\x54\xbd\x72\x55\xf0\xaa\xf8\x31\xbe\xc3\x42\x3f\xcf\x39\xd6\x9b\x6c\xbf\x06\x66\x77\xd0\xfa\xae\x5a\xad\xd9\x9d\xf8\xe5\x35\x17",
	},
}

// pseudoRandom is R(s, t) before it is taken modulo p, a chain of keys from
// which blocks are drawn (Doc 9303-11 Figure 2):
//
//	k₀ = E(t, s)   xᵢ = E(kᵢ₋₁, c₁)   kᵢ = E(kᵢ₋₁, c₀)   R = x₁‖x₂‖…‖xₙ
//
// E is the cipher in CBC mode with a zero IV. There are as many blocks as it
// takes for 64 bits more than p has, so that the remainder is as good as even.
func pseudoRandom(c iso7816.Cipher, s, t []byte, bits int) ([]byte, error) {
	constants, ok := mapConstants[len(s)]
	if !ok {
		return nil, fmt.Errorf("%w: a nonce of %d octets for the integrated mapping", ErrProtocol, len(s))
	}
	encrypt := func(key, text []byte) ([]byte, error) {
		block, err := c.Block(key[:c.KeySize()]) // only a key of AES-192 is shorter than what makes it
		if err != nil {
			return nil, err
		}
		out := make([]byte, len(text))
		cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(out, text)
		return out, nil
	}
	key, err := encrypt(t, s)
	if err != nil {
		return nil, err
	}
	var out []byte
	for 8*len(out) < bits+64 {
		x, err := encrypt(key, []byte(constants[1]))
		if err != nil {
			return nil, err
		}
		if key, err = encrypt(key, []byte(constants[0])); err != nil {
			return nil, err
		}
		out = append(out, x...)
	}
	return out, nil
}
