package lds

import (
	"fmt"
	"slices"

	"chipid/card/tlv"
)

// Displayed is data group 5 or 7: pictures as they are printed on the document,
// the portrait or the signature (Doc 9303-10 §4.7.5, §4.7.7). A count (02), then
// each picture in a data object of its own.
type Displayed struct {
	Pictures [][]byte // JPEG or JPEG 2000
	Unknown  []Unknown

	original original
}

// maxPictures bounds the pictures of one file.
const maxPictures = 16

func encodeDisplayed(f File, picture tlv.Tag, d Displayed) ([]byte, error) {
	return written(d.original, d,
		func(raw []byte) (Displayed, error) { return decodeDisplayed(f, picture, raw) },
		func(d Displayed) ([]byte, error) { return composeDisplayed(f, picture, d) })
}

func composeDisplayed(f File, picture tlv.Tag, d Displayed) ([]byte, error) {
	if len(d.Pictures) > maxPictures {
		return nil, fmt.Errorf("%s: %d pictures, at most %d", f, len(d.Pictures), maxPictures)
	}
	body := tlv.Encode(tagCount, []byte{byte(len(d.Pictures))})
	for _, p := range d.Pictures {
		body = append(body, tlv.Encode(picture, p)...)
	}
	return tlv.Encode(tlv.Tag(f.Tag()), body, encodeUnknown(d.Unknown)), nil
}

// decodeDisplayed believes the pictures that are there, and not their count.
func decodeDisplayed(f File, picture tlv.Tag, raw []byte) (Displayed, error) {
	fields, err := decodeFields(raw, f)
	if err != nil {
		return Displayed{}, err
	}
	var d Displayed
	for _, o := range fields {
		switch o.Tag {
		case tagCount:
		case picture:
			if len(d.Pictures) == maxPictures {
				return Displayed{}, malformed(f, "more than %d pictures", maxPictures)
			}
			d.Pictures = append(d.Pictures, slices.Clone(o.Value))
		default:
			d.Unknown = append(d.Unknown, Unknown{o.Tag, slices.Clone(o.Value)})
		}
	}
	d.original = keep(raw, d, func(d Displayed) ([]byte, error) { return composeDisplayed(f, picture, d) })
	return d, nil
}
