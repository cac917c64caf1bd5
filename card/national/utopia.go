package national

import (
	"fmt"
	"io"
	"strings"
	"time"

	"chipid/card/lds"
	"chipid/card/mrz"
)

// utopia is the specimen state of Doc 9303: a TD1 card by the book, with DG11
// and DG12. Its full name has a comma between primary and secondary identifier
// (ERIKSSON, ANNA MARIA); a name without one has no parts (Doc 9303-3 §3.4).
type utopia struct{}

func (utopia) Name() string    { return "utopia" }
func (utopia) State() string   { return "UTO" }
func (utopia) Country() string { return "UT" }

func (u utopia) Check(p Person, now time.Time) FieldErrors {
	p = Normalise(p)
	c := newChecker(&p)
	c.dates(now)
	if p.Number != "" && !alphanumeric(p.Number, 1, 24) {
		c.fault("number", "alphanumeric", "gồm nhiều nhất 24 chữ cái A–Z và chữ số", "is at most 24 of A–Z and 0–9")
	}
	if c.required("documentNumber") && !alphanumeric(p.DocumentNumber, 1, 22) {
		c.fault("documentNumber", "alphanumeric", "gồm nhiều nhất 22 chữ cái A–Z và chữ số", "is at most 22 of A–Z and 0–9")
	}
	if c.required("fullName") {
		c.personName("fullName", ",")
	}
	c.required("dateOfBirth")
	if c.required("sex") && p.Sex != "M" && p.Sex != "F" && p.Sex != "X" {
		c.fault("sex", "sex", "phải là M, F hoặc X", "must be M, F or X")
	}
	if p.Nationality != "" && (strings.ToUpper(p.Nationality) != p.Nationality || !alphanumeric(p.Nationality, 1, 3)) {
		c.fault("nationality", "state", "gồm nhiều nhất ba chữ cái như trong MRZ", "is at most three letters as in the machine readable zone")
	}
	for _, name := range []string{"fatherName", "motherName", "spouseName"} {
		c.personName(name, ",")
	}
	for _, name := range []string{"ethnicity", "religion", "placeOfOrigin", "placeOfResidence", "identifyingMarks"} {
		c.text(name)
	}
	return c.inOrder(&p)
}

func alphanumeric(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return true
}

func (u utopia) MRZ(p Person) (mrz.Info, error) {
	p = Normalise(p)
	primary, secondary, _ := strings.Cut(p.FullName, ",")
	name, err := mrz.NewName(primary, secondary)
	if err != nil {
		return mrz.Info{}, fmt.Errorf("write the name into the machine readable zone: %w", err)
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
	sex := p.Sex
	if sex == "X" {
		sex = "" // a filler: unspecified (Doc 9303-5 §4.2.2.2)
	}
	nationality := p.Nationality
	if nationality == "" {
		nationality = u.State()
	}
	return mrz.Info{
		Format: mrz.TD1, DocumentCode: "I", IssuingState: u.State(), Nationality: nationality,
		DocumentNumber: p.DocumentNumber, DateOfBirth: birth, Sex: sex, DateOfExpiry: expiry, Name: name,
	}, nil
}

// CAN is the one on the specimen (Doc 9303-4 figure A-3).
func (utopia) CAN(Person) string { return "123456" }

func (utopia) QR(Person) string { return "" }

func (u utopia) Face(p Person) (CardFace, error) {
	p = Normalise(p)
	info, err := u.MRZ(p)
	if err != nil {
		return CardFace{}, err
	}
	zone, err := info.Encode()
	if err != nil {
		return CardFace{}, err
	}
	expiry := "—"
	if p.DateOfExpiry != "" {
		expiry = p.DateOfExpiry
	}
	return CardFace{
		State:    []string{"UTOPIA"},
		Title:    "IDENTITY CARD",
		Subtitle: "Carte d'identité",
		Front: []FaceField{
			{Label: "Document number", Value: p.DocumentNumber, Prominent: true},
			{Label: "Name", Value: strings.ToUpper(p.FullName)},
			{Label: "Date of birth", Value: p.DateOfBirth},
			{Label: "Sex", Value: p.Sex},
			{Label: "Nationality", Value: info.Nationality, Beside: true},
			{Label: "Place of birth", Value: p.PlaceOfOrigin},
			{Label: "Date of expiry", Value: expiry},
		},
		Back: []FaceField{
			{Label: "Address", Value: p.PlaceOfResidence},
			{Label: "Date of issue", Value: p.DateOfIssue},
			{Label: "Card access number", Value: u.CAN(p)},
		},
		Authority: []string{"SPECIMEN AUTHORITY"},
		Specimen:  "SPECIMEN",
		MRZ:       mrz.TD1.Lines(zone),
	}, nil
}

const utopiaAuthority = "Utopia Ministry of Specimens"

func (u utopia) Details(p Person, _ io.Reader) (map[lds.File][]byte, error) {
	p = Normalise(p)
	birth, err := reformat(p.DateOfBirth, "20060102")
	if err != nil {
		return nil, err
	}
	primary, secondary, _ := strings.Cut(p.FullName, ",")
	fullName := filled(primary)
	if s := filled(secondary); s != "" {
		fullName += "<<" + s
	}
	dg11, err := lds.EncodeDG11(lds.PersonalDetails{
		FullName: fullName, PersonalNumber: p.Number, DateOfBirth: birth,
		PlaceOfBirth: p.PlaceOfOrigin, Address: p.PlaceOfResidence, Summary: p.IdentifyingMarks,
	})
	if err != nil {
		return nil, err
	}
	details := lds.DocumentDetails{IssuingAuthority: utopiaAuthority}
	if p.DateOfIssue != "" {
		if details.DateOfIssue, err = reformat(p.DateOfIssue, "20060102"); err != nil {
			return nil, err
		}
	}
	dg12, err := lds.EncodeDG12(details)
	if err != nil {
		return nil, err
	}
	return map[lds.File][]byte{lds.DG11: dg11, lds.DG12: dg12}, nil
}

// filled writes a name's words with fillers between them, as DG11 wants.
func filled(s string) string { return strings.Join(strings.Fields(s), "<") }

func (utopia) Holder(doc *lds.Document, now time.Time) (Person, error) {
	p, _, err := bookHolder(doc, now)
	return p, err
}

// bookHolder reads what Doc 9303 defines: DG1, DG11 and DG12.
func bookHolder(doc *lds.Document, now time.Time) (Person, mrz.Info, error) {
	raw, ok := doc.Get(lds.DG1)
	if !ok {
		return Person{}, mrz.Info{}, fmt.Errorf("read the holder: the document has no DG1")
	}
	info, err := lds.DecodeDG1(raw)
	if err != nil && info.Format == 0 {
		return Person{}, mrz.Info{}, err
	}
	p := Person{
		DocumentNumber: info.DocumentNumber,
		FullName:       info.Name.Primary,
		Sex:            info.Sex,
		Nationality:    info.Nationality,
		Number:         strings.ReplaceAll(info.Optional, "<", ""),
	}
	if info.Name.Secondary != "" {
		p.FullName += ", " + info.Name.Secondary
	}
	if p.Sex == "" {
		p.Sex = "X"
	}
	if d, err := mrz.BirthDate(info.DateOfBirth, now); err == nil {
		p.DateOfBirth = d.Format(dateLayout)
	}
	if d, err := mrz.ExpiryDate(info.DateOfExpiry, now); err == nil && info.DateOfExpiry != mrz.NoExpiry {
		p.DateOfExpiry = d.Format(dateLayout)
	}
	if raw, ok := doc.Get(lds.DG11); ok {
		d, err := lds.DecodeDG11(raw)
		if err != nil {
			return Person{}, mrz.Info{}, err
		}
		fillDG11(&p, d)
	}
	if raw, ok := doc.Get(lds.DG12); ok {
		d, err := lds.DecodeDG12(raw)
		if err != nil {
			return Person{}, mrz.Info{}, err
		}
		if d.DateOfIssue != "" {
			p.DateOfIssue = parseAs(d.DateOfIssue, "20060102")
		}
	}
	return p, info, nil
}

func fillDG11(p *Person, d lds.PersonalDetails) {
	spaced := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "<", " ")), " ") }
	if d.FullName != "" {
		primary, secondary, _ := strings.Cut(d.FullName, "<<")
		p.FullName = spaced(primary)
		if secondary != "" {
			p.FullName += ", " + spaced(secondary)
		}
	}
	if d.DateOfBirth != "" {
		p.DateOfBirth = parseAs(d.DateOfBirth, "20060102")
	}
	for _, f := range []struct {
		target *string
		value  string
	}{
		{&p.Number, d.PersonalNumber}, {&p.PlaceOfOrigin, d.PlaceOfBirth},
		{&p.PlaceOfResidence, d.Address}, {&p.IdentifyingMarks, d.Summary},
	} {
		if f.value != "" {
			*f.target = strings.ReplaceAll(f.value, "<", ", ")
		}
	}
}
