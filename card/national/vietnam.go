package national

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/card/mrz"
)

// vietnam is the căn cước công dân with chip of 2021: one eMRTD application
// with DG1, DG2, DG13, DG14 and DG15. DG3, the fingers, is left out here since
// chipid does not capture them yet; DG11 does not exist on it (6A82).
//
// What is known of the card is in no official document that is public; it was
// put together from the behaviour of reader applications. What chipid chose
// where nothing is known stands beside the code: the reference in DG13 16 and
// the date of expiry of a card that has none.
type vietnam struct{}

func (vietnam) Name() string    { return "vn" }
func (vietnam) State() string   { return "VNM" }
func (vietnam) Country() string { return "VN" }

// numberDigits is the length of the số định danh cá nhân (Decree 137/2015/NĐ-CP
// article 13): three digits province or country of birth registration, one
// century and sex, two birth year, six at random. There is no check digit.
const numberDigits = 12

// provinces are the codes of the 63 provinces and cities under which births
// were registered (Circular 59/2021/TT-BCA, annex). The provinces were merged
// in 2025; numbers once given stay.
var provinces = []string{
	"001", "002", "004", "006", "008", "010", "011", "012", "014", "015", "017", "019", "020", "022", "024", "025",
	"026", "027", "030", "031", "033", "034", "035", "036", "037", "038", "040", "042", "044", "045", "046", "048",
	"049", "051", "052", "054", "056", "058", "060", "062", "064", "066", "067", "068", "070", "072", "074", "075",
	"077", "079", "080", "082", "083", "084", "086", "087", "089", "091", "092", "093", "094", "095", "096",
}

// checkNumber applies the rules of the number that need nothing else, and
// those that tie it to sex and birth where these are known.
func (vietnam) checkNumber(c *checker, birth time.Time, born bool, now time.Time) {
	if !c.required("number") {
		return
	}
	n := c.value("number")
	if !digits(n, numberDigits) {
		c.fault("number", "twelve-digits", "phải gồm đúng 12 chữ số", "must be exactly 12 digits")
		return
	}
	// From 100 on the code is a country's, for births registered abroad.
	if n[0] == '0' && !slices.Contains(provinces, n[:3]) {
		c.fault("number", "province", "không bắt đầu bằng mã tỉnh hoặc mã nước", "does not begin with the code of a province or country")
		return
	}
	year := 1900 + 100*(int(n[3]-'0')/2) + int(n[4]-'0')*10 + int(n[5]-'0')
	male := (n[3]-'0')%2 == 0
	switch sex := c.value("sex"); {
	case born && year/100 != birth.Year()/100:
		c.fault("number", "century", "có chữ số thứ tư không khớp với thế kỷ sinh", "has a fourth digit that does not fit the century of birth")
	case born && year != birth.Year():
		c.fault("number", "birth-year", "có chữ số thứ năm và thứ sáu không khớp với năm sinh", "has a fifth and sixth digit that do not fit the year of birth")
	case !born && year > now.Year():
		c.fault("number", "century", "có năm sinh trong tương lai", "says a year of birth in the future")
	case (sex == "M" || sex == "F") && male != (sex == "M"):
		c.fault("number", "sex", "có chữ số thứ tư không khớp với giới tính", "has a fourth digit that does not fit the sex")
	}
}

func (v vietnam) Check(p Person, now time.Time) FieldErrors {
	p = Normalise(p)
	c := newChecker(&p)
	birth, born := c.dates(now)
	v.checkNumber(c, birth, born && !c.failed("dateOfBirth"), now)
	if c.required("fullName") {
		c.personName("fullName", "")
	}
	c.required("dateOfBirth")
	if c.required("sex") && p.Sex != "M" && p.Sex != "F" {
		c.fault("sex", "sex", "phải là M (nam) hoặc F (nữ)", "must be M or F")
	}
	if p.Nationality != "" && p.Nationality != v.State() {
		c.fault("nationality", "citizen", "phải là VNM: thẻ chỉ cấp cho công dân Việt Nam", "must be VNM: the card is for citizens")
	}
	if p.DocumentNumber != "" && !strings.HasSuffix(p.Number, p.DocumentNumber) {
		c.fault("documentNumber", "derived", "được lấy từ số định danh, để trống", "follows from the personal number; leave it empty")
	}
	for _, name := range []string{"fatherName", "motherName", "spouseName"} {
		c.personName(name, "")
	}
	for _, name := range []string{"ethnicity", "religion", "placeOfOrigin", "placeOfResidence", "identifyingMarks"} {
		c.text(name)
	}
	if p.OldNumber != "" && !digits(p.OldNumber, 9) {
		c.fault("oldNumber", "nine-digits", "phải gồm đúng 9 chữ số", "must be exactly 9 digits")
	}
	return c.inOrder(&p)
}

func (vietnam) MRZ(p Person) (mrz.Info, error) {
	p = Normalise(p)
	if !digits(p.Number, numberDigits) {
		return mrz.Info{}, FieldError{"number", "twelve-digits", "Số định danh phải gồm đúng 12 chữ số", "the personal number must be exactly 12 digits"}
	}
	name, err := vietnameseName(p.FullName)
	if err != nil {
		return mrz.Info{}, err
	}
	birth, err := shortDate(p.DateOfBirth)
	if err != nil {
		return mrz.Info{}, err
	}
	expiry := mrz.NoExpiry
	if p.DateOfExpiry != "" {
		if expiry, err = shortDate(p.DateOfExpiry); err != nil {
			return mrz.Info{}, err
		}
	}
	// The optional data of line 1: all twelve digits, two fillers, and a check
	// digit over these fourteen characters.
	optional := p.Number + "<<"
	return mrz.Info{
		Format: mrz.TD1, DocumentCode: "ID", IssuingState: "VNM", Nationality: "VNM",
		DocumentNumber: p.Number[numberDigits-9:],
		Optional:       optional + string(mrz.CheckDigit(optional)),
		DateOfBirth:    birth, Sex: p.Sex, DateOfExpiry: expiry, Name: name,
	}, nil
}

// vietnameseName: the first word is the family name.
func vietnameseName(full string) (mrz.Name, error) {
	family, given, _ := strings.Cut(full, " ")
	name, err := mrz.NewName(family, given)
	if err != nil {
		return mrz.Name{}, fmt.Errorf("write the name into the machine readable zone: %w", err)
	}
	return name, nil
}

// CAN: the last six digits of the number, so that whoever has seen the number
// can open the chip.
func (vietnam) CAN(p Person) string {
	n := strings.TrimSpace(p.Number)
	if !digits(n, numberDigits) {
		return ""
	}
	return n[numberDigits-6:]
}

// QR is the code of the 2021 card.
func (vietnam) QR(p Person) string {
	p = Normalise(p)
	compact := func(iso string) string {
		s, err := reformat(iso, "02012006")
		if err != nil {
			return ""
		}
		return s
	}
	return strings.Join([]string{
		p.Number, p.OldNumber, p.FullName, compact(p.DateOfBirth), vietnameseSex(p.Sex), p.PlaceOfResidence, compact(p.DateOfIssue),
	}, "|")
}

func vietnameseSex(sex string) string {
	switch sex {
	case "M":
		return "Nam"
	case "F":
		return "Nữ"
	}
	return sex
}

const (
	vietnameseDate = "02/01/2006"
	noExpiryText   = "Không thời hạn"
	vietnamText    = "Việt Nam"
)

func slashed(iso string) string {
	s, err := reformat(iso, vietnameseDate)
	if err != nil {
		return iso
	}
	return s
}

func (v vietnam) Face(p Person) (CardFace, error) {
	p = Normalise(p)
	info, err := v.MRZ(p)
	if err != nil {
		return CardFace{}, err
	}
	zone, err := info.Encode()
	if err != nil {
		return CardFace{}, err
	}
	expiry := noExpiryText
	if p.DateOfExpiry != "" {
		expiry = slashed(p.DateOfExpiry)
	}
	return CardFace{
		State:    []string{"CỘNG HOÀ XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc"},
		Title:    "CĂN CƯỚC CÔNG DÂN",
		Subtitle: "Citizen Identity Card",
		Front: []FaceField{
			{Label: "Số", English: "No.", Value: p.Number, Prominent: true},
			{Label: "Họ và tên", English: "Full name", Value: strings.ToUpper(p.FullName)},
			{Label: "Ngày sinh", English: "Date of birth", Value: slashed(p.DateOfBirth)},
			{Label: "Giới tính", English: "Sex", Value: vietnameseSex(p.Sex)},
			{Label: "Quốc tịch", English: "Nationality", Value: vietnamText, Beside: true},
			{Label: "Quê quán", English: "Place of origin", Value: p.PlaceOfOrigin},
			{Label: "Nơi thường trú", English: "Place of residence", Value: p.PlaceOfResidence},
		},
		BelowPortrait: []FaceField{{Label: "Có giá trị đến", English: "Expiry", Value: expiry}},
		Back: []FaceField{
			{Label: "Đặc điểm nhận dạng", English: "Personal identification", Value: p.IdentifyingMarks},
			{Label: "Ngày, tháng, năm", English: "Date, month, year", Value: slashed(p.DateOfIssue)},
		},
		Authority: []string{"CƠ QUAN CẤP THẺ MẪU", "SPECIMEN AUTHORITY"},
		Specimen:  "MẪU · SPECIMEN",
		MRZ:       mrz.TD1.Lines(zone),
		QR:        v.QR(p),
	}, nil
}

// Details gives DG13. Its field 16 has sixteen characters of unknown meaning
// on real cards; chipid writes a random reference in hexadecimal.
func (vietnam) Details(p Person, rand io.Reader) (map[lds.File][]byte, error) {
	var reference [8]byte
	if _, err := io.ReadFull(rand, reference[:]); err != nil {
		return nil, fmt.Errorf("draw the reference for DG13: %w", err)
	}
	raw, err := newDG13(Normalise(p), strings.ToUpper(hex.EncodeToString(reference[:]))).Encode()
	if err != nil {
		return nil, err
	}
	return map[lds.File][]byte{lds.DG13: raw}, nil
}

// Holder takes what DG13 says, and from the machine readable zone what it does
// not.
func (vietnam) Holder(doc *lds.Document, now time.Time) (Person, error) {
	p, info, err := bookHolder(doc, now)
	if err != nil {
		return Person{}, err
	}
	if n, rest, ok := strings.Cut(info.Optional, "<<"); info.Format == mrz.TD1 && ok && len(rest) <= 1 && digits(n, numberDigits) {
		p.Number = n
	}
	raw, ok := doc.Get(lds.DG13)
	if !ok {
		return p, nil
	}
	d, err := DecodeDG13(raw)
	if err != nil {
		return Person{}, err
	}
	d.fill(&p)
	return p, nil
}
