package authority

import "testing"

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(`{"country":"VN","csca":{"keyYears":3,"curve":"brainpoolP384r1"},"documentSigner":{"keyMonths":3,"signatures":100000}}`))
	f.Add([]byte(`{"csca":{"algorithm":"ECDSA","keyYears":-1},"hosts":["a"]}`))
	f.Add([]byte(`[[[[[[[[`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if o, err := ParseProfile(raw); err == nil && len(o.Country) > MaxProfile {
			t.Fatal("a country longer than the file")
		}
	})
}
