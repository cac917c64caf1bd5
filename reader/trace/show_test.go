package trace_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/reader"
	"chipid/reader/trace"
)

// recorded reads a card and gives the trace of it.
func recorded(t *testing.T, mask trace.Mask) *trace.Trace {
	t.Helper()
	c, _, secrets := build(t)
	var file bytes.Buffer
	rec := trace.NewRecorder(reader.NewChipTransport(c), &file, trace.Options{Now: clock(), Mask: mask})
	read(t, rec.Transport(), passwords(secrets)["PACE with CAN"])
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return parse(t, file.Bytes())
}

// TestDescribeRead: a whole read in words, also where only headers and lengths
// are left of it.
func TestDescribeRead(t *testing.T) {
	steps := []string{
		"set AT for mutual authentication (PACE)", "PACE, step 1: the encrypted nonce", "PACE, step 2: mapping the nonce",
		"PACE, step 3: key agreement", "PACE, step 4: the tokens (mutual authentication)", "the eMRTD application",
		"EF_SOD by short identifier", "set AT for chip authentication", "chip authentication: key agreement",
		"DG1 by short identifier", "active authentication: the chip signs a challenge",
	}
	for _, mask := range []trace.Mask{trace.MaskData, trace.MaskKeys, trace.MaskNothing} {
		tr := recorded(t, mask)
		steps := slices.Clone(steps)
		if mask == trace.MaskData {
			steps[5] = "an application by its name" // inside secure messaging
		}
		at := 0
		for _, d := range tr.Describe() {
			if at < len(steps) && strings.HasPrefix(d.Meaning, steps[at]) {
				at++
			}
			if (d.Inside != nil) != (d.Secure && mask != trace.MaskData) {
				t.Errorf("%s: %s %s shows what is inside: %v", mask, d.Name, d.Meaning, d.Inside != nil)
			}
		}
		if at < len(steps) {
			var got []string
			for _, d := range tr.Describe() {
				got = append(got, d.Name+": "+d.Meaning)
			}
			t.Errorf("%s: %q does not come after what is before it:\n%s", mask, steps[at], strings.Join(got, "\n"))
		}
	}
	// What the data objects are called.
	tr := recorded(t, trace.MaskNothing)
	var lines []string
	for _, d := range tr.Describe() {
		lines = append(append(lines, d.Command...), d.Response...)
		if d.Inside != nil {
			lines = append(append(append(lines, d.Inside.Command...), d.Inside.Response...), d.Inside.Status)
		}
	}
	for _, want := range []string{
		"80 (10) mechanism: 04007F00070202040202 = PACE-ECDH-GM-AES-CBC-CMAC-128", "83 (1) password: 02 = CAN",
		"  80 (16) encrypted nonce: ", "  81 (65) the terminal's mapping data: ", "  84 (65) the chip's ephemeral key: ", "  86 (8) the chip's token: ",
		"87 (", "8E (8) MAC: ", "99 (2) status word: 9000", "80 (10) mechanism: 04007F00070202030202 = CA-ECDH-AES-CBC-CMAC-128",
		"  80 (65) the terminal's ephemeral key: ", "9000 (success)",
	} {
		if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no line %q", want)
		}
	}
}

// TestDescribeTerminalAuthentication: whose certificates a terminal showed.
func TestDescribeTerminalAuthentication(t *testing.T) {
	key, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := cvc.Issue(rand.Reader, cvc.Template{
		CAR: "VNDV00001", CHR: "VNTERM00001", Key: cvc.Key{Scheme: cvc.ECDSASHA256, Public: key.Public()},
		Authorization: cvc.NewAuthorization(cvc.Terminal, cvc.ReadFingerprints),
		Effective:     cvc.Date{Year: 2026, Month: 11, Day: 1}, Expiry: cvc.Date{Year: 2026, Month: 12, Day: 1},
	}, key, cvc.ECDSASHA256)
	if err != nil {
		t.Fatal(err)
	}
	body, err := tlv.ReadOne(certificate.Raw, 0x7F21)
	if err != nil {
		t.Fatal(err)
	}
	name := func(tag tlv.Tag, s string) string { return hexOf(tlv.Encode(tag, []byte(s))) }
	command := func(header string, data string) string { return header + hexLength(data) + data }
	raw := record(t, trace.Options{Mask: trace.MaskNothing}, []string{
		command("002281B6", name(0x83, "VNDV00001")), "002A00BE0000" + hexLength(hexOf(body.Value)) + hexOf(body.Value),
		command("002281A4", name(0x83, "VNTERM00001")), "0084000008", command("00820000", strings.Repeat("AB", 64)),
	}, &cards{[]string{"9000", "9000", "9000", "0102030405060708" + "9000", "6300"}})
	got := parse(t, raw).Describe()
	for i, want := range []struct{ name, meaning string }{
		{"MANAGE SECURITY ENVIRONMENT", "set DST: whose key verifies the next certificate: VNDV00001"},
		{"PERFORM SECURITY OPERATION", "verify the certificate of VNTERM00001 by VNDV00001 (terminal authentication)"},
		{"MANAGE SECURITY ENVIRONMENT", "set AT for terminal authentication: VNTERM00001"},
		{"GET CHALLENGE", "for terminal authentication"},
		{"EXTERNAL AUTHENTICATE", "the terminal's signature over the challenge (terminal authentication)"},
	} {
		if d := got[i]; d.Name != want.name || d.Meaning != want.meaning {
			t.Errorf("exchange %d: %s, %s", i+1, d.Name, d.Meaning)
		}
	}
	if d := got[1]; len(d.Command) != 2 || d.Command[0] != "terminal of VNTERM00001, by VNDV00001" || !strings.HasPrefix(d.Command[1], "valid 2026-11-01 to 2026-12-01, rights 01, key ") {
		t.Errorf("%q", d.Command)
	}
}

func hexOf(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// hexLength is the length of hexadecimal octets, in one octet, or in two where
// it does not fit.
func hexLength(data string) string {
	n := len(data) / 2
	if n > 255 {
		return hexOf([]byte{byte(n >> 8), byte(n)})
	}
	return hexOf([]byte{byte(n)})
}

// TestDescribeOddInstructions: offsets beyond 32 KiB stand in the data.
func TestDescribeOddInstructions(t *testing.T) {
	raw := record(t, trace.Options{Mask: trace.MaskNothing}, []string{
		"00A4020C020102", "00B10000055403" + "009C40" + "00", "00D70000" + "08" + "5403009C40" + "530101", "00E00000" + "06" + "63040FA0" + "010D",
		"00E00000" + "07" + "6305012345" + "0102", "00CA9F7F00", "00DADEAD", "00A4040C08A000000151000000",
	}, &cards{[]string{"9000", "5302" + "FFD8" + "9000", "9000", "9000", "9000", "9F7F00" + "9000", "9000", "6A82"}})
	got := parse(t, raw).Describe()
	for i, want := range []string{
		"DG2, no answer wanted", "DG2, offset 40000", "DG2, offset 40000", "DG13, 4000 octets", "DG2, 74565 octets",
		"the serial number (CPLC data)", "lock for ever", "the issuer's security domain (GlobalPlatform), no answer wanted",
	} {
		if got[i].Meaning != want {
			t.Errorf("exchange %d: %q, not %q", i+1, got[i].Meaning, want)
		}
	}
	if d := got[1]; len(d.Command) != 1 || d.Command[0] != "54 (3) offset: 009C40 = 40000" || len(d.Response) != 1 || d.Response[0] != "53 (2) data: FFD8" {
		t.Errorf("%q, %q", d.Command, d.Response)
	}
}

// TestPersonalisationShowsNoKey: a trace of personalisation holds no key and no
// password, neither the usual one nor the one with personal data, and the latter
// shows what the files are written with.
func TestPersonalisationShowsNoKey(t *testing.T) {
	_, doc, secrets := build(t)
	for _, mask := range []trace.Mask{trace.MaskData, trace.MaskKeys} {
		var file bytes.Buffer
		blank := blankChip(t)
		rec := trace.NewRecorder(reader.NewChipTransport(blank), &file, trace.Options{Now: clock(), Mask: mask})
		steps, err := perso.Script(doc, secrets, perso.ChipID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reader.Personalise(context.Background(), rec.Transport(), steps, nil); err != nil {
			t.Fatal(err)
		}
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
		tr := parse(t, file.Bytes())
		if tr.Mask != mask {
			t.Errorf("the trace is %s, not %s", tr.Mask, mask)
		}
		text := file.String()
		aa, ok := secrets.ActiveAuthentication.(*curve.PrivateKey)
		if !ok {
			t.Fatal("the key is of another kind")
		}
		for name, secret := range map[string][]byte{
			"key of chip authentication": secrets.ChipAuthentication.Scalar(), "key of active authentication": aa.Scalar(),
			"CAN": []byte(secrets.CAN), "date of expiry": []byte(secrets.DateOfExpiry + "x")[:6],
		} {
			shown := strings.Contains(text, hexOf(secret))
			if mask == trace.MaskKeys && name == "date of expiry" {
				if !shown { // in DG1, which this trace shows
					t.Errorf("%s: personal data is hidden", mask)
				}
				continue
			}
			// The CAN of a Vietnamese card is a part of its number, which DG1 has.
			if shown && !(mask == trace.MaskKeys && name == "CAN") {
				t.Errorf("%s: the %s is shown", mask, name)
			}
		}
		dg1 := must(doc.Get(1))
		if shown := strings.Contains(text, hexOf(dg1)); shown != (mask == trace.MaskKeys) {
			t.Errorf("%s: DG1 is shown: %v", mask, shown)
		}
		var meanings []string
		for _, d := range tr.Describe() {
			meanings = append(meanings, d.Meaning)
			if strings.HasPrefix(d.Meaning, "private key") && d.Command != nil {
				t.Errorf("%s: %s: %q", mask, d.Meaning, d.Command)
			}
		}
		for _, want := range []string{"the MRZ password", "passwords of PACE", "private key of chip authentication", "lock for ever"} {
			if !slices.Contains(meanings, want) {
				t.Errorf("%s: no command is said to be for %q", mask, want)
			}
		}
	}
}

func TestTotals(t *testing.T) {
	raw := record(t, trace.Options{Mask: trace.MaskNothing}, []string{"00B0000004", "00B0000404", "0084000008"}, &cards{[]string{"010203049000", "0506" + "6282", "!card removed"}})
	tr := parse(t, raw)
	got := tr.Totals()
	// The clock of these tests goes on by a millisecond each time.
	want := trace.Totals{
		Exchanges: 3, Sent: 15, Received: 10, Duration: 6 * time.Millisecond, Waiting: 3 * time.Millisecond,
		ByName: []trace.Count{{Name: "READ BINARY", Times: 2, Octets: 6, Waiting: 2 * time.Millisecond}, {Name: "GET CHALLENGE", Times: 1, Waiting: time.Millisecond}},
	}
	if !slices.Equal(got.ByName, want.ByName) {
		t.Errorf("%+v", got.ByName)
	}
	got.ByName, want.ByName = nil, nil
	if got.Exchanges != want.Exchanges || got.Sent != want.Sent || got.Received != want.Received || got.Duration != want.Duration || got.Waiting != want.Waiting {
		t.Errorf("%+v", got)
	}
}
