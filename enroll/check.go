package enroll

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-playground/validator/v10"
	"golang.org/x/text/unicode/norm"

	"chipid/card/national"
)

// Problem is what is wrong with one field, for the person who must put it
// right. The messages name the field and the rule and never quote the content,
// so that they may go into logs.
type Problem struct {
	Field string `json:"field"` // the JSON name: dateOfBirth
	Code  string `json:"code"`  // stable, for machines: required, date, …
	VI    string `json:"vi"`
	EN    string `json:"en"`
}

// Problems is what keeps an application a draft.
type Problems []Problem

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.EN
	}
	return strings.Join(texts, "; ")
}

// Field is one field of a person's record that people fill in.
type Field struct {
	Name   string // JSON name
	VI, EN string // what people call it
	rules  string // validator tags
	value  func(*national.Person) *string
}

// Fields are the fields of a person's record, in the order of a form. The
// validator's tags stand here and not on national.Person because they are the
// enrolment's rules: what any card needs. What is special to one is for its
// profile to check.
func Fields() []Field { return slices.Clone(fields) }

// Value gives the field's place in a record.
func (f Field) Value(p *national.Person) *string { return f.value(p) }

const (
	dateRule = "omitempty,datetime=2006-01-02"
	textRule = "omitempty,max=250"
	nameRule = "omitempty,max=100"
)

var fields = []Field{
	{Name: "number", VI: "số định danh", EN: "personal number", rules: "required,max=32", value: func(p *national.Person) *string { return &p.Number }},
	{Name: "documentNumber", VI: "số thẻ", EN: "document number", rules: "omitempty,max=32", value: func(p *national.Person) *string { return &p.DocumentNumber }},
	{Name: "fullName", VI: "họ và tên", EN: "full name", rules: "required,max=100", value: func(p *national.Person) *string { return &p.FullName }},
	{Name: "dateOfBirth", VI: "ngày sinh", EN: "date of birth", rules: "required,datetime=2006-01-02", value: func(p *national.Person) *string { return &p.DateOfBirth }},
	{Name: "sex", VI: "giới tính", EN: "sex", rules: "required,oneof=M F X", value: func(p *national.Person) *string { return &p.Sex }},
	{Name: "nationality", VI: "quốc tịch", EN: "nationality", rules: "omitempty,alpha,uppercase,max=3", value: func(p *national.Person) *string { return &p.Nationality }},
	{Name: "ethnicity", VI: "dân tộc", EN: "ethnicity", rules: textRule, value: func(p *national.Person) *string { return &p.Ethnicity }},
	{Name: "religion", VI: "tôn giáo", EN: "religion", rules: textRule, value: func(p *national.Person) *string { return &p.Religion }},
	{Name: "placeOfOrigin", VI: "quê quán", EN: "place of origin", rules: textRule, value: func(p *national.Person) *string { return &p.PlaceOfOrigin }},
	{Name: "placeOfResidence", VI: "nơi thường trú", EN: "place of residence", rules: textRule, value: func(p *national.Person) *string { return &p.PlaceOfResidence }},
	{Name: "identifyingMarks", VI: "đặc điểm nhận dạng", EN: "identifying marks", rules: textRule, value: func(p *national.Person) *string { return &p.IdentifyingMarks }},
	{Name: "fatherName", VI: "họ tên cha", EN: "father's name", rules: nameRule, value: func(p *national.Person) *string { return &p.FatherName }},
	{Name: "motherName", VI: "họ tên mẹ", EN: "mother's name", rules: nameRule, value: func(p *national.Person) *string { return &p.MotherName }},
	{Name: "spouseName", VI: "họ tên vợ hoặc chồng", EN: "spouse's name", rules: nameRule, value: func(p *national.Person) *string { return &p.SpouseName }},
	{Name: "oldNumber", VI: "số CMND cũ", EN: "old number", rules: "omitempty,max=32", value: func(p *national.Person) *string { return &p.OldNumber }},
	{Name: "dateOfIssue", VI: "ngày cấp", EN: "date of issue", rules: dateRule, value: func(p *national.Person) *string { return &p.DateOfIssue }},
	{Name: "dateOfExpiry", VI: "ngày hết hạn", EN: "date of expiry", rules: dateRule, value: func(p *national.Person) *string { return &p.DateOfExpiry }},
}

// ofApplication are the names of the fields that are not the person's.
var ofApplication = map[string][2]string{
	"kind":     {"loại hồ sơ", "kind of application"},
	"profile":  {"mẫu thẻ quốc gia", "national profile"},
	"operator": {"cán bộ thu nhận", "operator"},
	"photo":    {"ảnh chân dung", "photo"},
}

// rule gives the messages for a broken tag; %s is the field's name.
var ruleMessages = map[string][2]string{
	"required":  {"thiếu %s", "the %s is missing"},
	"datetime":  {"%s phải là một ngày có thật, dạng 2004-12-31 hoặc 31/12/2004", "the %s must be a day that exists, as 2004-12-31 or 31/12/2004"},
	"max":       {"%s quá dài", "the %s is too long"},
	"alpha":     {"%s gồm một đến ba chữ cái in hoa như trong MRZ (VNM)", "the %s is one to three capital letters as in the MRZ (VNM)"},
	"uppercase": {"%s gồm một đến ba chữ cái in hoa như trong MRZ (VNM)", "the %s is one to three capital letters as in the MRZ (VNM)"},
}

// oneofMessages are for the fields with a closed list.
var oneofMessages = map[string][2]string{
	"sex":  {"giới tính phải là nam (M), nữ (F) hoặc X", "the sex must be M (male), F (female) or X"},
	"kind": {"loại hồ sơ phải là first, renewal hoặc replacement", "the kind of application must be first, renewal or replacement"},
}

// rules is the validator, built when first needed: its tables cost a
// millisecond.
var rules = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	tags := map[string]string{}
	person := reflect.TypeFor[national.Person]()
	for i := range person.NumField() {
		name, _, _ := strings.Cut(person.Field(i).Tag.Get("json"), ",")
		for _, f := range fields {
			if f.Name == name {
				tags[person.Field(i).Name] = f.rules
			}
		}
	}
	v.RegisterStructValidationMapRules(tags, national.Person{})
	return v
})

// Normalise writes a person's fields the one way the store keeps them:
// composed Unicode (NFC, so that an "ế" typed on a Mac is the "ế" of the
// roster), single spaces, dates as 2006-01-02, sex as M, F or X. What it does
// not understand it leaves for Check to report.
func Normalise(p national.Person) national.Person {
	for _, f := range fields {
		value := f.value(&p)
		*value = strings.Join(strings.Fields(norm.NFC.String(strings.ToValidUTF8(*value, "\uFFFD"))), " ")
		if strings.HasPrefix(f.Name, "dateOf") {
			*value = isoDate(*value)
		}
	}
	p.Sex = sexLetter(p.Sex)
	p.Nationality = strings.ToUpper(p.Nationality)
	return p
}

// isoDate turns 31/12/2004, 31-12-2004 and 31.12.2004 into 2004-12-31, and
// "không thời hạn" into the empty date that means it.
func isoDate(s string) string {
	switch strings.ToLower(s) {
	case "không thời hạn", "vô thời hạn", "none", "no expiry":
		return ""
	}
	for _, layout := range []string{"02/01/2006", "2/1/2006", "02-01-2006", "02.01.2006"} {
		if day, err := time.Parse(layout, s); err == nil {
			return day.Format(time.DateOnly)
		}
	}
	return s
}

func sexLetter(s string) string {
	switch strings.ToLower(s) {
	case "m", "male", "nam":
		return "M"
	case "f", "female", "nữ", "nu":
		return "F"
	case "x":
		return "X"
	}
	return s
}

// Check says what keeps an application from being complete; nil means
// complete. now is the day that no date of birth may be after. Of each field
// the first problem is told.
func Check(a *Application, now time.Time) Problems {
	found := tagProblems(a)
	add := func(p Problem) {
		if !slices.ContainsFunc(found, func(q Problem) bool { return q.Field == p.Field }) {
			found = append(found, p)
		}
	}
	profile, err := national.ByName(a.Profile)
	if err != nil {
		add(Problem{"profile", "unknown", "không có mẫu thẻ quốc gia này", "there is no such national profile"})
	} else {
		for _, p := range profile.Check(a.Person, now) {
			add(Problem(p))
		}
	}
	for _, f := range fields {
		if slices.Contains(neededBy[a.Profile], f.Name) && *f.value(&a.Person) == "" {
			add(required(f))
		}
	}
	if a.Photo == nil {
		add(Problem{"photo", "required", "thiếu ảnh chân dung", "the photo is missing"})
	}
	slices.SortStableFunc(found, func(p, q Problem) int { return fieldOrder(p.Field) - fieldOrder(q.Field) })
	return found
}

// neededBy are the fields that a card can be made without but an application
// cannot be decided without: the CCCD prints where its holder lives.
var neededBy = map[string][]string{"vn": {"placeOfResidence"}}

func required(f Field) Problem {
	return Problem{f.Name, "required", fill(ruleMessages["required"][0], f.VI), fill(ruleMessages["required"][1], f.EN)}
}

func fieldOrder(name string) int {
	if i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return i
	}
	return len(fields)
}

func tagProblems(a *Application) Problems {
	err := rules().Struct(a)
	var broken validator.ValidationErrors
	if err == nil {
		return nil
	}
	if !errors.As(err, &broken) {
		return Problems{{"", "invalid", "hồ sơ không kiểm tra được", "the application cannot be checked"}}
	}
	var found Problems
	for _, b := range broken {
		messages, ok := oneofMessages[b.Field()]
		if b.Tag() != "oneof" || !ok {
			messages, ok = ruleMessages[b.Tag()]
		}
		if !ok {
			messages = [2]string{"%s không hợp lệ", "the %s is not valid"}
		}
		vi, en := fieldNames(b.Field())
		code := b.Tag()
		if code == "datetime" {
			code = "date"
		}
		found = append(found, Problem{Field: b.Field(), Code: code, VI: fill(messages[0], vi), EN: fill(messages[1], en)})
	}
	return found
}

func fill(message, name string) string {
	if !strings.Contains(message, "%s") {
		return message
	}
	return fmt.Sprintf(message, name)
}

func fieldNames(name string) (vi, en string) {
	for _, f := range fields {
		if f.Name == name {
			return f.VI, f.EN
		}
	}
	if names, ok := ofApplication[name]; ok {
		return names[0], names[1]
	}
	return name, name
}
