package iso7816

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"chipid/card/tlv"
	"chipid/testdata/doc9303"
)

var ciphers = []Cipher{TripleDES, AES128, AES192, AES256}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// testKeys are of no worth but differ from one another.
func testKeys(c Cipher) SessionKeys {
	k := SessionKeys{Cipher: c, Enc: make([]byte, c.KeySize()), MAC: make([]byte, c.KeySize())}
	for i := range k.Enc {
		k.Enc[i], k.MAC[i] = byte(3*i+1), byte(5*i+2)
	}
	return k
}

func pair(t testing.TB, k SessionKeys) (terminal, chip *SecureMessaging) {
	t.Helper()
	terminal, err := NewSecureMessaging(k)
	if err != nil {
		t.Fatal(err)
	}
	chip, err = NewSecureMessaging(k)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, chip
}

// RFC 4493 §4, examples 1 to 4 (also NIST SP 800-38B App. D.1).
func TestCMAC(t *testing.T) {
	key := unhex("2b7e151628aed2a6abf7158809cf4f3c")
	message := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	block, _ := aes.NewCipher(key)
	m := newCMAC(block)
	if m.k1 != [16]byte(unhex("fbeed618357133667c85e08f7236a8de")) || m.k2 != [16]byte(unhex("f7ddac306ae266ccf90bc11ee46d513b")) {
		t.Errorf("subkeys %X %X", m.k1, m.k2)
	}
	for n, want := range map[int]string{
		0: "bb1d6929e9593728", 16: "070a16b46b4d4144", 40: "dfa66747de9ae630", 64: "51f0bebf7e3b9d92",
	} {
		got, err := AES128.MAC(key, message[:n])
		if err != nil || !bytes.Equal(got, unhex(want)) {
			t.Errorf("CMAC of %d octets: %X, %v", n, got, err)
		}
	}
	// NIST SP 800-38B App. D.2 and D.3: AES-192 and AES-256, 40 octets.
	for c, tt := range map[Cipher][2]string{
		AES192: {"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "8a1de5be2eb31aad"},
		AES256: {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "aaf3d8f1de5640c2"},
	} {
		got, err := c.MAC(unhex(tt[0]), message[:40])
		if err != nil || !bytes.Equal(got, unhex(tt[1])) {
			t.Errorf("%s: CMAC %X, %v", c, got, err)
		}
	}
}

func TestCipherRefusesKeys(t *testing.T) {
	for _, c := range append(ciphers, 0, 99) {
		for n := range 40 {
			_, blockErr := c.Block(make([]byte, n))
			_, macErr := c.MAC(make([]byte, n), nil)
			fits := n > 0 && n == c.KeySize()
			if (blockErr == nil) != fits || (macErr == nil) != fits {
				t.Errorf("%s with %d octets: %v, %v", c, n, blockErr, macErr)
			}
		}
	}
	k := testKeys(AES128)
	k.SSC = make([]byte, 8)
	if _, err := NewSecureMessaging(k); !errors.Is(err, ErrCipher) {
		t.Errorf("SSC of 8 octets with AES: %v", err)
	}
	if _, err := NewSecureMessaging(SessionKeys{}); !errors.Is(err, ErrCipher) {
		t.Errorf("zero keys: %v", err)
	}
}

func TestPadding(t *testing.T) {
	for _, block := range []int{8, 16} {
		for n := range 40 {
			b := bytes.Repeat([]byte{0x80}, n)
			p := Pad(b, block)
			if len(p)%block != 0 || len(p) <= n || len(p) > n+block {
				t.Fatalf("Pad of %d to blocks of %d gives %d", n, block, len(p))
			}
			if got, err := Unpad(p, block); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("Unpad: %X, %v", got, err)
			}
		}
		for _, bad := range [][]byte{nil, make([]byte, block), make([]byte, block-1), bytes.Repeat([]byte{1}, block),
			append([]byte{0x80}, make([]byte, 2*block-1)...)} {
			if _, err := Unpad(bad, block); err == nil {
				t.Errorf("Unpad took %X", bad)
			}
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := SessionKeys{Cipher: AES128, Enc: unhex("c0ffeec0ffeec0ffeec0ffeec0ffee00"), MAC: unhex("c0ffeec0ffeec0ffeec0ffeec0ffee00")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d"} {
		for _, v := range []any{k, &k, []SessionKeys{k}} {
			out := strings.ToLower(fmt.Sprintf(verb, v))
			if strings.Contains(out, "c0ffee") || strings.Contains(out, "192, 255") || strings.Contains(out, "192 255") {
				t.Errorf("%s of %T shows the key: %s", verb, v, out)
			}
		}
	}
}

type smStep struct {
	Name              string
	Unprotected       string
	CmdHeaderPadded   string `json:"cmd_header_padded"`
	DataPadded        string `json:"data_padded"`
	EncryptedData     string `json:"encrypted_data"`
	DO87, DO97, DO8E  string
	M, N, K           string
	SSCCommand        string `json:"SSC_command"`
	CC                string
	ProtectedCommand  string `json:"protected_command"`
	Response          string
	ProtectedResponse string `json:"protected_response"`
	SSCResponse       string `json:"SSC_response"`
	CCResponse        string `json:"CC_response"`
	DecryptedData     string `json:"decrypted_data"`
	PlainResponse     string `json:"plain_response"`
	IVCommand         string `json:"IV_command"`
	IVResponse        string `json:"IV_response"`
	MACInput          string `json:"mac_input"`
}

// Doc 9303-11 App. D.4 (3DES) and the AES-128 exchanges computed from the keys
// of App. G.1, every value of every step, on both ends.
func TestWorkedExamples(t *testing.T) {
	for id, c := range map[string]Cipher{"sm-3des-d4": TripleDES, "sm-aes-derived": AES128} {
		t.Run(id, func(t *testing.T) {
			f := doc9303.Load(t, id).Fields
			terminal, chip := pair(t, SessionKeys{Cipher: c, Enc: f.Hex(t, "KS_enc"), MAC: f.Hex(t, "KS_mac"), SSC: f.Hex(t, "SSC_initial")})
			var steps []smStep
			f.Decode(t, "steps", &steps)
			if len(steps) != 3 {
				t.Fatalf("%d steps", len(steps))
			}
			for _, step := range steps {
				t.Run(step.Name, func(t *testing.T) { checkStep(t, step, terminal, chip) })
			}
		})
	}
}

func checkStep(t *testing.T, step smStep, terminal, chip *SecureMessaging) {
	equal := func(what string, got []byte, want string) {
		t.Helper()
		if want != "" && !bytes.Equal(got, unhex(want)) {
			t.Errorf("%s = %X, want %s", what, got, want)
		}
	}
	block := terminal.suite.BlockSize()
	plain, err := ParseCommand(unhex(step.Unprotected))
	if err != nil {
		t.Fatal(err)
	}
	protected, err := terminal.WrapCommand(plain)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := protected.Bytes()
	equal("protected command", raw, step.ProtectedCommand)
	equal("SSC", terminal.ssc, step.SSCCommand)
	equal("IV", terminal.iv(), step.IVCommand)
	equal("padded header", Pad(header(protected), block), step.CmdHeaderPadded)
	if len(plain.Data) > 0 {
		equal("padded data", Pad(plain.Data, block), step.DataPadded)
		value, _ := tlv.Find(protected.Data, doCryptogram)
		equal("encrypted data", value[1:], step.EncryptedData)
		equal("DO'87'", tlv.Encode(doCryptogram, value), step.DO87)
	}
	if value, ok := tlv.Find(protected.Data, doExpectedLength); ok || step.DO97 != "" {
		equal("DO'97'", tlv.Encode(doExpectedLength, value), step.DO97)
	}
	cc, _ := tlv.Find(protected.Data, doChecksum)
	equal("CC", cc, step.CC)
	equal("DO'8E'", tlv.Encode(doChecksum, cc), step.DO8E)
	m := append(Pad(header(protected), block), protected.Data[:len(protected.Data)-10]...)
	equal("M", m, step.M)
	n := Pad(append(bytes.Clone(terminal.ssc), m...), block)
	equal("N", n, step.N)
	equal("MAC input", n, step.MACInput)

	got, err := chip.UnwrapCommand(protected)
	if err != nil {
		t.Fatal(err)
	}
	if gotRaw, _ := got.Bytes(); !bytes.Equal(gotRaw, unhex(step.Unprotected)) {
		t.Errorf("the chip read %X", gotRaw)
	}
	data := unhex(step.DecryptedData + step.PlainResponse)
	wrapped, err := chip.WrapResponse(Response{Data: data, SW: SWSuccess})
	if err != nil {
		t.Fatal(err)
	}
	equal("protected response", wrapped.Bytes(), step.Response+step.ProtectedResponse)
	equal("SSC", chip.ssc, step.SSCResponse)
	equal("IV", chip.iv(), step.IVResponse)
	cc, _ = tlv.Find(wrapped.Data, doChecksum)
	equal("CC", cc, step.CCResponse)
	if step.K != "" {
		k := append(bytes.Clone(chip.ssc), wrapped.Data[:len(wrapped.Data)-10]...)
		if len(step.K) == 2*len(k) {
			// The source prints the third K without its padding (see errata).
			equal("K", k, step.K)
		} else {
			want := unhex(step.K)
			if !bytes.Equal(Pad(k, block)[:len(want)], want) {
				t.Errorf("K = %X, want %X", Pad(k, block), want)
			}
		}
	}
	back, err := terminal.UnwrapResponse(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Data, data) || back.SW != SWSuccess {
		t.Errorf("the terminal read %X %s", back.Data, back.SW)
	}
}

// TR-03110 worked examples: one AES cryptogram and one MAC each.
func TestEACSample(t *testing.T) {
	for _, id := range []string{"eac2-ecdh-pace", "eac2-dh-pace"} {
		t.Run(id, func(t *testing.T) { eacSample(t, doc9303.Load(t, id).Fields) })
	}
}

func eacSample(t *testing.T, f doc9303.Fields) {
	s, err := NewSecureMessaging(SessionKeys{Cipher: AES128, Enc: f.Hex(t, "KS_enc"), MAC: f.Hex(t, "KS_mac")})
	if err != nil {
		t.Fatal(err)
	}
	s.step()
	plain := f.Hex(t, "sm_ssc1_plaintext")
	if got := s.cryptogram(plain); !bytes.Equal(got, tlv.Encode(doCryptogram, []byte{1}, f.Hex(t, "sm_ssc1_ciphertext"))) {
		t.Errorf("cryptogram %X", got)
	}
	s.step()
	if got, want := s.checksum(nil, f.Hex(t, "sm_ssc2_mac_input")), f.Hex(t, "sm_ssc2_mac"); !bytes.Equal(got, want) {
		t.Errorf("MAC %X, want %X", got, want)
	}
}

// exchanges covers all cases of commands and responses, both parities of INS,
// short and extended.
func exchanges() []struct {
	c Command
	r Response
} {
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7)
		}
		return b
	}
	var all []struct {
		c Command
		r Response
	}
	for _, ins := range []byte{0xB0, 0xB1} {
		for _, lc := range []int{0, 1, 7, 8, 15, 16, 200, 231, 255, 256, 4000} {
			for _, ne := range []int{0, 1, 223, 256, 257, 4096, 65536} {
				nr := min(ne, 5000)
				all = append(all, struct {
					c Command
					r Response
				}{Command{CLA: 0x00, INS: ins, P1: byte(lc), P2: byte(ne), Data: data(lc), Ne: ne}, Response{Data: data(nr), SW: SWSuccess}})
			}
		}
	}
	all = append(all, struct {
		c Command
		r Response
	}{Command{CLA: 0x10, INS: 0x86, Data: data(3), Ne: 256}, Response{SW: SWFileNotFound}})
	return all
}

func TestRoundTrip(t *testing.T) {
	for _, c := range ciphers {
		t.Run(c.String(), func(t *testing.T) {
			terminal, chip := pair(t, testKeys(c))
			for _, e := range exchanges() {
				protected, err := terminal.WrapCommand(e.c)
				if err != nil {
					t.Fatal(err)
				}
				raw, err := protected.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if len(e.c.Data) > 16 && bytes.Contains(raw, e.c.Data) {
					t.Fatal("the data went in clear")
				}
				arrived, err := ParseCommand(raw)
				if err != nil {
					t.Fatal(err)
				}
				got, err := chip.UnwrapCommand(arrived)
				if err != nil {
					t.Fatal(err)
				}
				if got.CLA != e.c.CLA || got.INS != e.c.INS || got.P1 != e.c.P1 || got.P2 != e.c.P2 || got.Ne != e.c.Ne || !bytes.Equal(got.Data, e.c.Data) {
					t.Fatalf("sent %+v, the chip read %+v", e.c, got)
				}
				answer, err := chip.WrapResponse(e.r)
				if err != nil {
					t.Fatal(err)
				}
				if len(answer.Data) > arrived.Ne && e.c.Ne > MaxShortNe {
					t.Fatalf("response of %d octets to Ne %d", len(answer.Data), arrived.Ne)
				}
				back, err := terminal.UnwrapResponse(answer)
				if err != nil {
					t.Fatal(err)
				}
				if back.SW != e.r.SW || !bytes.Equal(back.Data, e.r.Data) {
					t.Fatalf("answered %X, the terminal read %X", e.r.Data, back.Data)
				}
			}
		})
	}
}

// A SELECT or GENERAL AUTHENTICATE with Le 00 must not turn extended: many
// chips have no extended length.
func TestShortStaysShort(t *testing.T) {
	terminal, _ := pair(t, testKeys(AES128))
	c, err := terminal.WrapCommand(Command{INS: 0x86, Data: make([]byte, 69), Ne: 256})
	if err != nil {
		t.Fatal(err)
	}
	if c.IsExtended() || c.Ne != 256 {
		t.Errorf("Ne %d, extended %v", c.Ne, c.IsExtended())
	}
}

func TestMaxPlainResponse(t *testing.T) {
	for _, tt := range []struct {
		c        Cipher
		extended bool
		limit    int
		want     int
	}{
		{TripleDES, false, 0, 231}, {AES128, false, 0, 223}, {AES256, false, 0, 223},
		{TripleDES, false, 10000, 231}, {AES128, true, 5, 0}, {AES128, false, -1, 223},
	} {
		s, _ := pair(t, testKeys(tt.c))
		if got := s.MaxPlainResponse(tt.extended, tt.limit); got != tt.want {
			t.Errorf("%s, extended %v, limit %d: %d, want %d", tt.c, tt.extended, tt.limit, got, tt.want)
		}
	}
	// For every limit: what is said to fit fits, and one octet more does not.
	for _, c := range []Cipher{TripleDES, AES128} {
		limits := []int{4096, 32767, 65000}
		for limit := 1; limit < 300; limit++ {
			limits = append(limits, limit)
		}
		for _, limit := range limits {
			s, _ := pair(t, testKeys(c))
			n := s.MaxPlainResponse(true, limit)
			size := func(n int) int {
				_, chip := pair(t, testKeys(c))
				chip.turn = answering
				r, err := chip.WrapResponse(Response{Data: make([]byte, n), SW: SWSuccess})
				if err != nil {
					t.Fatal(err)
				}
				return len(r.Data)
			}
			if n > 0 && size(n) > limit {
				t.Fatalf("%s: %d octets in a limit of %d make %d", c, n, limit, size(n))
			}
			if size(n+1) <= limit {
				t.Fatalf("%s: %d octets would fit in %d too", c, n+1, limit)
			}
		}
	}
}

// protect gives one protected exchange over fresh ends, and ends that are ready
// to judge it.
func protect(t testing.TB, c Cipher, cmd Command, r Response) (command Command, chip *SecureMessaging, response Response, terminal *SecureMessaging) {
	t.Helper()
	terminal, sender := pair(t, testKeys(c))
	command, err := terminal.WrapCommand(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.UnwrapCommand(command); err != nil {
		t.Fatal(err)
	}
	if response, err = sender.WrapResponse(r); err != nil {
		t.Fatal(err)
	}
	_, chip = pair(t, testKeys(c))
	return command, chip, response, terminal
}

var read4 = Command{INS: 0xB0, Data: []byte("data"), Ne: 4}
var four = Response{Data: []byte{1, 2, 3, 4}, SW: SWSuccess}

func dead(t *testing.T, s *SecureMessaging, err error, what string) {
	t.Helper()
	if !errors.Is(err, ErrSecureMessaging) {
		t.Errorf("%s: error %v", what, err)
	}
	if s.Alive() {
		t.Errorf("%s: the channel lives on", what)
	}
	for name, call := range map[string]func() error{
		"WrapCommand":    func() error { _, err := s.WrapCommand(read4); return err },
		"UnwrapResponse": func() error { _, err := s.UnwrapResponse(four); return err },
		"UnwrapCommand":  func() error { _, err := s.UnwrapCommand(read4); return err },
		"WrapResponse":   func() error { _, err := s.WrapResponse(four); return err },
	} {
		if err := call(); !errors.Is(err, ErrSecureMessaging) {
			t.Errorf("%s: %s after it gave %v", what, name, err)
		}
	}
}

func TestTamperedResponses(t *testing.T) {
	for _, c := range ciphers {
		_, _, good, _ := protect(t, c, read4, four)
		raw := good.Bytes()
		for i := range raw {
			for bit := range 8 {
				bad := bytes.Clone(raw)
				bad[i] ^= 1 << bit
				r, _ := ParseResponse(bad)
				_, _, _, terminal := protect(t, c, read4, four)
				_, err := terminal.UnwrapResponse(r)
				dead(t, terminal, err, fmt.Sprintf("%s, octet %d, bit %d", c, i, bit))
			}
		}
		for i := 2; i < len(raw); i++ {
			r, _ := ParseResponse(raw[:i])
			_, _, _, terminal := protect(t, c, read4, four)
			_, err := terminal.UnwrapResponse(r)
			dead(t, terminal, err, fmt.Sprintf("%s, cut to %d", c, i))
		}
		long := good
		long.Data = append(bytes.Clone(good.Data), 0)
		_, _, _, terminal := protect(t, c, read4, four)
		_, err := terminal.UnwrapResponse(long)
		dead(t, terminal, err, "one octet more")
		// A checksum of fewer octets, or of more, is none, though each be right.
		at := len(good.Data) - macSize
		for n := range 2 * macSize {
			if n == macSize {
				continue
			}
			cut := Response{SW: good.SW, Data: bytes.Clone(good.Data[:at-2])}
			cut.Data = append(cut.Data, tlv.Encode(doChecksum, append(bytes.Clone(good.Data[at:]), make([]byte, macSize)...)[:n])...)
			_, _, _, terminal := protect(t, c, read4, four)
			_, err := terminal.UnwrapResponse(cut)
			dead(t, terminal, err, fmt.Sprintf("%s, a checksum of %d octets", c, n))
		}
	}
}

func TestTamperedCommands(t *testing.T) {
	for _, c := range ciphers {
		good, _, _, _ := protect(t, c, read4, four)
		raw, _ := good.Bytes()
		lc := 4
		for i := range raw {
			if i == lc || i == len(raw)-1 {
				continue // Lc makes no APDU of it; the outer Le is outside the checksum by design
			}
			for bit := range 8 {
				bad := bytes.Clone(raw)
				bad[i] ^= 1 << bit
				cmd, err := ParseCommand(bad)
				if err != nil {
					t.Fatal(err)
				}
				_, chip, _, _ := protect(t, c, read4, four)
				_, err = chip.UnwrapCommand(cmd)
				var status *StatusError
				if !errors.As(err, &status) || status.SW != SWSecureMessagingExpected && status.SW != SWSecureMessagingIncorrect {
					t.Errorf("%s, octet %d, bit %d: no status word to answer in %v", c, i, bit, err)
				}
				dead(t, chip, err, fmt.Sprintf("%s, octet %d, bit %d", c, i, bit))
			}
		}
		at := len(good.Data) - macSize
		for n := range macSize {
			cut := good
			cut.Data = append(bytes.Clone(good.Data[:at-2]), tlv.Encode(doChecksum, good.Data[at:at+n])...)
			_, chip, _, _ := protect(t, c, read4, four)
			_, err := chip.UnwrapCommand(cut)
			dead(t, chip, err, fmt.Sprintf("%s, a checksum of %d octets", c, n))
		}
	}
}

// forge makes protected objects with a right checksum, as only a holder of the
// keys could: what is wrong is their arrangement.
func forge(s *SecureMessaging, header []byte, objs ...[]byte) []byte {
	s.step()
	body := bytes.Join(objs, nil)
	sum := s.checksum(header, body)
	return append(body, tlv.Encode(doChecksum, sum)...)
}

func TestResponseArrangement(t *testing.T) {
	ok := tlv.Encode(doStatus, []byte{0x90, 0})
	enc := func(s *SecureMessaging, tag tlv.Tag, prefix []byte, plain []byte) []byte {
		b := bytes.Clone(plain)
		s.step()
		iv := s.iv()
		for i := len(s.ssc) - 1; i >= 0; i-- { // the peek at the next counter is taken back
			s.ssc[i]--
			if s.ssc[i] != 0xFF {
				break
			}
		}
		cbcEncrypt(s, iv, b)
		return tlv.Encode(tag, prefix, b)
	}
	padded := Pad([]byte("nine long"), 16) // right for blocks of 8 and of 16
	for _, tt := range []struct {
		name string
		ins  byte
		make func(s *SecureMessaging) []byte
		good bool
	}{
		{"status alone", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, ok) }, true},
		{"cryptogram and status", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, enc(s, 0x87, []byte{1}, padded), ok)
		}, true},
		{"DO'85' to an odd INS", 0xB1, func(s *SecureMessaging) []byte { return forge(s, nil, enc(s, 0x85, nil, padded), ok) }, true},
		{"DO'87' to an odd INS", 0xB1, func(s *SecureMessaging) []byte {
			return forge(s, nil, enc(s, 0x87, []byte{1}, padded), ok)
		}, true},
		{"DO'85' to an even INS", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, enc(s, 0x85, nil, padded), ok) }, false},
		{"no status", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, enc(s, 0x87, []byte{1}, padded)) }, false},
		{"nothing but a checksum", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil) }, false},
		{"no checksum", 0xB0, func(s *SecureMessaging) []byte { return ok }, false},
		{"other status inside", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, tlv.Encode(doStatus, []byte{0x6A, 0x82}))
		}, false},
		{"status of one octet", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, tlv.Encode(doStatus, []byte{0x90})) }, false},
		{"two statuses", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, ok, ok) }, false},
		{"two cryptograms", 0xB0, func(s *SecureMessaging) []byte {
			e := enc(s, 0x87, []byte{1}, padded)
			return forge(s, nil, e, e, ok)
		}, false},
		{"status before cryptogram", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, ok, enc(s, 0x87, []byte{1}, padded))
		}, false},
		{"object after the checksum", 0xB0, func(s *SecureMessaging) []byte { return append(forge(s, nil, ok), ok...) }, false},
		{"plain value object", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, tlv.Encode(0x81, []byte{1, 2, 3}), ok)
		}, false},
		{"padding indicator 02", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, enc(s, 0x87, []byte{2}, padded), ok)
		}, false},
		{"cryptogram without blocks", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, tlv.Encode(0x87, []byte{1}), ok) }, false},
		{"empty cryptogram", 0xB0, func(s *SecureMessaging) []byte { return forge(s, nil, tlv.Encode(0x87), ok) }, false},
		{"part of a block", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, tlv.Encode(0x87, []byte{1}, make([]byte, 15)), ok)
		}, false},
		{"no padding inside", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, enc(s, 0x87, []byte{1}, bytes.Repeat([]byte{7}, 16)), ok)
		}, false},
		{"zeros inside", 0xB0, func(s *SecureMessaging) []byte {
			return forge(s, nil, enc(s, 0x87, []byte{1}, make([]byte, 16)), ok)
		}, false},
	} {
		for _, c := range []Cipher{TripleDES, AES128} {
			terminal, chip := pair(t, testKeys(c))
			if _, err := terminal.WrapCommand(Command{INS: tt.ins, Ne: 256}); err != nil {
				t.Fatal(err)
			}
			chip.step()
			_, err := terminal.UnwrapResponse(Response{Data: tt.make(chip), SW: SWSuccess})
			if tt.good && err != nil {
				t.Errorf("%s, %s: %v", tt.name, c, err)
			}
			if !tt.good {
				dead(t, terminal, err, tt.name+", "+c.String())
			}
		}
	}
}

func TestCommandArrangement(t *testing.T) {
	le := tlv.Encode(doExpectedLength, []byte{4})
	for _, tt := range []struct {
		name string
		cla  byte
		objs [][]byte
		sw   StatusWord
	}{
		{"expected length", 0x0C, [][]byte{le}, 0},
		{"nothing inside", 0x0C, nil, 0},
		{"CLA without protection", 0x00, [][]byte{le}, SWSecureMessagingExpected},
		{"CLA of unauthenticated header", 0x08, [][]byte{le}, SWSecureMessagingExpected},
		{"two lengths", 0x0C, [][]byte{le, le}, SWSecureMessagingIncorrect},
		{"length of three octets", 0x0C, [][]byte{tlv.Encode(doExpectedLength, []byte{0, 0, 0})}, SWSecureMessagingIncorrect},
		{"empty length", 0x0C, [][]byte{tlv.Encode(doExpectedLength)}, SWSecureMessagingIncorrect},
		{"unknown object", 0x0C, [][]byte{tlv.Encode(0x81, []byte{1})}, SWSecureMessagingIncorrect},
		{"DO'85' with an even INS", 0x0C, [][]byte{tlv.Encode(0x85, make([]byte, 16))}, SWSecureMessagingIncorrect},
		{"cryptogram of one octet", 0x0C, [][]byte{tlv.Encode(0x87, []byte{1})}, SWSecureMessagingIncorrect},
	} {
		chip, terminal := pair(t, testKeys(AES128))
		c := Command{CLA: tt.cla, INS: 0xB0, Ne: 256}
		c.Data = forge(terminal, header(c), tt.objs...)
		_, err := chip.UnwrapCommand(c)
		if tt.sw == 0 {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		var status *StatusError
		if !errors.As(err, &status) || status.SW != tt.sw {
			t.Errorf("%s: %v", tt.name, err)
		}
		dead(t, chip, err, tt.name)
	}
	chip, _ := pair(t, testKeys(AES128))
	_, err := chip.UnwrapCommand(Command{CLA: 0x0C, INS: 0xB0, Data: le, Ne: 256})
	var status *StatusError
	if !errors.As(err, &status) || status.SW != SWSecureMessagingExpected {
		t.Errorf("no checksum: %v", err)
	}
	dead(t, chip, err, "no checksum")
}

func cbcEncrypt(s *SecureMessaging, iv, b []byte) {
	block := len(iv)
	for i := 0; i+block <= len(b); i += block {
		for j := range block {
			b[i+j] ^= iv[j]
		}
		s.enc.Encrypt(b[i:i+block], b[i:i+block])
		iv = b[i : i+block]
	}
}

// An error status without protection ends the channel; the caller still learns
// which it was.
func TestPlainStatus(t *testing.T) {
	for _, sw := range []StatusWord{SWSuccess, SWSecurityStatus, SWSecureMessagingIncorrect} {
		_, _, _, terminal := protect(t, AES128, read4, four)
		_, err := terminal.UnwrapResponse(Response{SW: sw})
		var status *StatusError
		if !errors.As(err, &status) || status.SW != sw {
			t.Errorf("%s is not in %v", sw, err)
		}
		dead(t, terminal, err, sw.String())
	}
}

func TestReplayAndOrder(t *testing.T) {
	terminal, chip := pair(t, testKeys(AES128))
	c1, _ := terminal.WrapCommand(read4)
	if _, err := chip.UnwrapCommand(c1); err != nil {
		t.Fatal(err)
	}
	r1, _ := chip.WrapResponse(four)
	if _, err := terminal.UnwrapResponse(r1); err != nil {
		t.Fatal(err)
	}
	_, err := chip.UnwrapCommand(c1)
	dead(t, chip, err, "replayed command")
	if _, err := terminal.WrapCommand(read4); err != nil {
		t.Fatal(err)
	}
	_, err = terminal.UnwrapResponse(r1)
	dead(t, terminal, err, "replayed response")

	terminal, chip = pair(t, testKeys(AES128))
	if _, err := terminal.WrapCommand(read4); err != nil {
		t.Fatal(err)
	}
	_, err = terminal.WrapCommand(read4)
	dead(t, terminal, err, "two commands in a row")
	_, err = chip.WrapResponse(four)
	dead(t, chip, err, "a response to nothing")
	terminal, chip = pair(t, testKeys(AES128))
	_, err = terminal.UnwrapResponse(four)
	dead(t, terminal, err, "a response to nothing")

	// A command swallowed on the way: the next one is out of step.
	terminal, _ = pair(t, testKeys(AES128))
	if _, err := terminal.WrapCommand(read4); err != nil {
		t.Fatal(err)
	}
	terminal.turn = idle
	c2, _ := terminal.WrapCommand(read4)
	_, err = chip.UnwrapCommand(c2)
	dead(t, chip, err, "skipped command")
}

// The counter wraps from all ones to zero: BAC may start it anywhere.
func TestCounterWraps(t *testing.T) {
	k := testKeys(TripleDES)
	k.SSC = bytes.Repeat([]byte{0xFF}, 8)
	terminal, chip := pair(t, k)
	c, _ := terminal.WrapCommand(read4)
	if !bytes.Equal(terminal.ssc, make([]byte, 8)) {
		t.Errorf("SSC %X", terminal.ssc)
	}
	if _, err := chip.UnwrapCommand(c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.SSC, bytes.Repeat([]byte{0xFF}, 8)) {
		t.Error("the caller's counter was changed")
	}
}

func TestTooLong(t *testing.T) {
	terminal, _ := pair(t, testKeys(AES128))
	_, err := terminal.WrapCommand(Command{INS: 0xD6, Data: make([]byte, 65530)})
	dead(t, terminal, err, "command data")
	_, chip := pair(t, testKeys(AES128))
	chip.turn = answering
	_, err = chip.WrapResponse(Response{Data: make([]byte, 65530), SW: SWSuccess})
	dead(t, chip, err, "response data")
	for _, c := range []Command{{CLA: 0x0C, INS: 0xB0}, {INS: 0xB0, Ne: -1}, {INS: 0xB0, Ne: 65537}} {
		terminal, _ = pair(t, testKeys(AES128))
		_, err = terminal.WrapCommand(c)
		dead(t, terminal, err, fmt.Sprintf("%+v", c))
	}
}

func FuzzUnwrapResponse(f *testing.F) {
	for _, c := range ciphers {
		_, _, r, _ := protect(f, c, read4, four)
		f.Add(byte(c), false, r.Bytes())
	}
	f.Add(byte(AES128), true, unhex("9000"))
	f.Fuzz(func(t *testing.T, suite byte, odd bool, raw []byte) {
		c := ciphers[int(suite)%len(ciphers)]
		r, err := ParseResponse(raw)
		if err != nil {
			return
		}
		// Against the right keys nothing forged goes through: only what the chip
		// answers, with the cryptogram of either parity of INS.
		cmd := read4
		_, _, even, _ := protect(t, c, cmd, four)
		cmd.INS |= 1
		_, _, uneven, _ := protect(t, c, cmd, four)
		if !odd {
			cmd = read4
		}
		_, _, _, terminal := protect(t, c, cmd, four)
		if out, err := terminal.UnwrapResponse(r); err == nil && !bytes.Equal(even.Bytes(), raw) && !bytes.Equal(uneven.Bytes(), raw) {
			t.Fatalf("forged %X read as %X", raw, out.Data)
		}
		// … and with a right checksum put on, nothing behind it breaks.
		_, _, _, terminal = protect(t, c, cmd, four)
		_, chip := pair(t, testKeys(c))
		chip.step()
		forged := Response{Data: forge(chip, nil, r.Data), SW: r.SW}
		if out, err := terminal.UnwrapResponse(forged); err == nil && out.SW != r.SW {
			t.Fatal("status word changed")
		}
	})
}

func FuzzUnwrapCommand(f *testing.F) {
	for _, c := range ciphers {
		cmd, _, _, _ := protect(f, c, read4, four)
		raw, _ := cmd.Bytes()
		f.Add(byte(c), raw)
	}
	f.Fuzz(func(t *testing.T, suite byte, raw []byte) {
		c := ciphers[int(suite)%len(ciphers)]
		cmd, err := ParseCommand(raw)
		if err != nil {
			return
		}
		good, chip, _, _ := protect(t, c, read4, four)
		if out, err := chip.UnwrapCommand(cmd); err == nil && (out.INS != read4.INS || !bytes.Equal(cmd.Data, good.Data)) {
			t.Fatalf("forged %X read as %+v", raw, out)
		}
		chip, terminal := pair(t, testKeys(c))
		cmd.CLA |= claSecured
		cmd.Data = forge(terminal, header(cmd), cmd.Data)
		if out, err := chip.UnwrapCommand(cmd); err == nil {
			// What was read can be said again.
			terminal, _ := pair(t, testKeys(c))
			if _, err := terminal.WrapCommand(out); err != nil {
				t.Fatalf("%+v cannot be wrapped: %v", out, err)
			}
		}
	})
}

func BenchmarkUnwrapResponse(b *testing.B) {
	for _, c := range []Cipher{TripleDES, AES128} {
		b.Run(c.String(), func(b *testing.B) {
			data := make([]byte, 4096)
			rand.NewChaCha8([32]byte{}).Read(data)
			terminal, chip := pair(b, testKeys(c))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				cmd, _ := terminal.WrapCommand(Command{INS: 0xB0, Ne: 4096})
				if _, err := chip.UnwrapCommand(cmd); err != nil {
					b.Fatal(err)
				}
				r, _ := chip.WrapResponse(Response{Data: data, SW: SWSuccess})
				if _, err := terminal.UnwrapResponse(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
