package national

// Person is the holder as a national profile sees him or her: what is printed
// on the card and written to the chip. Dates are ISO 8601 (2006-01-02). The
// JSON form is what `chipid card build` and `chipid enroll add` read.
type Person struct {
	Number           string `json:"number"`                     // the personal number (số định danh)
	DocumentNumber   string `json:"documentNumber,omitempty"`   // where the profile does not derive it from Number
	FullName         string `json:"fullName"`                   // as written: NGUYỄN THỊ MAI
	DateOfBirth      string `json:"dateOfBirth"`                //
	Sex              string `json:"sex"`                        // M, F or X
	Nationality      string `json:"nationality,omitempty"`      // three letters as in the MRZ; empty: the issuing state
	Ethnicity        string `json:"ethnicity,omitempty"`        // dân tộc
	Religion         string `json:"religion,omitempty"`         // tôn giáo
	PlaceOfOrigin    string `json:"placeOfOrigin,omitempty"`    // quê quán
	PlaceOfResidence string `json:"placeOfResidence,omitempty"` // nơi thường trú
	IdentifyingMarks string `json:"identifyingMarks,omitempty"` // đặc điểm nhận dạng
	FatherName       string `json:"fatherName,omitempty"`
	MotherName       string `json:"motherName,omitempty"`
	SpouseName       string `json:"spouseName,omitempty"`
	OldNumber        string `json:"oldNumber,omitempty"` // CMND, nine digits
	DateOfIssue      string `json:"dateOfIssue,omitempty"`
	DateOfExpiry     string `json:"dateOfExpiry,omitempty"` // empty: no expiry (không thời hạn)
}
