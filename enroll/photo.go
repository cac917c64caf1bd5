package enroll

import (
	"errors"

	"chipid/card/biometric"
)

// CheckPhoto says what keeps data from being the applicant's photo; nil means
// that it is a whole picture of a bearable size.
func CheckPhoto(data []byte) Problems {
	_, err := biometric.CheckPhoto(data)
	if err == nil {
		return nil
	}
	for _, known := range photoProblems {
		if errors.Is(err, known.err) {
			return Problems{known.problem}
		}
	}
	return Problems{{"photo", "invalid", "ảnh không dùng được", "the photo cannot be used"}}
}

var photoProblems = []struct {
	err     error
	problem Problem
}{
	{biometric.ErrPhotoTooLarge, Problem{"photo", "too-large", "ảnh quá lớn: tối đa 8 MB và 40 triệu điểm ảnh", "the photo is too large: at most 8 MB and 40 million pixels"}},
	{biometric.ErrPhotoTooSmall, Problem{"photo", "too-small", "ảnh quá nhỏ: tối thiểu 120 × 160 điểm ảnh", "the photo is too small: at least 120 × 160 pixels"}},
	{biometric.ErrNotAPicture, Problem{"photo", "not-a-picture", "tệp ảnh không phải là ảnh JPEG", "the photo is not a JPEG picture"}},
	{biometric.ErrTruncated, Problem{"photo", "damaged", "ảnh bị cắt cụt hoặc hỏng", "the photo is cut off or damaged"}},
}
