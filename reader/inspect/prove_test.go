package inspect_test

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/reader"
	"chipid/reader/inspect"
)

// without is a chip from whose memory keys of chip authentication were taken out.
func without(t testing.TB, c *chip.Chip, keys ...int) *chip.Chip {
	t.Helper()
	const caKeys = 13 // in the chip's state
	var memory map[int]any
	if err := cbor.Unmarshal(c.State(), &memory); err != nil {
		t.Fatal(err)
	}
	held := memory[caKeys].([]any)
	var left []any
	for n, k := range held {
		if !slices.Contains(keys, n) {
			left = append(left, k)
		}
	}
	memory[caKeys] = left
	state, err := cbor.Marshal(memory)
	if err != nil {
		t.Fatal(err)
	}
	c, err = chip.Load(state, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A chip refuses one of the keys that DG14 promises: the next one proves it too,
// and the report says that the first did not. A chip that has none of them is a
// copy, whatever else DG14 offers.
func TestNextOfferOfChipAuthentication(t *testing.T) {
	vn, _ := states(t)
	v := variant{
		pace:    []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)},
		ca:      []perso.ChipKey{{Private: dhKey(t, 2), ID: big.NewInt(1)}, {Private: key(t, 13), ID: big.NewInt(2)}, {Private: key(t, 15), ID: big.NewInt(3)}},
		ciphers: []iso7816.Cipher{iso7816.AES192, iso7816.AES256, iso7816.TripleDES},
	}
	doc, secrets := v.build(t, vn)
	// In the order of DER, but that 3DES comes last.
	names := []string{"CA-DH-AES-CBC-CMAC-192", "CA-ECDH-AES-CBC-CMAC-256", "CA-ECDH-3DES-CBC-CBC"}
	for _, tt := range []struct {
		lacks   []int
		by      string
		verdict inspect.Verdict
		code    string
	}{
		{nil, "", inspect.Genuine, ""},
		{[]int{0}, "CA-ECDH-AES-CBC-CMAC-256", inspect.Genuine, "fallback"},
		{[]int{0, 1}, "CA-ECDH-3DES-CBC-CBC", inspect.Genuine, "fallback"},
		{[]int{0, 1, 2}, "", inspect.Rejected, "clone"},
	} {
		c := without(t, card(t, doc, secrets), tt.lacks...)
		e := roundTrip(t, read(t, reader.NewChipTransport(c), can(secrets)))
		r := inspect.Check(e, vn.store(t), now)
		check := r.Checks.ChipAuthentication
		if r.Verdict != tt.verdict || check.Code != tt.code || tt.by != "" && check.Protocol != tt.by {
			t.Errorf("without keys %v: %s, %s by %s: %s", tt.lacks, r.Verdict, check.Code, check.Protocol, check.Reason)
		}
		for _, n := range tt.lacks {
			if !strings.Contains(check.Reason+check.Protocol, names[n]) {
				t.Errorf("without keys %v: the report does not tell of %s: %s", tt.lacks, names[n], check.Reason)
			}
		}
	}
}

// A DG14 of the most keys that it can have, each in a group that takes long
// to judge, does not keep the reader busy for longer than two of
// them do.
func TestManyGroupsInDG14(t *testing.T) {
	vn, _ := states(t)
	const modp2048 = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff" // RFC 3526 §3
	p, ok := new(big.Int).SetString(modp2048, 16)
	if !ok {
		t.Fatal("the prime is misprinted")
	}
	var infos lds.SecurityInfos
	for n := range 20 {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1})
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1BigInt(p)
					b.AddASN1Int64(int64(4 + 5*n))
				})
			})
			var y cryptobyte.Builder
			y.AddASN1Int64(9)
			b.AddASN1BitString(y.BytesOrPanic())
		})
		id := big.NewInt(int64(n))
		infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, lds.ChipAuthenticationPublicKeyInfo{
			Protocol: lds.OIDChipPublicKey(lds.DH), SubjectPublicKeyInfo: b.BytesOrPanic(), KeyID: id,
		})
		infos.ChipAuthentication = append(infos.ChipAuthentication, lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.DH, iso7816.AES128), Version: 1, KeyID: id})
	}
	dg14, err := lds.EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}}
	doc, secrets := v.build(t, vn)
	// The chip holds no such keys; its DG14 is what a hostile one shows.
	state := hostileFile(t, card(t, doc, secrets), lds.DG14, dg14)
	o, looked := options(can(secrets)), 0
	o.Events = func(e inspect.Event) {
		if e.Type == inspect.EventBegun && strings.HasPrefix(e.Step, "CA-DH") {
			looked++
		}
	}
	e, err := inspect.Read(context.Background(), reader.NewChipTransport(state), o)
	if err != nil && !errors.Is(err, reader.ErrUnusableOffer) {
		t.Fatal(err)
	}
	r := inspect.Check(e, vn.store(t), now)
	if r.Verdict != inspect.Rejected {
		t.Errorf("%s", r.Verdict)
	}
	if looked != 2 {
		t.Errorf("%d of the keys were judged", looked)
	}
}

// hostileFile puts another content under a file's name, past personalisation.
func hostileFile(t testing.TB, c *chip.Chip, f lds.File, content []byte) *chip.Chip {
	t.Helper()
	return withFiles(t, c, func(files []any) []any {
		for _, file := range files {
			entry := file.(map[any]any)
			if entry[uint64(1)] == uint64(f) {
				entry[uint64(2)], entry[uint64(3)] = content, len(content)
			}
		}
		return files
	})
}

// withoutFile takes a file out, past personalisation.
func withoutFile(t testing.TB, c *chip.Chip, f lds.File) *chip.Chip {
	t.Helper()
	return withFiles(t, c, func(files []any) []any {
		left := slices.DeleteFunc(slices.Clone(files), func(file any) bool { return file.(map[any]any)[uint64(1)] == uint64(f) })
		if len(left) != len(files)-1 {
			t.Fatalf("the chip has no %v", f)
		}
		return left
	})
}

// withFiles changes the files in a chip's memory.
func withFiles(t testing.TB, c *chip.Chip, change func([]any) []any) *chip.Chip {
	t.Helper()
	const files = 7
	var memory map[int]any
	if err := cbor.Unmarshal(c.State(), &memory); err != nil {
		t.Fatal(err)
	}
	memory[files] = change(memory[files].([]any))
	state, err := cbor.Marshal(memory)
	if err != nil {
		t.Fatal(err)
	}
	c, err = chip.Load(state, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
