package national

import (
	"errors"

	"chipid/card/biometric"
)

// PhotoFault tells in a FieldError why package biometric refused a photo.
func PhotoFault(err error) FieldError {
	for _, known := range []struct {
		err          error
		code, vi, en string
	}{
		{biometric.ErrPhotoTooLarge, "too-large", "ảnh quá lớn: tối đa 8 MB và 40 triệu điểm ảnh", "the photo is too large: at most 8 MB and 40 million pixels"},
		{biometric.ErrPhotoTooSmall, "too-small", "ảnh quá nhỏ: tối thiểu 120 × 160 điểm ảnh", "the photo is too small: at least 120 × 160 pixels"},
		{biometric.ErrPhotoShape, "shape", "ảnh quá dài hoặc quá hẹp so với ảnh chân dung", "the photo is too wide or too narrow for a portrait"},
		{biometric.ErrNotAPicture, "not-a-picture", "tệp ảnh không phải là ảnh JPEG hoặc JPEG 2000", "the photo is not a JPEG or JPEG 2000 picture"},
		{biometric.ErrTruncated, "damaged", "ảnh bị cắt cụt hoặc hỏng", "the photo is cut off or damaged"},
	} {
		if errors.Is(err, known.err) {
			return FieldError{"photo", known.code, known.vi, known.en}
		}
	}
	return FieldError{"photo", "invalid", "ảnh không dùng được", "the photo cannot be used"}
}
