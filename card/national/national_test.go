package national

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/mrz"
)

// mai is invented, as every person here.
var mai = Person{
	Number: "001190000015", FullName: "Nguyễn Thị Mai", DateOfBirth: "1990-03-09", Sex: "F",
	Ethnicity: "Kinh", Religion: "Không", PlaceOfOrigin: "Xã Mẫu Sơn, Huyện Lộc Bình, Lạng Sơn",
	PlaceOfResidence: "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", IdentifyingMarks: "Nốt ruồi cách 2cm dưới đuôi mắt trái",
	FatherName: "Nguyễn Văn Bình", MotherName: "Trần Thị Cúc", OldNumber: "012345678",
	DateOfIssue: "2025-07-01", DateOfExpiry: "2030-03-09",
}

// anna is the specimen of Doc 9303-5.
var anna = Person{
	Number: "ZE184226B", DocumentNumber: "D23145890", FullName: "ERIKSSON, ANNA MARIA", DateOfBirth: "1974-08-12", Sex: "F",
	PlaceOfOrigin: "Zenith", PlaceOfResidence: "1 Example Street, Zenith", DateOfIssue: "2025-01-02", DateOfExpiry: "2034-04-15",
}

var now = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

func TestVietnamMRZ(t *testing.T) {
	for what, one := range map[string]struct {
		change func(*Person)
		want   string
	}{
		"with expiry": {func(*Person) {}, "" +
			"IDVNM1900000152001190000015<<3" +
			"9003093F3003091VNM<<<<<<<<<<<4" +
			"NGUYEN<<THI<MAI<<<<<<<<<<<<<<<"},
		"without expiry": {func(p *Person) { p.DateOfExpiry = "" }, "" +
			"IDVNM1900000152001190000015<<3" +
			"9003093F9912315VNM<<<<<<<<<<<6" +
			"NGUYEN<<THI<MAI<<<<<<<<<<<<<<<"},
		"long name": {func(p *Person) { p.FullName = "Đặng Tôn Nữ Thị Hường Tuyết Phượng" }, "" +
			"IDVNM1900000152001190000015<<3" +
			"9003093F3003091VNM<<<<<<<<<<<4" +
			"DANG<<TON<NU<THI<HUONG<TUYET<P"},
	} {
		p := mai
		one.change(&p)
		info, err := vietnam{}.MRZ(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := info.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got != one.want {
			t.Errorf("%s:\n%s, want\n%s", what, got, one.want)
		}
		// The facts' own words: line 1 ends with a check digit over the fourteen
		// characters before it.
		line1 := got[:30]
		if line1[29] != mrz.CheckDigit(line1[15:29]) || line1[14] != mrz.CheckDigit(line1[5:14]) || line1[5:14] != p.Number[3:] {
			t.Errorf("%s: line 1 is %s", what, line1)
		}
		if again, err := mrz.Parse(got); err != nil || !again.Name.Renders(info.Name, 30) || again.DocumentNumber != "190000015" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVietnamCANAndQR(t *testing.T) {
	if got := (vietnam{}).CAN(mai); got != "000015" {
		t.Errorf("CAN %q", got)
	}
	if got := (vietnam{}).CAN(Person{Number: "12"}); got != "" {
		t.Errorf("CAN of no number %q", got)
	}
	want := "001190000015|012345678|Nguyễn Thị Mai|09031990|Nữ|Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội|01072025"
	if got := (vietnam{}).QR(mai); got != want {
		t.Errorf("QR %q", got)
	}
	p := mai
	p.OldNumber = ""
	if got := (vietnam{}).QR(p); !strings.HasPrefix(got, "001190000015||Nguyễn") {
		t.Errorf("QR %q", got)
	}
}

// EF.CardAccess is what five reader applications saw on the card.
func TestVietnamCardAccess(t *testing.T) {
	const seen = "3134300d060804007f0007020202020101300f060a04007f000702020302020201013012060a04007f0007020204020202010202010d"
	c, err := vietnam{}.Chip()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(c.CardAccess); got != seen {
		t.Errorf("%s", got)
	}
	infos, err := lds.DecodeCardAccess(c.CardAccess)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos.PACE) != 1 || infos.PACE[0].Name() != "PACE-ECDH-GM-AES-CBC-CMAC-128" || infos.PACE[0].ParameterID != 13 {
		t.Errorf("%+v", infos.PACE)
	}
	if len(infos.ChipAuthentication) != 1 || infos.ChipAuthentication[0].Name() != "CA-ECDH-AES-CBC-CMAC-128" ||
		!infos.ChipAuthentication[0].Protocol.Equal(c.ChipAuthentication.Protocol) {
		t.Errorf("%+v", infos.ChipAuthentication)
	}
	if id, ok := c.Curve.DomainParameterID(); !ok || id != 13 {
		t.Errorf("curve %s", c.Curve.Name())
	}
	for _, p := range Profiles() {
		c, err := p.Chip()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range c.Habits {
			if _, err := chip.HabitByName(h); err != nil {
				t.Errorf("%s: %v", p.Name(), err)
			}
		}
	}
}

func TestCheckVietnam(t *testing.T) {
	if faults := (vietnam{}).Check(mai, now); faults != nil {
		t.Fatalf("a good person: %v", faults)
	}
	for _, one := range []struct {
		field, code string
		change      func(*Person)
	}{
		{"number", "required", func(p *Person) { p.Number = "" }},
		{"number", "twelve-digits", func(p *Person) { p.Number = "00119000001" }},
		{"number", "twelve-digits", func(p *Person) { p.Number = "0011900000155" }},
		{"number", "twelve-digits", func(p *Person) { p.Number = "00119000001A" }},
		{"number", "twelve-digits", func(p *Person) { p.Number = "00119000001５" }},
		{"number", "province", func(p *Person) { p.Number = "000190000015" }},
		{"number", "province", func(p *Person) { p.Number = "003190000015" }},
		{"number", "province", func(p *Person) { p.Number = "097190000015" }},
		{"number", "century", func(p *Person) { p.Number = "001390000015" }},
		// There are no numbers for the 19th century.
		{"number", "century", func(p *Person) { p.Number, p.DateOfBirth = "001197000015", "1897-11-06" }},
		{"number", "birth-year", func(p *Person) { p.Number = "001191000015" }},
		{"number", "sex", func(p *Person) { p.Number = "001090000015" }},
		{"number", "sex", func(p *Person) { p.Sex = "M" }},
		{"number", "century", func(p *Person) { p.Number, p.DateOfBirth = "001390000015", "" }},
		{"fullName", "required", func(p *Person) { p.FullName = "  " }},
		{"fullName", "digit", func(p *Person) { p.FullName = "Nguyễn Thị 2" }},
		{"fullName", "double-space", func(p *Person) { p.FullName = "Nguyễn  Thị Mai" }},
		{"fullName", "letters", func(p *Person) { p.FullName = "Иванов Иван" }},
		{"fullName", "letters", func(p *Person) { p.FullName = "Nguyễn, Mai" }},
		{"fullName", "letters", func(p *Person) { p.FullName = "-- '" }},
		{"fullName", "separator", func(p *Person) { p.FullName = "Mai|Lan" }},
		{"fullName", "control", func(p *Person) { p.FullName = "Mai\nLan" }},
		{"fullName", "encoding", func(p *Person) { p.FullName = "Mai\xFF" }},
		{"fullName", "encoding", func(p *Person) { p.FullName = "Nguy\uFFFDn" }},
		{"fullName", "diacritic", func(p *Person) { p.FullName = "Mx\u0323\u0302\u0323ai" }},
		{"fullName", "too-long", func(p *Person) { p.FullName = strings.Repeat("Mai ", 30) }},
		{"dateOfBirth", "required", func(p *Person) { p.DateOfBirth = "" }},
		{"dateOfBirth", "date", func(p *Person) { p.DateOfBirth = "09/03/1990" }},
		{"dateOfBirth", "date", func(p *Person) { p.DateOfBirth = "1990-02-30" }},
		{"dateOfBirth", "date", func(p *Person) { p.DateOfBirth = "1900-02-29" }},
		{"dateOfBirth", "future", func(p *Person) { p.DateOfBirth, p.Number = "2090-03-09", "001390000015" }},
		{"dateOfBirth", "too-old", func(p *Person) { p.DateOfBirth = "1890-03-09" }},
		{"sex", "required", func(p *Person) { p.Sex = "" }},
		{"sex", "sex", func(p *Person) { p.Sex = "X" }},
		{"nationality", "citizen", func(p *Person) { p.Nationality = "UTO" }},
		{"documentNumber", "derived", func(p *Person) { p.DocumentNumber = "12345" }},
		{"placeOfResidence", "separator", func(p *Person) { p.PlaceOfResidence = "Hà Nội | Việt Nam" }},
		{"placeOfResidence", "control", func(p *Person) { p.PlaceOfResidence = "Hà Nội\tViệt Nam" }},
		{"placeOfResidence", "double-space", func(p *Person) { p.PlaceOfResidence = "Hà  Nội" }},
		{"placeOfResidence", "letters", func(p *Person) { p.PlaceOfResidence = "12" }},
		{"placeOfResidence", "too-long", func(p *Person) { p.PlaceOfResidence = strings.Repeat("đ", 251) }},
		{"motherName", "digit", func(p *Person) { p.MotherName = "Cúc 1" }},
		{"oldNumber", "nine-digits", func(p *Person) { p.OldNumber = "12345678" }},
		{"dateOfIssue", "future", func(p *Person) { p.DateOfIssue = "2026-11-07" }},
		{"dateOfIssue", "before-birth", func(p *Person) { p.DateOfIssue = "1980-01-01" }},
		{"dateOfIssue", "date", func(p *Person) { p.DateOfIssue = "2025-13-01" }},
		{"dateOfExpiry", "before-issue", func(p *Person) { p.DateOfExpiry = "2025-06-30" }},
		{"dateOfExpiry", "before-birth", func(p *Person) { p.DateOfIssue, p.DateOfExpiry = "", "1980-06-30" }},
		{"dateOfExpiry", "too-late", func(p *Person) { p.DateOfExpiry = "2076-01-01" }},
	} {
		p := mai
		one.change(&p)
		faults := vietnam{}.Check(p, now)
		found := false
		for _, f := range faults {
			if f.VI == "" || f.EN == "" || f.Field == "" || f.Code == "" {
				t.Errorf("%+v is not complete", f)
			}
			found = found || f.Field == one.field && f.Code == one.code
		}
		if !found {
			t.Errorf("%s %s is not among %v", one.field, one.code, faults)
		}
		if err := faults.Err(); err == nil || strings.Contains(err.Error(), p.Number) && p.Number != "" {
			t.Errorf("%s %s: %v", one.field, one.code, err)
		}
	}
}

func TestCheckTakes(t *testing.T) {
	for what, change := range map[string]func(*Person){
		"decomposed name":       func(p *Person) { p.FullName = "Nguye\u0302\u0303n Thi\u0323 Mai" },
		"ethnic minority name":  func(p *Person) { p.FullName = "H'Hen Niê" },
		"one word":              func(p *Person) { p.FullName = "Mai" },
		"capitals":              func(p *Person) { p.FullName = "ĐẶNG THÙY TRÂM" },
		"no expiry":             func(p *Person) { p.DateOfExpiry = "" },
		"no issue yet":          func(p *Person) { p.DateOfIssue = "" },
		"birth registered away": func(p *Person) { p.Number = "101190000015" },
		"man of the 20th":       func(p *Person) { p.Number, p.Sex = "001090000015", "M" },
		"man of the 21st":       func(p *Person) { p.Number, p.Sex, p.DateOfBirth = "096205000015", "M", "2005-02-28" },
		"woman of the 21st":     func(p *Person) { p.Number, p.DateOfBirth = "079305000015", "2005-02-28" },
		"leap day":              func(p *Person) { p.Number, p.DateOfBirth = "001304000015", "2004-02-29" },
		"born today":            func(p *Person) { p.Number, p.DateOfBirth, p.DateOfIssue = "001326000015", "2026-11-05", "" },
		"nationality given":     func(p *Person) { p.Nationality = "VNM" },
		"document number given": func(p *Person) { p.DocumentNumber = "190000015" },
		"only what must be": func(p *Person) {
			*p = Person{Number: p.Number, FullName: p.FullName, DateOfBirth: p.DateOfBirth, Sex: p.Sex}
		},
		"spaces around": func(p *Person) { p.FullName = " Nguyễn Thị Mai " },
	} {
		p := mai
		change(&p)
		if faults := (vietnam{}).Check(p, now); faults != nil {
			t.Errorf("%s: %v", what, faults)
		}
	}
}

func TestNormalise(t *testing.T) {
	p := mai
	p.FullName = " Nguye\u0302\u0303n Thi\u0323 Mai "
	if got := Normalise(p); got.FullName != "Nguyễn Thị Mai" {
		t.Errorf("%q", got.FullName)
	}
}

func TestUtopia(t *testing.T) {
	u, err := ByName("utopia")
	if err != nil {
		t.Fatal(err)
	}
	if faults := u.Check(anna, now); faults != nil {
		t.Fatal(faults)
	}
	info, err := u.MRZ(anna)
	if err != nil {
		t.Fatal(err)
	}
	// Doc 9303-5 appendix B, but for the date of expiry.
	if text, err := info.Encode(); err != nil || text[:30] != "I<UTOD231458907<<<<<<<<<<<<<<<" || text[60:] != "ERIKSSON<<ANNA<MARIA<<<<<<<<<<" || text[30:38] != "7408122F" {
		t.Errorf("%s, %v", text, err)
	}
	for field, change := range map[string]func(*Person){
		"documentNumber": func(p *Person) { p.DocumentNumber = "" },
		"number":         func(p *Person) { p.Number = "ze-1" },
		"nationality":    func(p *Person) { p.Nationality = "uto" },
		"fullName":       func(p *Person) { p.FullName = "AGENT 7" },
		"sex":            func(p *Person) { p.Sex = "W" },
		"dateOfBirth":    func(p *Person) { p.DateOfBirth = "12.8.1974" },
	} {
		p := anna
		change(&p)
		if faults := u.Check(p, now); len(faults) != 1 || faults[0].Field != field {
			t.Errorf("%s: %v", field, faults)
		}
	}
}

func TestByName(t *testing.T) {
	if _, err := ByName("atlantis"); err == nil || !strings.Contains(err.Error(), "vn and utopia") {
		t.Errorf("%v", err)
	}
	if ByState("VNM").Name() != "vn" || ByState("D").Name() != "utopia" {
		t.Error("by state")
	}
}

func TestFaces(t *testing.T) {
	for _, one := range []struct {
		profile Profile
		person  Person
	}{{vietnam{}, mai}, {utopia{}, anna}} {
		face, err := one.profile.Face(one.person)
		if err != nil {
			t.Fatal(err)
		}
		if len(face.MRZ) != 3 || len(face.Front) == 0 || face.Specimen == "" {
			t.Errorf("%+v", face)
		}
		var printed []string
		for _, f := range append(face.Front, face.Back...) {
			printed = append(printed, f.Value)
		}
		if !strings.Contains(strings.Join(printed, "\n"), strings.ToUpper(one.person.FullName)) {
			t.Errorf("%s: the name is not printed", one.profile.Name())
		}
	}
}

// No verb and no logger shows a person.
func TestPersonIsNotShown(t *testing.T) {
	p := &mai
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "person", mai)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "person", mai)
	shown := fmt.Sprintf("%v %+v %#v %s %q %d %v %v", mai, mai, mai, mai, mai, mai, p, []Person{mai}) + logged.String()
	for _, secret := range []string{"Mai", mai.Number, "1990", "Kinh"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q is shown in %s", secret, shown)
		}
	}
	// Where it is meant to be written, it is.
	raw, err := json.Marshal(mai)
	if err != nil || !bytes.Contains(raw, []byte(mai.Number)) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestFieldErrors(t *testing.T) {
	err := fmt.Errorf("build: %w", vietnam{}.Check(Person{}, now).Err())
	var faults FieldErrors
	if !errors.As(err, &faults) || len(faults) != 4 || faults[0].Field != "number" {
		t.Errorf("%v", err)
	}
	if (FieldErrors)(nil).Err() != nil {
		t.Error("no fault is an error")
	}
}
