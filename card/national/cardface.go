package national

// CardFace is what a profile has printed on the two sides of its card: words
// only. card/artwork decides where they stand.
type CardFace struct {
	State    []string // the issuing state's own lines at the top of the front
	Title    string
	Subtitle string // the title in English
	Front    []FaceField
	// BelowPortrait are short fields in the narrow place under the portrait.
	BelowPortrait []FaceField
	Back          []FaceField
	Authority     []string // who signs, above the signature on the back
	Specimen      string   // the word that marks the card as no real one
	MRZ           []string
	QR            string // empty: no QR code
}

// FaceField is a printed field. A field marked Prominent is set larger, one
// marked Beside stands on the line of the one before it.
type FaceField struct {
	Label     string
	English   string
	Value     string
	Prominent bool
	Beside    bool
}
