package inspect_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/cvc"
	"chipid/reader"
	"chipid/reader/inspect"
	"chipid/reader/trace"
)

// A recorded conversation stands in for the card, whatever protocols it is of:
// read again from its trace, with the same randomness, it gives the very same
// evidence. And who reads the trace is told of each step by its name.
func TestReplayOfEveryProtocol(t *testing.T) {
	vn, utopia := states(t)
	// Not on P-256: the standard library's signatures differ though the random
	// numbers are the same.
	root, credential := inspectorsOn(t, 13, cvc.AllRights)
	ec := []perso.ChipKey{{Private: key(t, 13)}}
	gm := info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)
	aes := []iso7816.Cipher{iso7816.AES128}
	built := func(v variant) (*lds.Document, perso.Secrets) { return v.build(t, vn) }
	for name, tt := range map[string]struct {
		build     func() (*lds.Document, perso.Secrets)
		passwords func(perso.Secrets) inspect.Passwords
		terminal  *termauth.Credential
		hide      bool // EF.CardAccess, so that BAC opens the chip
		habits    []chip.Habit
		told      []string // in the words of the trace, in this order
	}{
		"BAC, CA with 3DES": {
			build: func() (*lds.Document, perso.Secrets) {
				return built(variant{pace: []lds.PACEInfo{gm}, ca: ec, ciphers: []iso7816.Cipher{iso7816.TripleDES}})
			},
			passwords: zone, hide: true, told: []string{"for BAC", "mutual authentication (BAC)", "set KAT with the terminal's key"},
		},
		"ECDH-GM, CA, AA with ECDSA": {
			build: func() (*lds.Document, perso.Secrets) { return vn.doc, vn.secrets }, passwords: can,
			told: []string{"set AT for mutual authentication (PACE): PACE-ECDH-GM-AES-CBC-CMAC-128, CAN", "PACE, step 4", "chip authentication: key agreement", "active authentication"},
		},
		"ECDH-GM by MRZ, AA with RSA": {
			build: func() (*lds.Document, perso.Secrets) { return utopia.doc, utopia.secrets }, passwords: zone,
			told: []string{"PACE-ECDH-GM-AES-CBC-CMAC-256, MRZ", "active authentication"},
		},
		"ECDH-IM": {
			build: func() (*lds.Document, perso.Secrets) {
				return built(variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.IntegratedMapping, iso7816.AES256, 16)}, ca: ec, ciphers: aes})
			},
			passwords: can, told: []string{"PACE-ECDH-IM-AES-CBC-CMAC-256, CAN", "PACE, step 2"},
		},
		"DH-GM, CA modulo a prime": {
			build: func() (*lds.Document, perso.Secrets) {
				return built(variant{pace: []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES128, 1)}, ca: []perso.ChipKey{{Private: dhKey(t, 2)}}, ciphers: aes})
			},
			passwords: can, told: []string{"PACE-DH-GM-AES-CBC-CMAC-128, CAN", "CA-DH-AES-CBC-CMAC-128"},
		},
		"DH-IM": {
			build: func() (*lds.Document, perso.Secrets) {
				return built(variant{pace: []lds.PACEInfo{info(lds.DH, lds.IntegratedMapping, iso7816.TripleDES, 0)}, ca: ec, ciphers: aes})
			},
			passwords: can, told: []string{"PACE-DH-IM-3DES-CBC-CBC, CAN"},
		},
		"PACE-CAM and TA": {
			build: func() (*lds.Document, perso.Secrets) {
				return built(variant{
					pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13)}, mapping: key(t, 13), trust: []*cvc.Certificate{root},
					files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 300))},
				})
			},
			passwords: can, terminal: &credential,
			told: []string{
				"PACE-ECDH-CAM-AES-CBC-CMAC-128, CAN", "set DST: whose key verifies the next certificate: VNCVCA00001", "verify the certificate of VNDV00001 by VNCVCA00001",
				"verify the certificate of VNTERM00001 by VNDV00001", "set AT for terminal authentication: VNTERM00001", "for terminal authentication", "the terminal's signature", "DG3 by",
			},
		},
		"a chip with other ways": {
			build: func() (*lds.Document, perso.Secrets) { return vn.doc, vn.secrets }, passwords: can, habits: []chip.Habit{chip.NoMasterFile},
			told: []string{"PACE, step 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, secrets := tt.build()
			var inner reader.Transport = reader.NewChipTransport(card(t, doc, secrets, tt.habits...))
			if tt.hide {
				inner = &hiding{inner, doc, lds.EFCardAccess}
			}
			o := func() inspect.Options {
				return inspect.Options{
					Passwords: tt.passwords(secrets), Terminal: tt.terminal, Now: func() time.Time { return now },
					Rand: rand.NewChaCha8([32]byte{7}),
				}
			}
			var file bytes.Buffer
			rec := trace.NewRecorder(inner, &file, trace.Options{Now: func() time.Time { return now }, Mask: trace.MaskNothing})
			first, err := inspect.Read(context.Background(), rec.Transport(), o())
			if err != nil {
				t.Fatal(err)
			}
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			tr, err := trace.Read(bytes.NewReader(file.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			replay, err := trace.NewReplay(tr)
			if err != nil {
				t.Fatal(err)
			}
			second, err := inspect.Read(context.Background(), replay.Transport(), o())
			if err != nil {
				t.Fatal(err)
			}
			if err := replay.Done(); err != nil {
				t.Error(err)
			}
			first.Traffic.Millis, second.Traffic.Millis = 0, 0 // of the real clock
			if !reflect.DeepEqual(first, second) {
				t.Error("the replay gives other evidence")
			}
			at := 0
			for _, d := range tr.Describe() {
				if at < len(tt.told) && strings.Contains(d.Meaning, tt.told[at]) {
					at++
				}
			}
			if at < len(tt.told) {
				t.Errorf("%q is not told, or not in its place", tt.told[at])
			}
		})
	}
}
