package shamir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestField(t *testing.T) {
	// FIPS 197 section 4.2: {57}·{83} = {c1}, {57}·{13} = {fe}.
	if multiply(0x57, 0x83) != 0xC1 || multiply(0x57, 0x13) != 0xFE {
		t.Error("the examples of FIPS 197 do not hold")
	}
	for a := 1; a < 256; a++ {
		if multiply(byte(a), inverse(byte(a))) != 1 {
			t.Fatalf("%d has no inverse", a)
		}
	}
}

func split(t testing.TB, secret []byte, k, n int) []Share {
	t.Helper()
	shares, err := Split(rand.Reader, secret, k, n)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// Every subset of every size: k or more give the secret, fewer do not.
func TestEverySubset(t *testing.T) {
	secret := []byte("correct horse battery staple 32!")
	for n := 2; n <= 6; n++ {
		for k := 2; k <= n; k++ {
			shares := split(t, secret, k, n)
			for set := range 1 << n {
				var some []Share
				for i, s := range shares {
					if set>>i&1 == 1 {
						some = append(some, s)
					}
				}
				got, err := Combine(some)
				if len(some) >= k && (err != nil || !bytes.Equal(got, secret)) {
					t.Fatalf("%d of %d, set %b: %v", k, n, set, err)
				}
				if len(some) < k && !errors.Is(err, ErrTooFew) {
					t.Fatalf("%d of %d, set %b: %v", k, n, set, err)
				}
			}
		}
	}
}

// With one share too few every secret is as likely: for each there is one
// value of the missing share that gives it.
func TestTooFewTellNothing(t *testing.T) {
	shares := split(t, []byte{42}, 3, 3)
	seen := map[byte]bool{}
	for v := range 256 {
		forged := shares[2]
		forged.y = []byte{byte(v)}
		got, err := Combine([]Share{shares[0], shares[1], forged})
		if err != nil {
			t.Fatal(err)
		}
		seen[got[0]] = true
	}
	if len(seen) != 256 {
		t.Errorf("only %d of 256 secrets are possible", len(seen))
	}
}

func TestCombineRefuses(t *testing.T) {
	one, other := split(t, []byte("one"), 2, 3), split(t, []byte("two"), 2, 3)
	if _, err := Combine([]Share{one[0], one[0], one[0]}); !errors.Is(err, ErrTooFew) {
		t.Errorf("one share three times: %v", err)
	}
	if _, err := Combine([]Share{one[0], other[1]}); !errors.Is(err, ErrMixed) {
		t.Errorf("shares of two secrets: %v", err)
	}
	changed := one[2]
	changed.y = bytes.Clone(changed.y)
	changed.y[1] ^= 1
	if _, err := Combine([]Share{one[0], one[1], changed}); !errors.Is(err, ErrMixed) {
		t.Errorf("a third share that does not agree: %v", err)
	}
	if _, err := Combine([]Share{one[2], changed}); !errors.Is(err, ErrMixed) {
		t.Errorf("two of one number: %v", err)
	}
	if _, err := Combine(nil); !errors.Is(err, ErrTooFew) {
		t.Errorf("none: %v", err)
	}
	for _, kn := range [][2]int{{1, 1}, {1, 3}, {4, 3}, {2, 33}, {0, 0}} {
		if _, err := Split(rand.Reader, []byte("x"), kn[0], kn[1]); err == nil {
			t.Errorf("split %d of %d", kn[0], kn[1])
		}
	}
	if _, err := Split(rand.Reader, nil, 2, 3); err == nil {
		t.Error("nothing was split")
	}
	if _, err := Split(bytes.NewReader(nil), []byte("x"), 2, 3); err == nil {
		t.Error("split without randomness")
	}
}

func TestText(t *testing.T) {
	secret := bytes.Repeat([]byte{0xA5}, 32)
	shares := split(t, secret, 2, 3)
	var again []Share
	for _, s := range shares {
		text := strings.ToLower(strings.ReplaceAll(s.Text(), "-", " ")) + "\n"
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, p)
	}
	if got, err := Combine(again[1:]); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("typed in: %v", err)
	}
	// A slip of any one letter is noticed.
	text := shares[0].Text()
	for i := range text {
		if text[i] == '-' {
			continue
		}
		for _, c := range "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" {
			bad := text[:i] + string(c) + text[i+1:]
			if p, err := Parse(bad); err == nil && bad != text {
				// The last letter has bits that stand for nothing.
				if p.Text() != text {
					t.Fatalf("%c at %d is not noticed", c, i)
				}
			}
		}
	}
	for _, bad := range []string{"", "A", text[:len(text)-2], text + "A", strings.Repeat("A", 2000), "ếếế"} {
		if _, err := Parse(bad); !errors.Is(err, ErrShare) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, shares[0]); strings.Contains(out, "165") || strings.Contains(out, text[:9]) || !strings.Contains(out, "not shown") {
			t.Errorf("%s shows %s", verb, out)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(split(f, []byte("secret"), 2, 2)[0].Text())
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(s.Text()); err != nil || !bytes.Equal(again.y, s.y) || again.X != s.X {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
