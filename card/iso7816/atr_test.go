package iso7816

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseATR(t *testing.T) {
	for _, test := range []struct {
		name, raw   string
		protocols   []byte
		parameters  int
		historical  string
		contactless bool
		storage     string // "": none
		unchecked   bool
	}{
		// PC/SC part 3: a reader makes these up for cards without contacts.
		{name: "type B without historical octets", raw: "3B80800101", protocols: []byte{0, 1}, contactless: true},
		{name: "DESFire", raw: "3B8180018080", protocols: []byte{0, 1}, historical: "80", contactless: true},
		{name: "German passport", raw: "3B84800180829000 97", protocols: []byte{0, 1}, historical: "80829000", contactless: true},
		{name: "MIFARE Classic 1K", raw: "3B8F8001804F0CA000000306030001000000006A", protocols: []byte{0, 1},
			historical: "804F0CA0000003060300010000 0000", contactless: true, storage: "MIFARE Classic 1K"},
		{name: "MIFARE Ultralight", raw: "3B8F8001804F0CA0000003060300030000000068", protocols: []byte{0, 1},
			historical: "804F0CA00000030603000300000000", contactless: true, storage: "MIFARE Ultralight"},
		{name: "a kind without a name here", raw: "3B8F8001804F0CA000000306 05 0007 00000000 6A", protocols: []byte{0, 1},
			historical: "804F0CA00000030605000700000000", contactless: true, storage: "storage card 0007"},
		{name: "the software chip", raw: "3B8780018031B8739421E029", protocols: []byte{0, 1}, historical: "8031B8739421E0", contactless: true},
		{name: "MIFARE 1K by an older driver", raw: "3BF59100FF918171FE40004108000000 0D", protocols: []byte{1, 1}, parameters: 7, historical: "4108000000", contactless: true},
		// Cards with contacts.
		{name: "JCOP with contacts", raw: "3BF81300008131FE454A434F507632343 1B7", protocols: []byte{1, 1}, parameters: 5, historical: "4A434F5076323431"},
		{name: "IDEMIA Cosmo", raw: "3BDF18FF81B1FE451F870031B96409377213738401E00000008E", protocols: []byte{1, 1}, parameters: 5,
			historical: "0031B96409377213738401E0000000"},
		{name: "T=0 alone, by default", raw: "3B0200FF", protocols: []byte{0}, historical: "00FF"},
		{name: "inverse convention", raw: "3F6525002 22A6990 00", protocols: []byte{0}, parameters: 2, historical: "222A699000"},
		{name: "wrong check octet", raw: "3B80800102", protocols: []byte{0, 1}, contactless: true, unchecked: true},
		{name: "no check octet", raw: "3B818001 80", protocols: []byte{0, 1}, historical: "80", contactless: true, unchecked: true},
		{name: "a check octet that does not belong", raw: "3B020102 03", protocols: []byte{0}, historical: "0102", unchecked: true},
		{name: "T=15 after T=0", raw: "3B80801F0F10", protocols: []byte{0}, parameters: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw, err := hex.DecodeString(strings.ReplaceAll(test.raw, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			a, err := ParseATR(raw)
			if err != nil {
				t.Fatal(err)
			}
			historical, _ := hex.DecodeString(strings.ReplaceAll(test.historical, " ", ""))
			if !slices.Equal(a.Protocols, test.protocols) || a.Parameters != test.parameters || !bytes.Equal(a.Historical, historical) {
				t.Errorf("protocols %v, %d parameters, historical %X", a.Protocols, a.Parameters, a.Historical)
			}
			if a.Contactless() != test.contactless || a.Checked == test.unchecked || a.Inverse != (raw[0] == 0x3F) {
				t.Errorf("contactless %v, checked %v, inverse %v", a.Contactless(), a.Checked, a.Inverse)
			}
			storage := ""
			if s, ok := a.Storage(); ok {
				storage = s.String()
			}
			if storage != test.storage {
				t.Errorf("storage card %q, want %q", storage, test.storage)
			}
		})
	}
	for _, raw := range []string{
		"", "3B", "3C00", "3B80", "3BF0112233", "3B8080", "3B05112233", "3B00010203",
		"3B8F" + strings.Repeat("80", 40), "3BFF" + strings.Repeat("F0", 31),
	} {
		b, err := hex.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := ParseATR(b); !errors.Is(err, ErrATR) {
			t.Errorf("%s: %+v, %v", raw, a, err)
		}
	}
}

// The list of pcsc-tools has thousands of answers to reset that people have
// sent in, with what they know of the card. Nearly all are sound, and where it
// is said which interface the card was read by, the shape says the same.
func TestKnownATRs(t *testing.T) {
	f, err := os.Open("/usr/share/pcsc/smartcard_list.txt")
	if err != nil {
		t.Skip("the list of pcsc-tools is not installed (scripts/setup does it)")
	}
	defer f.Close()
	contactless := []string{"(contactless)", "contactless mifare", "iso 14443 type", "nfc interface", "(nfc)"}
	contact := []string{"(contact)", "contact interface"}
	var total, unsound, unchecked, said, wrong int
	var a ATR
	var known bool
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.ToLower(lines.Text())
		has := func(word string) bool { return strings.Contains(line, word) }
		switch {
		case strings.HasPrefix(line, "3b ") || strings.HasPrefix(line, "3f "):
			raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
			if known = err == nil; !known {
				continue // a pattern
			}
			total++
			if a, err = ParseATR(raw); err != nil {
				known = false
				unsound++
			} else if !a.Checked {
				unchecked++
			}
		case known && (slices.ContainsFunc(contactless, has) || slices.ContainsFunc(contact, has)):
			if said++; a.Contactless() != slices.ContainsFunc(contactless, has) {
				t.Logf("%X: %s", a.Historical, line)
				wrong++
			}
			known = false
		}
	}
	t.Logf("%d answers: %d unsound, %d with a wrong check octet; of %d whose interface is said, %d look otherwise", total, unsound, unchecked, said, wrong)
	if total < 1000 || unsound*50 > total || unchecked*50 > total || said < 40 || wrong*10 > said {
		t.Error("the parser and the list do not agree")
	}
}

func FuzzParseATR(f *testing.F) {
	for _, seed := range []string{"3B80800101", "3B8F8001804F0CA000000306030001000000006A", "3BF81300008131FE454A434F5076323431B7", "3F65250022 2A699000"} {
		raw, _ := hex.DecodeString(strings.ReplaceAll(seed, " ", ""))
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseATR(raw)
		if err != nil {
			return
		}
		if len(raw) > maxATR || len(a.Historical) > 15 || len(a.Protocols) == 0 || a.Parameters > maxATR || !bytes.Contains(raw, a.Historical) {
			t.Errorf("%X: %+v", raw, a)
		}
		if s, ok := a.Storage(); ok && (!a.Contactless() || s.String() == "") {
			t.Errorf("%X: %+v", raw, s)
		}
	})
}
