package pcsc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func octets(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInterface(t *testing.T) {
	const passport, jcop, classic = "3B848001 80829000 97", "3BF81300008131FE454A434F5076323431B7", "3B8F8001804F0CA000000306030001000000006A"
	for _, test := range []struct {
		name, atr string
		said      attributes
		want      Interface
	}{
		// Names as readers have them (pcsc-tools, libccid's list).
		{name: "ACS ACR1252 1S CL Reader [ACR1252 Dual Reader PICC] 00 00", want: Contactless},
		{name: "ACS ACR1281 1S Dual Reader [ACR1281 Dual Reader ICC] 00 00", want: Contact},
		{name: "ACS ACR1281 1S Dual Reader [ACR1281 1S Dual Reader SAM] 02 00", want: Contact},
		{name: "HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] (KJ0) 01 00", want: Contactless},
		{name: "OMNIKEY CardMan 5x21-CL 0", want: Contactless},
		{name: "Identiv uTrust 4701 F Dual Interface Reader [uTrust 4701 F Contact Reader] 00 00", want: Contact},
		{name: "SCM Microsystems Inc. SDI011 Contactless Reader 0", want: Contactless},
		{name: "Gemalto PC Twin Reader 00 00"},
		{name: "Virtual PCD 00 00"},
		{name: ""},
		// The answer to reset knows better than the name.
		{name: "Gemalto PC Twin Reader 00 00", atr: jcop, want: Contact},
		{name: "Virtual PCD 00 00", atr: passport, want: Contactless},
		{name: "a reader of NFC tokens", atr: jcop, want: Contact},
		{name: "a contact reader", atr: classic, want: Contactless},
		{name: "a contact reader", atr: "FFFF", want: Contact}, // noise is no answer
		// And the driver knows better than either.
		{name: "Microsoft IFD 0", atr: jcop, said: attributes{characteristics: 8}, want: Contactless},
		{name: "Microsoft IFD 0", atr: jcop, said: attributes{channel: 0x01000000}, want: Contactless},
		{name: "Microsoft UICC", atr: jcop, said: attributes{channel: 0x02000000, cardType: 1}, want: Contact},
		{name: "Microsoft IFD 0", said: attributes{cardType: 6}, want: Contactless},
		{name: "Gemalto PC Twin Reader 00 00", atr: passport, said: attributes{channel: 0x00200001, cardType: 1}, want: Contactless},
	} {
		if got := interfaceOf(test.name, octets(t, test.atr), test.said); got != test.want {
			t.Errorf("%s, ATR %s, %+v: %q, want %q", test.name, test.atr, test.said, got, test.want)
		}
	}
	if got := StorageCard(octets(t, classic)); got != "MIFARE Classic 1K" {
		t.Errorf("storage card %q", got)
	}
	if got := StorageCard(octets(t, passport)); got != "" {
		t.Errorf("a passport is a storage card %q", got)
	}
	if attribute(octets(t, "0C000000")) != 12 || attribute([]byte{6}) != 6 || attribute([]byte("ACS")) != 0 || attribute(nil) != 0 {
		t.Error("numbers of attributes")
	}
}

// A GemIDBridge CT7 as its driver logged it: what pcsc-tools has as its example
// (parse_PCSC_Part10_features.py).
const (
	gemaltoFeatures   = "06 04 42 33 00 06 07 04 42 33 00 07 0A 04 42 33 00 0A 12 04 42 33 00 12"
	gemaltoProperties = "01 02 11 02 04 02 11 00 05 02 02 00 03 01 00 08 15 47 65 6D 49 44 42 72 69 64 67 65 20 43 54 37 78 30 41 33 31 6A" +
		"06 01 04 07 01 10 02 01 02 09 01 00 0B 02 E6 08 0C 02 C2 34 0A 04 00 00 01 00"
)

func TestMaxAPDU(t *testing.T) {
	const ask = 0x42000000 + codeGetFeatures
	unsupported := errors.New("unsupported feature")
	for name, test := range map[string]struct {
		features, properties string // "-": the driver refuses
		want                 int
	}{
		"a Gemalto":                   {gemaltoFeatures, gemaltoProperties, 65536},
		"a driver that knows nothing": {"-", "-", 0},
		"no such feature":             {"06 04 42 33 00 06", "-", 0},
		"no features":                 {"", "-", 0},
		"the feature is refused":      {gemaltoFeatures, "-", 0},
		"no such property":            {gemaltoFeatures, "0B 02 E6 08", 0},
		"short APDUs only":            {gemaltoFeatures, "0A 04 00 00 00 00", 256},
		"2048 octets":                 {gemaltoFeatures, "0B 02 E6 08 0A 04 00 08 00 00", 2048},
		"65535 octets, as vpcd says":  {"12 04 42 33 00 12", "0A 04 FF FF 00 00", 65535},
		"less than a short APDU":      {gemaltoFeatures, "0A 04 F0 00 00 00", 0},
		"more than any APDU":          {gemaltoFeatures, "0A 04 01 00 01 00", 0},
		"too short a number":          {gemaltoFeatures, "0A 02 00 08", 0},
		"cut short":                   {gemaltoFeatures, "0A 04 00 08", 0},
		"a code cut short":            {"12 02 42 33", gemaltoProperties, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := maxAPDU(func(code uint32) ([]byte, error) {
				answer := test.properties
				switch code {
				case ask:
					answer = test.features
				case 0x42330012:
				default:
					t.Errorf("control code %X", code)
				}
				if answer == "-" {
					return nil, unsupported
				}
				return octets(t, answer), nil
			}, ask)
			if got != test.want {
				t.Errorf("%d octets, want %d", got, test.want)
			}
		})
	}
}

// Drivers are foreign programs: whatever they give costs little and is no
// length that there cannot be.
func FuzzProperties(f *testing.F) {
	f.Add(octets(f, gemaltoFeatures), octets(f, gemaltoProperties))
	f.Add([]byte{0x12, 4, 0, 0, 0, 1}, bytes.Repeat([]byte{0x0A, 0}, 3000))
	f.Fuzz(func(t *testing.T, features, properties []byte) {
		asked := 0
		n := maxAPDU(func(code uint32) ([]byte, error) {
			if asked++; asked == 1 {
				return features, nil
			}
			return properties, nil
		}, 1)
		if asked > 2 || n != 0 && (n < 256 || n > 65536) {
			t.Errorf("%d octets after %d questions", n, asked)
		}
	})
}
