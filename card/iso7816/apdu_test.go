package iso7816

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// ISO/IEC 7816-3 §12.1.3: all cases, short and extended, as octets and back.
func TestCommandForms(t *testing.T) {
	data := func(n int) string { return strings.Repeat("A5", n) }
	for _, tt := range []struct {
		name string
		raw  string
		c    Command
	}{
		{"case 1", "00A40000", Command{INS: 0xA4}},
		{"case 2", "00B0000004", Command{INS: 0xB0, Ne: 4}},
		{"case 2, 256", "00B0000000", Command{INS: 0xB0, Ne: 256}},
		{"case 3", "00A4020C02011E", Command{INS: 0xA4, P1: 2, P2: 0x0C, Data: unhex("011E")}},
		{"case 3, one octet", "00A4020C01AA", Command{INS: 0xA4, P1: 2, P2: 0x0C, Data: unhex("AA")}},
		{"case 3, 255", "00D60000FF" + data(255), Command{INS: 0xD6, Data: unhex(data(255))}},
		{"case 4", "0CA4020C02011E00", Command{CLA: 0x0C, INS: 0xA4, P1: 2, P2: 0x0C, Data: unhex("011E"), Ne: 256}},
		{"case 2 extended", "00B00000000101", Command{INS: 0xB0, Ne: 257}},
		{"case 2 extended, 65536", "00B00000000000", Command{INS: 0xB0, Ne: 65536}},
		{"case 3 extended", "00D60000000100" + data(256), Command{INS: 0xD6, Data: unhex(data(256))}},
		{"case 3 extended, longest", "00D6000000FFFF" + data(65535), Command{INS: 0xD6, Data: unhex(data(65535))}},
		{"case 4 extended", "00D60000000100" + data(256) + "0000", Command{INS: 0xD6, Data: unhex(data(256)), Ne: 65536}},
		{"case 4 extended by Ne", "00B100000000021122" + "0101", Command{INS: 0xB1, Data: unhex("1122"), Ne: 257}},
		{"case 4 extended by data", "00D60000000100" + data(256) + "0001", Command{INS: 0xD6, Data: unhex(data(256)), Ne: 1}},
	} {
		got, err := tt.c.Bytes()
		if err != nil || !bytes.Equal(got, unhex(tt.raw)) {
			t.Errorf("%s: encoded %.40X, %v", tt.name, got, err)
		}
		back, err := ParseCommand(unhex(tt.raw))
		if err != nil || !sameCommand(back, tt.c) {
			t.Errorf("%s: decoded %+v, %v", tt.name, back, err)
		}
	}
}

func sameCommand(a, b Command) bool {
	return bytes.Equal(a.Data, b.Data) && reflect.DeepEqual(Command{a.CLA, a.INS, a.P1, a.P2, nil, a.Ne}, Command{b.CLA, b.INS, b.P1, b.P2, nil, b.Ne})
}

// Extended forms of what would fit a short one are commands too.
func TestExtendedWhereShortWouldDo(t *testing.T) {
	for raw, want := range map[string]Command{
		"00B00000000004":       {INS: 0xB0, Ne: 4},
		"00A40000000002011E":   {INS: 0xA4, Data: unhex("011E")},
		"00860000000001AA0004": {INS: 0x86, Data: unhex("AA"), Ne: 4},
	} {
		got, err := ParseCommand(unhex(raw))
		if err != nil || !sameCommand(got, want) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "00", "00A400",
		"00A4020C0201", "00A4020C02011E0000", // Lc and what follows differ
		"00B000000001",           // extended length cut
		"00D60000000000AA",       // extended Lc of zero
		"00D60000000002AA",       // shorter than Lc
		"00D60000000001AAAA",     // one octet of Le
		"00D60000000001AA000000", // three octets of Le
	} {
		if c, err := ParseCommand(unhex(raw)); !errors.Is(err, ErrAPDU) {
			t.Errorf("%s: %+v, %v", raw, c, err)
		}
	}
	for _, c := range []Command{{Data: make([]byte, 65536)}, {Ne: -1}, {Ne: 65537}} {
		if _, err := c.Bytes(); !errors.Is(err, ErrAPDU) {
			t.Errorf("%d octets, Ne %d: %v", len(c.Data), c.Ne, err)
		}
	}
}

func TestResponse(t *testing.T) {
	r, err := ParseResponse(unhex("60145F016282"))
	if err != nil || r.SW != SWEndOfFile || !bytes.Equal(r.Data, unhex("60145F01")) {
		t.Errorf("%+v, %v", r, err)
	}
	if !bytes.Equal(r.Bytes(), unhex("60145F016282")) {
		t.Errorf("encoded %X", r.Bytes())
	}
	for _, raw := range []string{"", "90"} {
		if _, err := ParseResponse(unhex(raw)); !errors.Is(err, ErrAPDU) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if err := (Response{SW: SWSuccess}).Err(); err != nil {
		t.Error(err)
	}
	var status *StatusError
	if err := (Response{SW: SWFileNotFound}).Err(); !errors.As(err, &status) || status.SW != SWFileNotFound {
		t.Errorf("%v", err)
	}
	// Appending to the data must not write over the status word.
	in := unhex("AA9000")
	r, _ = ParseResponse(in)
	_ = append(r.Data, 0xFF)
	if !bytes.Equal(in, unhex("AA9000")) {
		t.Errorf("input became %X", in)
	}
}

func TestStatusWords(t *testing.T) {
	for sw, want := range map[StatusWord]string{
		0x9000: "9000 (success)",
		0x6A82: "6A82 (file not found)",
		0x63C2: "63C2 (wrong password, 2 tries left)",
		0x63C0: "63C0 (wrong password, 0 tries left)",
		0x6110: "6110 (16 more octets available)",
		0x6C05: "6C05 (wrong Le, 5 is right)",
		0x1234: "1234",
	} {
		if got := sw.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n, ok := StatusWord(0x63C3).TriesLeft(); !ok || n != 3 {
		t.Errorf("tries left %d %v", n, ok)
	}
	if _, ok := SWAuthenticationFailed.TriesLeft(); ok {
		t.Error("6300 counts no tries")
	}
	if got := (&StatusError{SW: SWFileNotFound, Operation: "READ BINARY DG2"}).Error(); got != "READ BINARY DG2: card answered 6A82 (file not found)" {
		t.Error(got)
	}
	if got := (&StatusError{SW: SWFileNotFound}).Error(); got != "card answered 6A82 (file not found)" {
		t.Error(got)
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, raw := range []string{"00A40000", "00B0000004", "0CA4020C02011E00", "00B00000000101", "00D60000000002AABB0000", "00D60000000001AA00"} {
		f.Add(unhex(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCommand(raw)
		if err != nil {
			if !errors.Is(err, ErrAPDU) {
				t.Fatal(err)
			}
			return
		}
		enc, err := c.Bytes()
		if err != nil {
			t.Fatalf("%+v does not encode: %v", c, err)
		}
		if len(enc) > len(raw) {
			t.Fatalf("%X became longer: %X", raw, enc)
		}
		again, err := ParseCommand(enc)
		if err != nil || !sameCommand(c, again) {
			t.Fatalf("%X became %X", raw, enc)
		}
		if _, err := ParseResponse(raw); err != nil {
			t.Fatalf("four octets are a response: %v", err)
		}
	})
}
