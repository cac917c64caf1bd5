package national

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Normalise gives the person with every text in the composed form of Unicode
// (NFC) and without white space around it. A name typed on one system then
// equals the same name typed on another; nothing a clerk can see changes.
func Normalise(p Person) Person {
	for _, f := range texts(&p) {
		*f.value = strings.TrimSpace(norm.NFC.String(*f.value))
	}
	return p
}

// field is a field of a Person with what clerks call it.
type field struct {
	name   string // JSON name
	vi, en string
	value  *string
}

func texts(p *Person) []field {
	return []field{
		{"number", "Số định danh", "the personal number", &p.Number},
		{"documentNumber", "Số thẻ", "the document number", &p.DocumentNumber},
		{"fullName", "Họ và tên", "the full name", &p.FullName},
		{"dateOfBirth", "Ngày sinh", "the date of birth", &p.DateOfBirth},
		{"sex", "Giới tính", "the sex", &p.Sex},
		{"nationality", "Quốc tịch", "the nationality", &p.Nationality},
		{"ethnicity", "Dân tộc", "the ethnicity", &p.Ethnicity},
		{"religion", "Tôn giáo", "the religion", &p.Religion},
		{"placeOfOrigin", "Quê quán", "the place of origin", &p.PlaceOfOrigin},
		{"placeOfResidence", "Nơi thường trú", "the place of residence", &p.PlaceOfResidence},
		{"identifyingMarks", "Đặc điểm nhận dạng", "the identifying marks", &p.IdentifyingMarks},
		{"fatherName", "Họ tên cha", "the father's name", &p.FatherName},
		{"motherName", "Họ tên mẹ", "the mother's name", &p.MotherName},
		{"spouseName", "Họ tên vợ hoặc chồng", "the spouse's name", &p.SpouseName},
		{"oldNumber", "Số CMND cũ", "the old number", &p.OldNumber},
		{"dateOfIssue", "Ngày cấp", "the date of issue", &p.DateOfIssue},
		{"dateOfExpiry", "Ngày hết hạn", "the date of expiry", &p.DateOfExpiry},
	}
}

// Bounds that every profile shares.
const (
	maxNameRunes = 100
	maxTextRunes = 250
	maxAge       = 130
	dateLayout   = time.DateOnly
)

// checker collects faults. It keeps to the first fault of a field: the others
// mostly follow from it.
type checker struct {
	fields map[string]field
	faults FieldErrors
}

func newChecker(p *Person) *checker {
	c := &checker{fields: make(map[string]field)}
	for _, f := range texts(p) {
		c.fields[f.name] = f
	}
	return c
}

func (c *checker) failed(name string) bool {
	for _, f := range c.faults {
		if f.Field == name {
			return true
		}
	}
	return false
}

// fault notes that a field breaks a rule; vi and en follow the field's name.
func (c *checker) fault(name, code, vi, en string) {
	if !c.failed(name) {
		f := c.fields[name]
		c.faults = append(c.faults, FieldError{name, code, f.vi + " " + vi, f.en + " " + en})
	}
}

func (c *checker) value(name string) string { return *c.fields[name].value }

func (c *checker) required(name string) bool {
	if c.value(name) == "" {
		c.fault(name, "required", "còn thiếu", "is missing")
	}
	return !c.failed(name)
}

// personName: letters of the Latin alphabet with their diacritics, single
// spaces, and the hyphens and apostrophes of H'Hen or Smith-Jones. extra are
// further characters that a profile allows.
func (c *checker) personName(name, extra string) {
	s := c.value(name)
	if s == "" || !c.plainText(name) {
		return
	}
	letters := 0
	previous := ' '
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			c.fault(name, "digit", "không được có chữ số", "must not hold digits")
		case unicode.Is(unicode.Latin, r):
			letters++
		case r == ' ' && previous == ' ':
			c.fault(name, "double-space", "có hai dấu cách liền nhau", "has two spaces in a row")
		case r == ' ', r == '-', r == '\'', r == '’', r == '.', strings.ContainsRune(extra, r):
		case unicode.Is(unicode.Mn, r):
			// A mark that NFC could not compose belongs to no letter of the language.
			c.fault(name, "diacritic", "có dấu không hợp lệ", "has a diacritic that forms no letter")
		default:
			c.fault(name, "letters", "chỉ được có chữ cái La-tinh", "may hold only Latin letters")
		}
		previous = r
	}
	if letters == 0 {
		c.fault(name, "letters", "không có chữ cái nào", "has no letter")
	}
	if utf8.RuneCountInString(s) > maxNameRunes {
		c.fault(name, "too-long", "dài quá 100 ký tự", "has more than 100 characters")
	}
}

// plainText: what can be printed on one line and stand in a QR code.
func (c *checker) plainText(name string) bool {
	s := c.value(name)
	if !utf8.ValidString(s) {
		c.fault(name, "encoding", "không phải là văn bản UTF-8", "is not UTF-8 text")
		return false
	}
	for _, r := range s {
		switch {
		case r == '|':
			c.fault(name, "separator", "không được có dấu |", "must not hold the sign |")
		case r == unicode.ReplacementChar:
			c.fault(name, "encoding", "bị lỗi phông chữ", "holds a character that was lost in conversion")
		case !unicode.IsPrint(r):
			c.fault(name, "control", "có ký tự không in được", "holds a character that cannot be printed")
		}
	}
	return !c.failed(name)
}

// text is a line of free text, such as an address.
func (c *checker) text(name string) {
	s := c.value(name)
	if s == "" || !c.plainText(name) {
		return
	}
	switch {
	case utf8.RuneCountInString(s) > maxTextRunes:
		c.fault(name, "too-long", "dài quá 250 ký tự", "has more than 250 characters")
	case strings.Contains(s, "  "):
		c.fault(name, "double-space", "có hai dấu cách liền nhau", "has two spaces in a row")
	case strings.IndexFunc(s, unicode.IsLetter) < 0:
		c.fault(name, "letters", "không có chữ cái nào", "has no letter")
	}
}

// date reads a date in the form 2006-01-02 that is in the calendar.
func (c *checker) date(name string) (time.Time, bool) {
	s := c.value(name)
	if s == "" {
		return time.Time{}, false
	}
	d, err := time.Parse(dateLayout, s)
	if err != nil {
		c.fault(name, "date", "không phải là ngày có thật dạng năm-tháng-ngày (2004-12-31)", "is not a date of the calendar in the form year-month-day (2004-12-31)")
		return time.Time{}, false
	}
	return d, true
}

// dates checks birth, issue and expiry against each other and against now.
func (c *checker) dates(now time.Time) (birth time.Time, ok bool) {
	// A person born today is born, whatever the time zone of the clock.
	tomorrow := now.AddDate(0, 0, 1)
	birth, ok = c.date("dateOfBirth")
	if ok {
		switch {
		case birth.After(tomorrow):
			c.fault("dateOfBirth", "future", "ở trong tương lai", "is in the future")
		case birth.Before(now.AddDate(-maxAge, 0, 0)):
			c.fault("dateOfBirth", "too-old", "quá 130 năm trước", "is more than 130 years ago")
		}
	}
	issue, issued := c.date("dateOfIssue")
	if issued {
		switch {
		case issue.After(tomorrow):
			c.fault("dateOfIssue", "future", "ở trong tương lai", "is in the future")
		case ok && issue.Before(birth):
			c.fault("dateOfIssue", "before-birth", "trước ngày sinh", "is before the date of birth")
		}
	}
	if expiry, expires := c.date("dateOfExpiry"); expires {
		switch {
		case issued && expiry.Before(issue):
			c.fault("dateOfExpiry", "before-issue", "trước ngày cấp", "is before the date of issue")
		case ok && expiry.Before(birth):
			c.fault("dateOfExpiry", "before-birth", "trước ngày sinh", "is before the date of birth")
		case expiry.Year() >= now.Year()+50:
			// The zone has two digits for the year (see mrz.ExpiryDate).
			c.fault("dateOfExpiry", "too-late", "cách từ 50 năm trở lên", "is fifty years away or more")
		}
	}
	return birth, ok
}

func digits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// shortDate turns 2004-12-31 into the zone's 041231.
func shortDate(iso string) (string, error) { return reformat(iso, "060102") }

func reformat(iso, layout string) (string, error) {
	d, err := time.Parse(dateLayout, iso)
	if err != nil {
		return "", FieldError{"", "date", "ngày không hợp lệ", "a date is not in the form year-month-day"}
	}
	return d.Format(layout), nil
}

// parseAs reads a date in some layout into 2004-12-31; what is no date is
// given back as it is, for people to read.
func parseAs(s, layout string) string {
	d, err := time.Parse(layout, s)
	if err != nil {
		return s
	}
	return d.Format(dateLayout)
}

// inOrder sorts the faults by the order of the fields.
func (c *checker) inOrder(p *Person) FieldErrors {
	var sorted FieldErrors
	for _, f := range texts(p) {
		for _, e := range c.faults {
			if e.Field == f.name {
				sorted = append(sorted, e)
			}
		}
	}
	return sorted
}
