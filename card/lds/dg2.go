package lds

import (
	"fmt"

	"chipid/card/biometric"
	"chipid/card/tlv"
)

// Tags of the biometric templates, CBEFF in the form of ISO/IEC 7816-11
// (Doc 9303-10 §4.7.2.1, table 41).
const (
	tagBiometricGroup  = 0x7F61 // biometric information group template
	tagBiometric       = 0x7F60 // biometric information template, one an instance
	tagCount           = 0x02
	tagHeader          = 0xA1   // biometric header template
	tagBlock           = 0x5F2E // biometric data block
	tagBlockStructured = 0x7F2E // the same, constructed
)

// maxInstances is how many templates a data group may hold (Doc 9303-10
// §4.7.2: one to nine).
const maxInstances = 9

// faceHeader is the biometric header of a face in the format of ISO/IEC
// 19794-5, Doc 9303-10 table 42: version 01 01, type facial features, format
// owner ISO/IEC JTC 1/SC 37, format type 0008.
func faceHeader() []byte {
	return tlv.Encode(tagHeader,
		tlv.Encode(0x80, []byte{0x01, 0x01}),
		tlv.Encode(0x81, []byte{0x02}),
		tlv.Encode(0x82, []byte{0x00}),
		tlv.Encode(0x87, []byte{0x01, 0x01}),
		tlv.Encode(0x88, []byte{0x00, 0x08}))
}

// EncodeDG2 writes data group 2, the face (Doc 9303-10 §4.7.2): one biometric
// template with one facial record.
func EncodeDG2(faces ...biometric.Face) ([]byte, error) {
	record, err := biometric.EncodeFaces(faces)
	if err != nil {
		return nil, fmt.Errorf("DG2: %w", err)
	}
	return tlv.Encode(tlv.Tag(DG2.Tag()),
		tlv.Encode(tagBiometricGroup,
			tlv.Encode(tagCount, []byte{1}),
			tlv.Encode(tagBiometric, faceHeader(), tlv.Encode(tagBlock, record)))), nil
}

// DecodeDG2 reads data group 2 and gives all its faces. The images alias raw.
func DecodeDG2(raw []byte) ([]biometric.Face, error) {
	value, err := template(raw, DG2)
	if err != nil {
		return nil, err
	}
	group, ok := tlv.Find(value, tagBiometricGroup)
	if !ok {
		return nil, malformed(DG2, "no biometric information group")
	}
	objs, err := tlv.ReadAll(group)
	if err != nil {
		return nil, malformed(DG2, "%v", err)
	}
	var faces []biometric.Face
	instances := 0
	for _, o := range objs {
		if o.Tag != tagBiometric {
			continue
		}
		if instances++; instances > maxInstances {
			return nil, malformed(DG2, "more than %d templates", maxInstances)
		}
		block, ok := tlv.Find(o.Value, tagBlock)
		if !ok {
			block, ok = tlv.Find(o.Value, tagBlockStructured)
		}
		if !ok {
			return nil, malformed(DG2, "template %d has no data block", instances)
		}
		more, err := biometric.DecodeFaces(block)
		if err != nil {
			return nil, fmt.Errorf("DG2: %w: %w", ErrMalformed, err)
		}
		faces = append(faces, more...)
	}
	if len(faces) == 0 {
		return nil, malformed(DG2, "no face")
	}
	return faces, nil
}
