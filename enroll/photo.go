package enroll

import (
	"chipid/card/biometric"
	"chipid/card/national"
)

// CheckPhoto says what keeps data from being the applicant's photo; nil means
// that it is a whole picture of a bearable size.
func CheckPhoto(data []byte) Problems {
	if _, err := biometric.CheckPhoto(data); err != nil {
		return Problems{Problem(national.PhotoFault(err))}
	}
	return nil
}
