package national

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"chipid/card/pace"
)

func TestDrawNumber(t *testing.T) {
	seen := map[string]bool{}
	var counts [10]int
	for range 2000 {
		pin, err := DrawNumber(rand.Reader, PINDigits)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pace.PINPassword(pin); err != nil || len(pin) != PINDigits || strings.Trim(pin, "0123456789") != "" {
			t.Fatalf("%q: %v", pin, err)
		}
		seen[pin] = true
		for _, d := range pin {
			counts[d-'0']++
		}
	}
	// 12,000 digits: 1,200 of each, and less than 1,000 once in ten million runs.
	for d, n := range counts {
		if n < 1000 || n > 1400 {
			t.Errorf("the digit %d comes %d times in 12,000", d, n)
		}
	}
	if len(seen) < 1950 {
		t.Errorf("%d numbers of 2000", len(seen))
	}
	puk, err := DrawNumber(rand.Reader, PUKDigits)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pace.PUKPassword(puk); err != nil {
		t.Error(err)
	}
	for name, source := range map[string][]byte{"ends": {1, 2}, "is stuck": bytes.Repeat([]byte{255}, 10000)} {
		if _, err := DrawNumber(bytes.NewReader(source), 6); err == nil {
			t.Errorf("a source that %s draws a number", name)
		}
	}
}
