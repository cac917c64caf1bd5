//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/pki/keystore"
	"chipid/reader/chipfile"
	"chipid/reader/pcsc/pcsctest"
	"chipid/reader/vpcd"
)

// handHeld is a card that a person takes away when the portrait begins to be
// read, in the middle of the command.
type handHeld struct {
	vpcd.Card
	takeAway func() // nil: it stays
}

func (h *handHeld) Process(command []byte) []byte {
	const readDG2 = 0x82 // READ BINARY with the short file identifier 2
	if h.takeAway != nil && len(command) > 2 && command[1] == 0xB0 && command[2] == readDG2 {
		h.takeAway()
		h.takeAway = nil
		return nil // no answer comes
	}
	return h.Card.Process(command)
}

// A person who takes the card away too early is told, in both languages, and
// puts it back; another card is refused.
func TestCardTakenAway(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		t.Setenv("CHIPID_PASSPHRASE", "correct horse battery staple")
		cheap := keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
		run := func(want int, args ...string) (stdout, stderr string) {
			t.Helper()
			var out, errs bytes.Buffer
			a := newApp()
			a.out, a.err, a.costs = &out, &errs, cheap
			a.now = func() time.Time { return time.Date(2026, 11, 5, 8, 0, 0, 0, time.UTC) }
			if got := a.run(t.Context(), args); got != want {
				t.Fatalf("chipid %v: exit code %d\n%s%s", args, got, &out, &errs)
			}
			return out.String(), errs.String()
		}
		if err := os.WriteFile(path("face.jpg"), portrait.JPEG(portrait.Look{Seed: 3, Age: 36, Female: true}), 0o600); err != nil {
			t.Fatal(err)
		}
		run(0, "pki", "init", "--dir", path("PKI"), "--country", "VN")
		sealer, err := keystore.NewSealer([]byte("correct horse battery staple"), cheap, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		issue := func(name, number string) *chipfile.File {
			t.Helper()
			if err := os.WriteFile(path(name+".json"), []byte(`{"number": "`+number+`", "fullName": "Nguyễn Thị Mai",
				"dateOfBirth": "1990-03-09", "sex": "F", "placeOfResidence": "Số 12 ngõ Thử Nghiệm, Hà Nội", "dateOfExpiry": "2030-03-09"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			run(0, "card", "build", path(name+".json"), "--photo", path("face.jpg"), "--pki", path("PKI"), "--out", path(name))
			run(0, "card", "personalize", path(name), "--chip", path(name+".chip"))
			f, err := chipfile.Open(path(name+".chip"), sealer, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		mine, other := issue("mai", "001190000015"), issue("lan", "002190000015") // of the same CAN
		served := make(chan error, 1)
		plug := func(card vpcd.Card) (unplug func()) {
			ctx, unplug := context.WithCancel(t.Context())
			go func() { served <- vpcd.Serve(ctx, pcsctest.Slot0, card) }()
			return unplug
		}
		// read has the card taken away in the middle, and another put there.
		read := func(want int, next vpcd.Card, args ...string) (stdout, stderr string) {
			t.Helper()
			first := &handHeld{Card: mine}
			unplug := plug(first)
			first.takeAway = unplug
			awaitCard(t, "0")
			putBack := make(chan func())
			go func() {
				if err := <-served; err != nil {
					t.Error(err)
				}
				if next == nil {
					close(putBack)
				} else {
					putBack <- plug(next)
				}
			}()
			out, errs := run(want, append([]string{"read", "--reader", "0", "--can", "000015", "--trust", path("PKI/trust"), "--no-cache"}, args...)...)
			if remove := <-putBack; remove != nil {
				remove()
				<-served
			}
			awaitNoCard(t, "0")
			return out, errs
		}
		for lang, words := range map[string][]string{
			"en": {"contact with the card was lost: put it back within 10 s", "the same card: reading on"},
			"vi": {"mất liên lạc với thẻ: hãy đặt lại thẻ trong vòng 10 giây", "đúng thẻ cũ: đọc tiếp"},
		} {
			page, told := read(0, mine, "--lang", lang)
			if want := map[string]string{"en": "taken away once during the read", "vi": "lấy ra giữa chừng 1 lần"}[lang]; !strings.Contains(page, want) {
				t.Errorf("the report does not say %q: %s", want, page)
			}
			for _, word := range words {
				if !strings.Contains(told, word) {
					t.Errorf("%s: not told %q: %s", lang, word, told)
				}
			}
		}
		out, _ := read(0, mine, "--json", "--events", "--out", path("SEEN"))
		for _, want := range []string{`{"event":"lost",`, `"waitMillis":10000`, `{"event":"resumed",`, `"verdict":"genuine"`} {
			if !strings.Contains(out, want) {
				t.Errorf("not told %s: %s", want, out)
			}
		}
		run(0, "verify", path("SEEN"), "--trust", path("PKI/trust"))
		if _, told := read(1, other); !strings.Contains(told, "another card was put back") {
			t.Errorf("another card: %s", told)
		}
		if _, told := read(1, nil, "--rejoin", "0"); !strings.Contains(told, "put it back, leave it there until the end, and try again") && !strings.Contains(told, "does not answer") {
			t.Errorf("not waited for: %s", told)
		}
	})
}
