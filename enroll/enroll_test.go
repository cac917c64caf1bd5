package enroll

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/card/national"
)

var testDay = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// whole is an application in which every field says something.
func whole(t testing.TB) *Application {
	t.Helper()
	id, err := NewID(testDay, rand.Reader, "")
	if err != nil {
		t.Fatal(err)
	}
	a := &Application{
		ID: id, State: Sealed, Kind: Renewal, Profile: "vn",
		Person: national.Person{
			Number: "001304000123", FullName: "TRẦN THỊ THỬ NGHIỆM", DateOfBirth: "2004-05-17", Sex: "F",
			PlaceOfResidence: "Số 1, Xã Mẫu, Tỉnh Thử",
		},
		Operator: "an", Editors: []string{"chi"}, Approver: "binh", Station: "station-1",
		CapturedAt: testDay, ChangedAt: testDay.Add(time.Nanosecond),
		Photo:    &Blob{Name: strings.Repeat("ab", 32), Bytes: 12345},
		Evidence: []Evidence{{Role: OldCard, Blob: Blob{Name: "x", Bytes: 1}, Verdict: "genuine", At: testDay}, {Role: IssuedCard, Blob: Blob{Name: "y", Bytes: 2}, Verdict: "rejected", Reason: "why", At: testDay}, {Role: OldCard, Blob: Blob{Name: "z"}, At: testDay}},
		Packet:   &Packet{ID: "p", Sequence: 7, Manifest: []byte("m"), Blob: Blob{Name: "q", Bytes: 3}, SealedAt: testDay},
		Receipt:  []byte("r"), Reason: "reason", SourceLabel: "roster.csv, line 2",
	}
	return a
}

func TestEncodeDecode(t *testing.T) {
	a := whole(t)
	encoded, err := Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(encoded)
	if err != nil || !reflect.DeepEqual(a, back) {
		t.Fatalf("it came back different: %v", err)
	}
	if e := back.Latest(OldCard); e == nil || e.Blob.Name != "z" || back.Latest("other") != nil {
		t.Error("the newest evidence of a role is not given")
	}
	if len(back.Blobs()) != 5 {
		t.Errorf("%d blobs", len(back.Blobs()))
	}
	for n := range encoded {
		if _, err := Decode(encoded[:n]); !errors.Is(err, ErrEncoding) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for name, bad := range map[string][]byte{
		"octets after the end": append(bytes.Clone(encoded), 0),
		"too large":            make([]byte, MaxEncoded+1),
		"a list":               {0x80},
		"deep nesting":         bytes.Repeat([]byte{0x81}, 1000),
		"another field":        bytes.Replace(encoded, []byte("fullName"), []byte("fullNam3"), 1),
		"another state":        bytes.Replace(encoded, []byte("sealed"), []byte("sealeD"), 1),
		"an id that is none":   bytes.Replace(encoded, []byte(a.ID), []byte(strings.ToUpper(string(a.ID[:8]))+"_"+string(a.ID[9:])), 1),
	} {
		if _, err := Decode(bad); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "THỬ") || strings.Contains(err.Error(), "0013") {
			t.Errorf("%s: the error tells content: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	encoded, err := Encode(whole(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := Decode(in)
		if err != nil {
			return
		}
		again, err := Encode(a)
		if err != nil || !bytes.Equal(again, in) {
			t.Fatalf("decoded, but encodes to something else (%v)", err)
		}
		Check(a, testDay)
		Normalise(a.Person)
	})
}

func TestPrintsNoPerson(t *testing.T) {
	a := whole(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q"} {
		for _, out := range []string{fmt.Sprintf(verb, a), fmt.Sprintf(verb, *a), fmt.Sprintf(verb, []*Application{a})} {
			if strings.Contains(out, "THỬ") || strings.Contains(out, "001304") {
				t.Errorf("%s prints a person", verb)
			}
		}
	}
	if got := fmt.Sprint(a); !strings.Contains(got, string(a.ID)) {
		t.Errorf("an application prints as %q", got)
	}
}

func TestIDs(t *testing.T) {
	var last ID
	clock := testDay
	seen := map[ID]bool{}
	for i := range 20_000 {
		switch i % 1000 {
		case 500:
			clock = clock.Add(time.Millisecond)
		case 999:
			clock = clock.Add(-time.Second) // a time server's correction
		}
		id, err := NewID(clock, rand.Reader, last)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseID(string(id)); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if id <= last || seen[id] {
			t.Fatalf("%s after %s", id, last)
		}
		last, seen[id] = id, true
	}
	// The carry steps over the version and variant bits.
	for before, want := range map[ID]ID{
		"019a8e5c-7c10-7b3a-9d2e-5f60ffffffff": "019a8e5c-7c10-7b3a-9d2e-5f6100000000",
		"019a8e5c-7c10-7b3a-bfff-ffffffffffff": "019a8e5c-7c10-7b3b-8000-000000000000",
		"019a8e5c-7c10-7fff-bfff-ffffffffffff": "019a8e5c-7c11-7000-8000-000000000000",
	} {
		if got, err := NewID(time.UnixMilli(0), bytes.NewReader(make([]byte, 16)), before); err != nil || got != want {
			t.Errorf("after %s: %s, %v; want %s", before, got, err, want)
		}
	}
	first, _ := NewID(testDay, rand.Reader, "")
	later, _ := NewID(testDay.Add(time.Millisecond), rand.Reader, "")
	if later <= first {
		t.Error("ids do not sort by time")
	}
	for _, bad := range []string{"", "x", strings.ToUpper(string(first)), string(first) + "0", "019a8e5c-7c10-4b3a-9d2e-5f60718293a4", "019a8e5c-7c10-7b3a-cd2e-5f60718293a4", "019a8e5c07c10-7b3a-9d2e-5f60718293a4"} {
		if _, err := ParseID(bad); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewID(testDay, bytes.NewReader(nil), ""); err == nil {
		t.Error("an id was drawn without randomness")
	}
}

// TestMoves compares the table with the picture in the package comment, move
// by move, and tries everything else.
func TestMoves(t *testing.T) {
	states := append(States(), "")
	allowed := 0
	for action := range moves {
		for _, from := range states {
			for _, to := range states {
				err := Move("id", action, from, to)
				if err == nil {
					allowed++
					if from == Received || from == Rejected {
						t.Errorf("%s leads out of %s", action, from)
					}
					if !Starts(action, from) {
						t.Errorf("%s from %s is a move but does not start", action, from)
					}
				} else if !errors.As(err, new(*TransitionError)) {
					t.Errorf("%s: %v", action, err)
				}
			}
		}
	}
	if allowed > 40 {
		t.Errorf("%d moves are allowed", allowed)
	}
	if err := Move("id", "burn", Draft, Draft); err == nil {
		t.Error("an unknown action is allowed")
	}
	// Every state can be reached, and approved only through complete.
	reached := map[State]bool{"": true}
	for range states {
		for _, m := range moves {
			for _, from := range m.from {
				if reached[from] {
					for _, to := range m.to {
						reached[to] = true
					}
				}
			}
		}
	}
	for _, s := range States() {
		if !reached[s] {
			t.Errorf("%s cannot be reached", s)
		}
	}
	for action, m := range moves {
		if slices.Contains(m.to, Approved) && action != Approve && action != Release {
			t.Errorf("%s leads to approved", action)
		}
	}
	if !slices.Equal(moves[Approve].from, []State{Complete}) || !slices.Equal(moves[Release].from, []State{Quarantined}) {
		t.Error("approved can be reached without an approval")
	}
}

func TestCheckTellsEachField(t *testing.T) {
	complete := whole(t)
	if problems := Check(complete, testDay); problems != nil {
		t.Fatalf("a whole application: %v", problems)
	}
	tests := []struct {
		field, code string
		spoil       func(*Application)
	}{
		{"number", "required", func(a *Application) { a.Person.Number = "" }},
		{"number", "twelve-digits", func(a *Application) { a.Person.Number = "00130400012" }},
		{"number", "twelve-digits", func(a *Application) { a.Person.Number = "00130400012x" }},
		{"number", "province", func(a *Application) { a.Person.Number = "003304000123" }},
		{"number", "century", func(a *Application) { a.Person.Number = "001104000123" }},
		{"number", "birth-year", func(a *Application) { a.Person.Number = "001305000123" }},
		{"number", "sex", func(a *Application) { a.Person.Sex = "M" }},
		{"fullName", "required", func(a *Application) { a.Person.FullName = "" }},
		{"fullName", "digit", func(a *Application) { a.Person.FullName = "Trần 3" }},
		{"fullName", "letters", func(a *Application) { a.Person.FullName = "Trần 陳" }},
		{"fullName", "max", func(a *Application) { a.Person.FullName = strings.Repeat("Trần ", 30) }},
		{"dateOfBirth", "required", func(a *Application) { a.Person.DateOfBirth = "" }},
		{"dateOfBirth", "date", func(a *Application) { a.Person.DateOfBirth = "2004-02-30" }},
		{"dateOfBirth", "date", func(a *Application) { a.Person.DateOfBirth = "17/05/2004" }},
		{"dateOfBirth", "future", func(a *Application) { a.Person.DateOfBirth = "2104-05-17" }},
		{"sex", "required", func(a *Application) { a.Person.Sex = "" }},
		{"sex", "oneof", func(a *Application) { a.Person.Sex = "nam" }},
		{"nationality", "alpha", func(a *Application) { a.Person.Nationality = "V1M" }},
		{"nationality", "citizen", func(a *Application) { a.Person.Nationality = "UTO" }},
		{"placeOfResidence", "required", func(a *Application) { a.Person.PlaceOfResidence = "" }},
		{"placeOfResidence", "control", func(a *Application) { a.Person.PlaceOfResidence = "Số 1\x00" }},
		{"placeOfResidence", "separator", func(a *Application) { a.Person.PlaceOfResidence = "Số 1|2" }},
		{"placeOfResidence", "max", func(a *Application) { a.Person.PlaceOfResidence = strings.Repeat("a", 251) }},
		{"fatherName", "digit", func(a *Application) { a.Person.FatherName = "Trần 3" }},
		{"oldNumber", "nine-digits", func(a *Application) { a.Person.OldNumber = "1234" }},
		{"dateOfIssue", "before-birth", func(a *Application) { a.Person.DateOfIssue = "2003-01-01" }},
		{"dateOfExpiry", "before-issue", func(a *Application) {
			a.Person.DateOfIssue, a.Person.DateOfExpiry = "2026-01-01", "2025-01-01"
		}},
		{"kind", "oneof", func(a *Application) { a.Kind = "gift" }},
		{"profile", "unknown", func(a *Application) { a.Profile = "atlantis" }},
		{"operator", "required", func(a *Application) { a.Operator = "" }},
		{"photo", "required", func(a *Application) { a.Photo = nil }},
	}
	for _, test := range tests {
		a := *complete
		test.spoil(&a)
		problems := Check(&a, testDay)
		at := slices.IndexFunc(problems, func(p Problem) bool { return p.Field == test.field })
		if at < 0 || problems[at].Code != test.code {
			t.Errorf("%s %s: %+v", test.field, test.code, problems)
			continue
		}
		p := problems[at]
		if p.VI == "" || p.EN == "" || p.VI == p.EN || strings.Contains(p.VI+p.EN, "%") {
			t.Errorf("%s %s is told as %q, %q", test.field, test.code, p.VI, p.EN)
		}
		seen := map[string]bool{}
		for _, p := range problems {
			if seen[p.Field] {
				t.Errorf("%s is told twice", p.Field)
			}
			seen[p.Field] = true
		}
	}
}

// TestEveryFieldIsKnown fails when national.Person gains a field that the
// form, the rosters and the checks would not know.
func TestEveryFieldIsKnown(t *testing.T) {
	person := reflect.TypeFor[national.Person]()
	var p national.Person
	for i := range person.NumField() {
		name, _, _ := strings.Cut(person.Field(i).Tag.Get("json"), ",")
		at := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if at < 0 {
			t.Errorf("%s is no field of the form", name)
			continue
		}
		if fields[at].Value(&p) != reflect.ValueOf(&p).Elem().Field(i).Addr().Interface() {
			t.Errorf("%s leads to another field", name)
		}
	}
	if len(fields) != person.NumField() {
		t.Errorf("%d fields, %d in a person", len(fields), person.NumField())
	}
}

func TestNormalise(t *testing.T) {
	got := Normalise(national.Person{
		Number: " 001304000123\u00a0", FullName: "Nguye\u0302\u0303n   Thi\u0323 Mai", DateOfBirth: "7/5/2004", Sex: "Nữ",
		Nationality: "vnm", DateOfExpiry: "Không thời hạn", PlaceOfOrigin: "a\xffb", DateOfIssue: "31.12.2025", Religion: "x\ty",
	})
	want := national.Person{
		Number: "001304000123", FullName: "Nguyễn Thị Mai", DateOfBirth: "2004-05-07", Sex: "F",
		Nationality: "VNM", PlaceOfOrigin: "a\uFFFDb", DateOfIssue: "2025-12-31", Religion: "x y",
	}
	if got != want {
		for _, f := range fields {
			if g, w := *f.Value(&got), *f.Value(&want); g != w {
				t.Errorf("%s: %q, want %q", f.Name, g, w)
			}
		}
	}
	for _, left := range []string{"30/02/2004", "2004", "5/17/2004", "next year"} {
		if got := Normalise(national.Person{DateOfBirth: left}).DateOfBirth; got != left {
			t.Errorf("%q became %q", left, got)
		}
	}
	random := mrand.New(mrand.NewPCG(1, 1))
	for range 1000 {
		junk := make([]byte, random.IntN(40))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		once := Normalise(national.Person{FullName: string(junk), DateOfBirth: string(junk), Sex: string(junk)})
		if twice := Normalise(once); once != twice {
			t.Fatalf("normalising twice is not normalising once for %x", junk)
		}
	}
}
