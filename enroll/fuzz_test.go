package enroll

import "testing"

func FuzzParseID(f *testing.F) {
	f.Add("01890a5d-ac96-774b-bcce-b302099a8057")
	f.Add("01890A5D-AC96-774B-BCCE-B302099A8057")
	f.Add("01890a5d-ac96-774b-bcce-b302099a805é")
	f.Fuzz(func(t *testing.T, s string) {
		if raw, err := ParseID(s); err == nil && string(formatID(raw)) != s {
			t.Fatalf("%q is read as %s", s, formatID(raw))
		}
	})
}
