package lds

// PersonalDetails is data group 11, additional details of the holder (Doc
// 9303-10 §4.7.11). Text is UTF-8; fillers separate the parts of names and
// addresses, and stay. An empty field is absent.
type PersonalDetails struct {
	FullName           string // PRIMARY<<SECONDARY, in national characters
	OtherNames         []string
	PersonalNumber     string
	DateOfBirth        string // YYYYMMDD
	PlaceOfBirth       string
	Address            string
	Telephone          string
	Profession         string
	Title              string
	Summary            string
	ProofOfCitizenship []byte // a picture
	OtherDocuments     string
	Custody            string
	Unknown            []Unknown

	original original
}

func (p *PersonalDetails) details() []detail {
	return []detail{
		{tag: 0x5F0E, text: &p.FullName},
		{tag: 0x5F0F, names: &p.OtherNames},
		{tag: 0x5F10, text: &p.PersonalNumber},
		{tag: 0x5F2B, date: &p.DateOfBirth},
		{tag: 0x5F11, text: &p.PlaceOfBirth},
		{tag: 0x5F42, text: &p.Address},
		{tag: 0x5F12, text: &p.Telephone},
		{tag: 0x5F13, text: &p.Profession},
		{tag: 0x5F14, text: &p.Title},
		{tag: 0x5F15, text: &p.Summary},
		{tag: 0x5F16, image: &p.ProofOfCitizenship},
		{tag: 0x5F17, text: &p.OtherDocuments},
		{tag: 0x5F18, text: &p.Custody},
	}
}

// EncodeDG11 writes data group 11.
func EncodeDG11(p PersonalDetails) ([]byte, error) {
	return written(p.original, p, DecodeDG11, encodeDG11)
}

func encodeDG11(p PersonalDetails) ([]byte, error) {
	return encodeDetails(DG11, p.details(), p.Unknown)
}

// DecodeDG11 reads data group 11.
func DecodeDG11(raw []byte) (PersonalDetails, error) {
	var p PersonalDetails
	unknown, err := decodeDetails(raw, DG11, p.details())
	if err != nil {
		return PersonalDetails{}, err
	}
	p.Unknown = unknown
	p.original = keep(raw, p, encodeDG11)
	return p, nil
}
