package trace_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/reader"
	"chipid/reader/inspect"
	"chipid/reader/trace"
)

var now = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

// seeded is randomness that comes again.
func seeded(b byte) io.Reader { return rand.NewChaCha8([32]byte{b}) }

// clock goes on by a millisecond each time it is looked at.
func clock() func() time.Time {
	at := now
	return func() time.Time { at = at.Add(time.Millisecond); return at }
}

// mai is invented.
var mai = national.Person{
	Number: "001190000015", FullName: "Nguyễn Thị Mai", DateOfBirth: "1990-03-09", Sex: "F",
	PlaceOfResidence: "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", DateOfIssue: "2025-07-01", DateOfExpiry: "2030-03-09",
}

func build(t *testing.T) (*chip.Chip, *lds.Document, perso.Secrets) {
	t.Helper()
	profile, err := national.ByName("vn")
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Init(t.TempDir()+"/PKI", authority.Options{
		Country: profile.Country(), MRZCountry: profile.State(), Sealer: sealer, Rand: seeded(2),
		Now: func() time.Time { return now.AddDate(0, 0, -2) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ds, signer, err := a.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 240, 320)), nil); err != nil {
		t.Fatal(err)
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: profile, Person: mai, Photo: photo.Bytes(), Certificate: ds, Signer: signer,
		ActiveAuthentication: national.AAECDSA, Now: now, Rand: seeded(3),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := blankChip(t)
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Personalise(context.Background(), reader.NewChipTransport(c), steps, nil); err != nil {
		t.Fatal(err)
	}
	return c, doc, secrets
}

func blankChip(t *testing.T) *chip.Chip {
	t.Helper()
	c, err := chip.New(chip.Options{Rand: seeded(4)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(raw []byte, ok bool) []byte {
	if !ok {
		panic("the document lacks a file that the test needs")
	}
	return raw
}

func read(t *testing.T, tr reader.Transport, p inspect.Passwords) *inspect.Evidence {
	t.Helper()
	e, err := inspect.Read(context.Background(), tr, inspect.Options{
		Passwords: p, Rand: seeded(9), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Traffic.Millis = 0 // of the real clock
	return e
}

func parse(t *testing.T, raw []byte) *trace.Trace {
	t.Helper()
	tr, err := trace.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return tr
}

func passwords(s perso.Secrets) map[string]inspect.Passwords {
	return map[string]inspect.Passwords{
		"PACE with CAN": {CAN: s.CAN},
		"PACE with MRZ": {DocumentNumber: s.DocumentNumber, DateOfBirth: s.DateOfBirth, DateOfExpiry: s.DateOfExpiry},
	}
}

// noPACE hides EF.CardAccess, so that a reader goes by BAC.
type noPACE struct{ reader.Transport }

func (n noPACE) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if bytes.HasPrefix(command, []byte{0x00, 0xB0, 0x9C}) || bytes.HasPrefix(command, []byte{0x00, 0xA4, 0x02, 0x0C, 0x02, 0x01, 0x1C}) {
		return []byte{0x6A, 0x82}, nil
	}
	return n.Transport.Transmit(ctx, command)
}

// TestReplay: a whole read, recorded, is read again from the record to the
// very same evidence, and from none other.
func TestReplay(t *testing.T) {
	c, _, secrets := build(t)
	for name, p := range passwords(secrets) {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			rec := trace.NewRecorder(reader.NewChipTransport(c), &file, trace.Options{Now: clock(), Reader: "test", ATR: c.ATR(), Mask: trace.MaskNothing})
			want := read(t, rec.Transport(), p)
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			recorded := parse(t, file.Bytes())
			if !recorded.Complete || recorded.Mask != trace.MaskNothing || !bytes.Equal(recorded.ATR, c.ATR()) || recorded.Reader != "test" {
				t.Errorf("%+v", recorded)
			}
			if !bytes.Equal(recorded.Marshal(), file.Bytes()) {
				t.Error("read and written again, the trace is another")
			}
			replay, err := trace.NewReplay(recorded)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, replay.Transport(), p)
			if err := replay.Done(); err != nil {
				t.Error(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("the replayed read gives other evidence")
			}

			// Other randomness makes other commands: the first of them is told, and
			// nothing is answered after it.
			replay, err = trace.NewReplay(recorded)
			if err != nil {
				t.Fatal(err)
			}
			_, err = inspect.Read(context.Background(), replay.Transport(), inspect.Options{
				Passwords: p, Rand: seeded(10), Now: func() time.Time { return now },
			})
			var difference *trace.DifferenceError
			if !errors.As(err, &difference) || difference.Exchange < 2 || !strings.Contains(err.Error(), "differs from the recorded GENERAL AUTHENTICATE") {
				t.Errorf("other randomness: %v", err)
			}
			if !errors.As(replay.Done(), &difference) {
				t.Error("a replay that differed says that all went well")
			}
		})
	}
}

// TestMaskedTraceHoldsNothing: a read with its data masked shows the same
// conversation as one without, and no octet of it that is the holder's, the
// card's or made from what is printed on it.
func TestMaskedTraceHoldsNothing(t *testing.T) {
	c, doc, secrets := build(t)
	ways := map[string]reader.Transport{
		"PACE with CAN": reader.NewChipTransport(c), "PACE with MRZ": reader.NewChipTransport(c),
		"BAC": noPACE{reader.NewChipTransport(c)},
	}
	for name, transport := range ways {
		t.Run(name, func(t *testing.T) {
			p, ok := passwords(secrets)[name]
			if !ok {
				p = passwords(secrets)["PACE with MRZ"]
			}
			// Both recorders hear the same conversation.
			var masked, whole bytes.Buffer
			inner := trace.NewRecorder(transport, &whole, trace.Options{Now: clock(), Mask: trace.MaskNothing})
			outer := trace.NewRecorder(inner.Transport(), &masked, trace.Options{Now: clock()})
			e := read(t, outer.Transport(), p)
			if name == "BAC" && e.Access.Protocol != "BAC" {
				t.Fatalf("opened by %s", e.Access.Protocol)
			}
			if err := errors.Join(outer.Close(), inner.Close()); err != nil {
				t.Fatal(err)
			}
			text := masked.String()
			m, w := parse(t, masked.Bytes()), parse(t, whole.Bytes())
			if m.Mask != trace.MaskData || len(m.Exchanges) != len(w.Exchanges) {
				t.Fatalf("%d exchanges, %d whole", len(m.Exchanges), len(w.Exchanges))
			}
			public := hex.EncodeToString(lds.EMRTDApplication())
			var cryptograms int
			for i, x := range w.Exchanges {
				if x.Reset {
					continue
				}
				command, err := hex.DecodeString(x.Command.String())
				if err != nil {
					t.Fatal(err)
				}
				parsed, err := iso7816.ParseCommand(command)
				if err != nil {
					t.Fatal(err)
				}
				if m.Exchanges[i].Command.Len() != x.Command.Len() || m.Exchanges[i].Response.Len() != x.Response.Len() {
					t.Errorf("exchange %d: other lengths", i)
				}
				if len(parsed.Data) > 2 && hex.EncodeToString(parsed.Data) != public {
					cryptograms++
					if strings.Contains(text, strings.ToUpper(hex.EncodeToString(parsed.Data))) || !m.Exchanges[i].Command.Masked() {
						t.Errorf("exchange %d: the data of %s is shown", i, m.Exchanges[i].Command)
					}
				}
				response := x.Response.String()
				if got := m.Exchanges[i].Response.String(); len(response) > 4 && (!strings.HasPrefix(got, "[") || len(got) != strings.Index(got, "]")+1+4) {
					t.Errorf("exchange %d: the answer %s is shown", i, got)
				}
			}
			if cryptograms < 10 {
				t.Errorf("only %d commands had data: this proves little", cryptograms)
			}
			for _, f := range doc.Files() {
				raw, _ := doc.Get(f)
				for at := 0; at+8 <= len(raw); at += 8 {
					if piece := strings.ToUpper(hex.EncodeToString(raw[at : at+8])); strings.Contains(text, piece) {
						t.Errorf("%v is shown: %s", f, piece)
					}
				}
			}
			for _, s := range []string{secrets.CAN, secrets.DocumentNumber, mai.Number, "Mai"} {
				if strings.Contains(text, s) || strings.Contains(text, strings.ToUpper(hex.EncodeToString([]byte(s)))) {
					t.Errorf("%q is shown", s)
				}
			}
			if _, err := trace.NewReplay(m); !errors.Is(err, trace.ErrMasked) {
				t.Errorf("a masked trace is replayed: %v", err)
			}
		})
	}
}

// cards answer as a test wants.
type cards struct {
	answers []string // hexadecimal, or "!" and an error
}

func (c *cards) Transmit(context.Context, []byte) ([]byte, error) {
	next := c.answers[0]
	c.answers = c.answers[1:]
	if text, failed := strings.CutPrefix(next, "!"); failed {
		return nil, errors.New(text)
	}
	return hex.DecodeString(next)
}

func record(t *testing.T, o trace.Options, commands []string, tr reader.Transport) []byte {
	t.Helper()
	var file bytes.Buffer
	o.Now = clock()
	rec := trace.NewRecorder(tr, &file, o)
	for _, c := range commands {
		raw, err := hex.DecodeString(c)
		if err != nil {
			t.Fatal(err)
		}
		rec.Transport().Transmit(context.Background(), raw) //nolint:errcheck // recorded
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestForm holds the format, octet for octet.
func TestForm(t *testing.T) {
	raw := record(t, trace.Options{Reader: "a \"reader\"\n", ATR: []byte{0x3B, 0x80}}, []string{
		"00A4040C07A0000002471001", "00A4020C02DEAD", "0CB081000D01020304050607080910111213" + "00", "00B0",
		"00DA0062000004" + "01020304" + "0000",
	}, &cards{[]string{"9000", "6A82", "0102039000", "67", "!card removed"}})
	want := `chipid-trace 1 masked
start 2026-11-05T12:00:00.001000Z
reader "a \"reader\"\n"
atr 3B80
0.001000 > 00A4040C07A0000002471001
0.002000 < 9000
0.003000 > 00A4020C02[2]
0.004000 < 6A82
0.005000 > 0CB081000D[13]00
0.006000 < [3]9000
0.007000 > [2]
0.008000 < [1]
0.009000 > 00DA0062000004[4]0000
0.010000 ! "card removed"
end 5
`
	if string(raw) != want {
		t.Errorf("got\n%s\nwant\n%s", raw, want)
	}
	tr := parse(t, raw)
	if !bytes.Equal(tr.Marshal(), raw) {
		t.Error("it does not come back")
	}
	// Cut anywhere behind its head, it is taken as far as its whole lines go.
	for n := strings.Index(want, "\n0.001") + 1; n < len(raw); n++ {
		cut, err := trace.Read(bytes.NewReader(raw[:n]))
		if err != nil || cut.Complete {
			t.Fatalf("cut after %d octets: %v", n, err)
		}
		if !strings.HasPrefix(want, string(cut.Marshal())) {
			t.Fatalf("cut after %d octets it is\n%s", n, cut.Marshal())
		}
	}
}

func TestRefused(t *testing.T) {
	const head = "chipid-trace 1 whole\nstart 2026-11-05T12:00:00.000000Z\n"
	for name, text := range map[string]string{
		"nothing":              "",
		"something else":       "hello\n",
		"another version":      "chipid-trace 2 whole\n",
		"no start":             "chipid-trace 1 whole\n0.000000 > 00\n",
		"hidden in a whole":    head + "0.000000 > 00B00000[3]\n",
		"small letters":        head + "0.000000 > 00b00000\n",
		"half an octet":        head + "0.000000 > 00B\n",
		"an answer to nothing": head + "0.000000 < 9000\n",
		"two commands":         head + "0.000000 > 00B00000\n0.000000 > 00B00000\n",
		"time runs backwards":  head + "1.000000 > 00B00000\n0.000000 < 9000\n",
		"no time":              head + "soon > 00B00000\n",
		"endless time":         head + "9999999999.000000 > 00B00000\n",
		"missing exchanges":    head + "end 3\n",
		"behind the end":       head + "end 0\n0.000000 > 00B00000\n",
		"reset answers":        head + "0.000000 reset\n0.000000 < 9000\n",
		"a wait answers":       head + "0.000000 rejoin\n0.000000 < 9000\n",
		"no size of an APDU":   head + "maxapdu many\n",
		"too large an APDU":    head + "maxapdu 99999999\n",
		"a line without end":   head + strings.Repeat("0", 1<<20),
		"hidden without end":   strings.Replace(head, "whole", "masked", 1) + "0.000000 > [99999999999]\n",
		"inside of nothing":    head + "0.000000 plain > 00B00000\n",
		"inside of no answer":  head + "0.000000 > 00B00000\n0.000000 plain > 00B00000\n",
		"an inner answer only": head + "0.000000 > 00B00000\n0.000000 < 9000\n0.000000 plain < 9000\n",
		"inside twice":         head + "0.000000 > 00B00000\n0.000000 < 9000\n0.000000 plain > 00B00000\n0.000000 plain > 00B00000\n",
		"inside of a failure":  head + "0.000000 > 00B00000\n0.000000 ! \"gone\"\n0.000000 plain > 00B00000\n",
		"many hidden octets":   strings.Replace(head, "whole", "masked", 1) + strings.Repeat("0.000000 > [65000]\n0.000000 < [65000]\n", 200),
	} {
		_, err := trace.Read(strings.NewReader(text))
		if err == nil || name == "many hidden octets" && !errors.Is(err, trace.ErrBounds) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFailuresAreReplayed: a card that was taken away is so again, and a
// reset is a reset.
func TestFailuresAreReplayed(t *testing.T) {
	raw := record(t, trace.Options{Mask: trace.MaskNothing}, []string{"00840000" + "08", "00840000" + "08"}, &cards{[]string{"9000", "!card removed"}})
	replay, err := trace.NewReplay(parse(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	tr := replay.Transport()
	if _, ok := tr.(reader.Resetter); ok {
		t.Error("the replay of a card that could not be reset can")
	}
	command := []byte{0x00, 0x84, 0, 0, 8}
	if r, err := tr.Transmit(t.Context(), command); err != nil || !bytes.Equal(r, []byte{0x90, 0}) {
		t.Errorf("%X, %v", r, err)
	}
	var difference *trace.DifferenceError
	if !errors.As(replay.Done(), &difference) {
		t.Error("half a replay is done")
	}
	if _, err := tr.Transmit(t.Context(), command); err == nil || err.Error() != "card removed" {
		t.Errorf("%v", err)
	}
	if err := replay.Done(); err != nil {
		t.Error(err)
	}
	if _, err := tr.Transmit(t.Context(), command); !errors.As(err, &difference) || difference.Exchange != 3 {
		t.Errorf("behind the end: %v", err)
	}

	c, err := chip.New(chip.Options{Rand: seeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	rec := trace.NewRecorder(reader.NewChipTransport(c), &file, trace.Options{Now: clock(), Mask: trace.MaskNothing})
	if err := rec.Transport().(reader.Resetter).Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := trace.NewReplay(parse(t, file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Transport().(reader.Resetter).Reset(t.Context()); err != nil || again.Done() != nil {
		t.Errorf("%v, %v", err, again.Done())
	}
}

// wobbly is a card that is lost and comes back.
type wobbly struct{ lost, gone bool }

func (w *wobbly) Transmit(context.Context, []byte) ([]byte, error) {
	if w.lost {
		return nil, fmt.Errorf("talk to the card: %w", reader.ErrCardLost)
	}
	return []byte{0x90, 0x00}, nil
}

func (w *wobbly) Rejoin(context.Context) error {
	if w.gone {
		return errors.New("nobody put it back")
	}
	w.lost = false
	return nil
}

func (w *wobbly) MaxAPDU() int { return 2048 }

// TestLostCards: what a transport can do beyond exchanges is there in a recorded
// one and in the replay, and a card that was lost and came back does both again.
func TestLostCards(t *testing.T) {
	w := new(wobbly)
	var file bytes.Buffer
	rec := trace.NewRecorder(w, &file, trace.Options{Now: clock(), Mask: trace.MaskNothing})
	command := []byte{0x00, 0x84, 0, 0, 8}
	converse := func(tr reader.Transport, lose func(lost, gone bool)) {
		t.Helper()
		if n := tr.(reader.Limiter).MaxAPDU(); n != 2048 {
			t.Errorf("the reader takes %d octets", n)
		}
		if _, err := tr.Transmit(t.Context(), command); err != nil {
			t.Errorf("%v", err)
		}
		for _, gone := range []bool{false, true} {
			lose(true, gone)
			if _, err := tr.Transmit(t.Context(), command); !errors.Is(err, reader.ErrCardLost) {
				t.Errorf("lost: %v", err)
			}
			if err := tr.(reader.Rejoiner).Rejoin(t.Context()); (err != nil) != gone {
				t.Errorf("gone %v: %v", gone, err)
			}
		}
	}
	converse(rec.Transport(), func(lost, gone bool) { w.lost, w.gone = lost, gone })
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	tr := parse(t, file.Bytes())
	replay, err := trace.NewReplay(tr)
	if err != nil {
		t.Fatal(err)
	}
	converse(replay.Transport(), func(bool, bool) {})
	if err := replay.Done(); err != nil {
		t.Error(err)
	}
	if d := tr.Describe(); d[2].Name != "WAIT" || len(d) != 5 {
		t.Errorf("described as %+v", d)
	}

	plain := trace.NewRecorder(&cards{[]string{"9000"}}, &file, trace.Options{Now: clock()}).Transport()
	if err := plain.(reader.Rejoiner).Rejoin(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a card that cannot come back: %v", err)
	}
	if n := plain.(reader.Limiter).MaxAPDU(); n != 0 {
		t.Errorf("a reader that does not say takes %d octets", n)
	}
}

// full takes so many octets and no more.
type full int

func (f *full) Write(b []byte) (int, error) {
	if *f -= full(len(b)); *f < 0 {
		return 0, errors.New("disk full")
	}
	return len(b), nil
}

// TestRecordingNeverDisturbs: a read goes on where its trace cannot.
func TestRecordingNeverDisturbs(t *testing.T) {
	c, _, secrets := build(t)
	room := full(500)
	rec := trace.NewRecorder(reader.NewChipTransport(c), &room, trace.Options{Now: clock()})
	read(t, rec.Transport(), passwords(secrets)["PACE with CAN"])
	if err := rec.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%v", err)
	}
}

// TestDescribe: a trace in words, as a person would put it.
func TestDescribe(t *testing.T) {
	raw := record(t, trace.Options{Mask: trace.MaskNothing}, []string{
		"00B09C0000", "00B0010010", "0022C1A40412010203", "00A4040C07A0000002471001", "00B09C0000", "00A4020C020101",
		"0CB0000000", "1086000002" + "7C00" + "00", "0084000008", "00C00000FF", "00110000",
	}, &cards{[]string{"310390" + "00", "6B00", "63C2", "9000", "6A82", "9000", "8701019000", "6A80", "01020304050607089000", "6C08", "6D00"}})
	got := parse(t, raw).Describe()
	for i, want := range []struct{ name, meaning, status string }{
		{"READ BINARY", "EF_CardAccess by short identifier 1C, offset 0", "9000 (success)"},
		{"READ BINARY", "EF_CardAccess, offset 256", "6B00 (offset outside the file)"},
		{"MANAGE SECURITY ENVIRONMENT", "set AT for mutual authentication (PACE)", "63C2 (wrong password, 2 tries left)"},
		{"SELECT", "the eMRTD application, no answer wanted", "9000 (success)"},
		{"READ BINARY", "EF_CVCA by short identifier 1C, offset 0", "6A82 (file not found)"},
		{"SELECT", "DG1, no answer wanted", "9000 (success)"},
		{"READ BINARY", "DG1, offset 0", "9000 (success)"},
		{"GENERAL AUTHENTICATE", "a step of PACE", "6A80 (incorrect parameters in the command data)"},
		{"GET CHALLENGE", "for BAC", "9000 (success)"},
		{"GET RESPONSE", "the rest of the answer", "6C08 (wrong Le, 8 is right)"},
		{"INS 11", "", "6D00 (instruction not supported)"},
	} {
		if d := got[i]; d.Name != want.name || d.Meaning != want.meaning || d.Status != want.status {
			t.Errorf("exchange %d: %q, %q, %q", i+1, d.Name, d.Meaning, d.Status)
		}
	}
	if d := got[6]; !d.Secure || len(d.Response) != 1 || d.Response[0] != "87 (1) cryptogram: 01" {
		t.Errorf("secure messaging: %+v", d)
	}
	if d := got[7]; !d.Chained || len(d.Command) != 1 || d.Command[0] != "7C (0) dynamic authentication data" {
		t.Errorf("chaining: %+v", d)
	}
	if d := got[8]; d.Ne != 8 || d.Length != 8 {
		t.Errorf("lengths: %+v", d)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("chipid-trace 1 masked\nstart 2026-11-05T12:00:00.001000Z\nreader \"a\"\natr 3B80\nmaxapdu 256\nresettable\n0.001000 > 00A4040C07A0000002471001\n0.002000 < 9000\n0.005000 > 0CB081000D[13]00\n0.006000 < [3]9000\n0.006000 reset\n0.007000 done\n0.009000 > 00DA0062000004[4]0000\n0.010000 lost \"card removed\"\n0.011000 rejoin\n0.012000 done\nend 5\n"))
	f.Add([]byte("chipid-trace 1 whole\nstart 2026-11-05T12:00:00.000000Z\n0.000000 > 10860000027C0000\n0.000000 < 7C028000" + "9000\n0.000000 > 00A4020C020101\n"))
	f.Add([]byte("chipid-trace 1 keys-masked\nstart 2026-11-05T12:00:00.000000Z\n0.000000 > 0C2A00BE0A8708010102030405060700\n0.000001 < 990290009000\n0.000001 plain > 002A00BE077F4E04\n0.000001 plain < 9000\n0.000002 > 0CB1000000\n0.000003 < 8701019000\n0.000003 plain > 00B10000045402800000\nend 2\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tr, err := trace.Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		tr.Describe()
		tr.Totals()
		again, err := trace.Read(bytes.NewReader(tr.Marshal()))
		if err != nil || !reflect.DeepEqual(again, tr) {
			t.Fatalf("%v: it does not come back\n%s", err, tr.Marshal())
		}
		if replay, err := trace.NewReplay(tr); err == nil {
			replay.Transport().Transmit(t.Context(), []byte{0, 0xA4, 0, 0}) //nolint:errcheck // must not panic
		}
	})
}
