package pace

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// modp4096 is the prime of group 16 of RFC 3526: sound, and not one of ours.
const modp4096 = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95" +
	"19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb" +
	"5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3" +
	"ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603" +
	"9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33" +
	"170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e0" +
	"4a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad9" +
	"46e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d788719a10bdba5b2699c327186af4e23c" +
	"1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6287c59474e6bc05d99b2964fa090c3a2233b" +
	"a186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa993b4ea988d8fddc186ffb7dc90a6c08f4df435c9" +
	"34063199ffffffffffffffff"

// EF.CardAccess is not signed. Groups that will not be taken anyhow must not
// keep the reader busy with the question whether they are sound.
func TestUnknownGroupsCostNothing(t *testing.T) {
	p, ok := new(big.Int).SetString(modp4096, 16)
	if !ok || p.BitLen() != 4096 {
		t.Fatal("the prime is misprinted")
	}
	for _, oid := range []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 3, 1}, {1, 2, 840, 10046, 2, 1}} {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(p)
				b.AddASN1Int64(4)
				if oid[3] == 10046 {
					b.AddASN1BigInt(new(big.Int).Rsh(p, 1))
				}
			})
		})
		info := lds.PACEInfo{Protocol: lds.OIDPACE(lds.DH, lds.GenericMapping, iso7816.AES128), Version: 2, ParameterID: 100, HasParameterID: true}
		offer := Offer{Info: info, Explicit: b.BytesOrPanic()}
		took := time.Hour
		for range 3 { // the quickest: a busy machine takes its time for others
			start := time.Now()
			for range 16 {
				if err := offer.Supported(); !errors.Is(err, ErrUnsupported) {
					t.Fatalf("%v: %v", oid, err)
				}
			}
			took = min(took, time.Since(start))
		}
		if took > time.Second {
			t.Errorf("%v: 16 refusals took %v", oid, took)
		}
	}
}

// A public value modulo p that begins with zeros, as one in 256 does and ours never
// do, may come with or without them; the token is over the number without (Doc
// 9303-11 §9.4.1), and the secret agreed on with them (§9.7.1).
func TestNumbersThatBeginWithZeros(t *testing.T) {
	s, err := newSuite(variant(lds.DH, lds.GenericMapping, iso7816.AES128, 0))
	if err != nil {
		t.Fatal(err)
	}
	var short element
	for k := int64(2); short == nil || short.secret()[0] != 0; k++ {
		if short, err = s.group.multiplyGenerator(big.NewInt(k).Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	padded := short.secret()
	stripped := bytes.TrimLeft(padded, "\x00")
	want := tlv.Encode(0x7F49, s.oid, tlv.Encode(0x84, stripped))
	for _, encoded := range [][]byte{padded, stripped} {
		e, err := s.group.parse(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !e.equal(short) || !bytes.Equal(s.tokenInput(e), want) || len(e.secret()) != s.group.size() {
			t.Errorf("read from %d octets: token over %X, secret of %d", len(encoded), s.tokenInput(e), len(e.secret()))
		}
	}
}
