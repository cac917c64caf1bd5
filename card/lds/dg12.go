package lds

// DocumentDetails is data group 12, additional details of the document (Doc
// 9303-10 §4.7.12). An empty field is absent.
type DocumentDetails struct {
	IssuingAuthority      string
	DateOfIssue           string // YYYYMMDD
	OtherPersons          []string
	Endorsements          string
	TaxExit               string
	Front, Rear           []byte // pictures of the document
	PersonalisedAt        string // YYYYMMDDhhmmss
	PersonalisationSystem string
	Unknown               []Unknown

	original original
}

func (d *DocumentDetails) details() []detail {
	return []detail{
		{tag: 0x5F19, text: &d.IssuingAuthority},
		{tag: 0x5F26, date: &d.DateOfIssue},
		{tag: 0x5F1A, names: &d.OtherPersons},
		{tag: 0x5F1B, text: &d.Endorsements},
		{tag: 0x5F1C, text: &d.TaxExit},
		{tag: 0x5F1D, image: &d.Front},
		{tag: 0x5F1E, image: &d.Rear},
		{tag: 0x5F55, text: &d.PersonalisedAt},
		{tag: 0x5F56, text: &d.PersonalisationSystem},
	}
}

// EncodeDG12 writes data group 12.
func EncodeDG12(d DocumentDetails) ([]byte, error) {
	return written(d.original, d, DecodeDG12, encodeDG12)
}

func encodeDG12(d DocumentDetails) ([]byte, error) {
	return encodeDetails(DG12, d.details(), d.Unknown)
}

// DecodeDG12 reads data group 12.
func DecodeDG12(raw []byte) (DocumentDetails, error) {
	var d DocumentDetails
	unknown, err := decodeDetails(raw, DG12, d.details())
	if err != nil {
		return DocumentDetails{}, err
	}
	d.Unknown = unknown
	d.original = keep(raw, d, encodeDG12)
	return d, nil
}
