//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/pki/keystore"
	"chipid/reader/pcsc/pcsctest"
)

// A chip in vpcd is personalised and read through PC/SC, as a user would do it
// with a card, and is the same card after it was taken out and put back.
func TestSimulatedCard(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		t.Setenv("CHIPID_PASSPHRASE", "correct horse battery staple")
		if err := os.WriteFile(path("mai.json"), []byte(`{"number": "001190000015", "fullName": "Nguyễn Thị Mai",
			"dateOfBirth": "1990-03-09", "sex": "F", "placeOfResidence": "Số 12 ngõ Thử Nghiệm, Hà Nội", "dateOfExpiry": "2030-03-09"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path("face.jpg"), portrait.JPEG(portrait.Look{Seed: 3, Age: 36, Female: true}), 0o600); err != nil {
			t.Fatal(err)
		}
		cheap := keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
		at := func() time.Time { return time.Date(2026, 11, 5, 8, 0, 0, 0, time.UTC) }
		run := func(want int, args ...string) (stdout, stderr string) {
			t.Helper()
			var out, errs bytes.Buffer
			a := newApp()
			a.out, a.err, a.now, a.costs = &out, &errs, at, cheap
			if got := a.run(t.Context(), args); got != want {
				t.Fatalf("chipid %v: exit code %d\n%s%s", args, got, &out, &errs)
			}
			return out.String(), errs.String()
		}
		insert := func(slot string, quirks ...string) (remove func()) {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			r, w := io.Pipe()
			a := newApp()
			a.out, a.err, a.now, a.costs = w, io.Discard, at, cheap
			ended := make(chan int, 1)
			go func() {
				args := []string{"card", "simulate", "--chip", path("card.chip"), "--slot", slot, "--json"}
				ended <- a.run(ctx, append(args, quirks...))
				w.Close()
			}()
			var plugged struct{ LifeCycle string }
			if err := json.NewDecoder(r).Decode(&plugged); err != nil {
				t.Fatalf("card simulate: %v, exit code %d", err, <-ended)
			}
			go io.Copy(io.Discard, r)
			awaitCard(t, slot)
			return func() {
				t.Helper()
				stop()
				if code := <-ended; code != 0 {
					t.Errorf("card simulate ended with %d", code)
				}
				awaitNoCard(t, slot) // or the next card there is taken for seen
			}
		}
		run(0, "pki", "init", "--dir", path("PKI"), "--country", "VN")
		run(0, "card", "build", path("mai.json"), "--photo", path("face.jpg"), "--pki", path("PKI"), "--out", path("CARD"))

		remove := insert("0") // blank
		run(0, "card", "personalize", path("CARD"), "--reader", "0")
		if _, errs := run(1, "card", "personalize", path("CARD"), "--reader", "0"); !strings.Contains(errs, "it is locked already") {
			t.Errorf("personalising twice: %s", errs)
		}
		remove()

		remove = insert("1", "--trace", path("program.trace"))
		if _, errs := run(1, "card", "simulate", "--chip", path("card.chip"), "--slot", "0"); !strings.Contains(errs, "plugged in already") {
			t.Errorf("one chip in two slots: %s", errs)
		}
		out, _ := run(0, "read", "--reader", "1", "--can", "000015", "--trust", path("PKI/trust"), "--json")
		if !strings.Contains(out, `"verdict": "genuine"`) {
			t.Errorf("read: %s", out)
		}
		if _, errs := run(1, "read", "--reader", "1", "--can", "000016", "--trust", path("PKI/trust")); !strings.Contains(errs, "9 tries left") {
			t.Errorf("a wrong CAN: %s", errs)
		}
		remove()
		// What the chip was asked by these two reads, and nothing of the holder's.
		if out, _ := run(0, "reader", "apdu", "show", path("program.trace")); !strings.Contains(out, "PACE, step 4") || !strings.Contains(out, "data masked") || strings.Contains(out, "cut off") {
			t.Errorf("the trace of the chip: %s", out)
		}
		remove = insert("0") // the tries are remembered
		if _, errs := run(1, "read", "--reader", "0", "--can", "000016", "--trust", path("PKI/trust")); !strings.Contains(errs, "8 tries left") {
			t.Errorf("a wrong CAN on the card put back: %s", errs)
		}
		run(0, "read", "--reader", "0", "--can", "000015", "--trust", path("PKI/trust"))
		remove()
	})
}

// awaitCard waits until pcscd sees the card: it gives no other sign.
func awaitCard(t *testing.T, slot string) {
	t.Helper()
	await(t, slot, true)
}

// awaitNoCard waits until pcscd sees that the slot is empty.
func awaitNoCard(t *testing.T, slot string) {
	t.Helper()
	await(t, slot, false)
}

func await(t *testing.T, slot string, present bool) {
	t.Helper()
	var listed struct {
		Readers []struct {
			Index   int
			Present bool
		}
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		var out bytes.Buffer
		a := newApp()
		a.out, a.err = &out, io.Discard
		if code := a.run(t.Context(), []string{"reader", "list", "--json"}); code != 0 {
			t.Fatalf("reader list: exit code %d", code)
		}
		if err := json.Unmarshal(out.Bytes(), &listed); err != nil {
			t.Fatal(err)
		}
		for _, r := range listed.Readers {
			if strconv.Itoa(r.Index) == slot && r.Present == present {
				return
			}
		}
	}
	t.Fatalf("slot %s: there is no sign of a card that is there: %v", slot, present)
}
