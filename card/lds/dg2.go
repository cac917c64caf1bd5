package lds

import (
	"errors"
	"fmt"

	"chipid/card/biometric"
)

// EncodeDG2 writes data group 2, the face (Doc 9303-10 §4.7.2): one biometric
// template with one facial record.
func EncodeDG2(faces ...biometric.Face) ([]byte, error) {
	record, err := biometric.EncodeFaces(faces)
	if err != nil {
		return nil, fmt.Errorf("DG2: %w", err)
	}
	return EncodeBiometrics(DG2, Biometrics{Templates: []Template{{
		Header: newHeader(TypeFace, 0, FormatFace19794), Record: record,
	}}})
}

// DecodeDG2 reads data group 2 and gives all its faces, be they in records of
// ISO/IEC 19794-5 or of 39794-5. The images alias raw. A template whose record
// cannot be read is an error beside the faces of the others.
func DecodeDG2(raw []byte) ([]biometric.Face, error) {
	b, err := DecodeBiometrics(DG2, raw)
	if err != nil {
		return nil, err
	}
	var faces []biometric.Face
	var problems error
	for i, t := range b.Templates {
		more, err := decodeFaces(t.Record)
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("DG2: %w: template %d: %w", ErrMalformed, i+1, err))
			continue
		}
		faces = append(faces, more...)
	}
	if len(faces) == 0 && problems == nil {
		return nil, malformed(DG2, "no face")
	}
	return faces, problems
}

// decodeFaces goes by what the record is, not by what its header says.
func decodeFaces(record []byte) ([]biometric.Face, error) {
	if e, err := biometric.DecodeExtensible(record); err == nil && e.Part == biometric.FacePart {
		return e.Faces(), nil
	}
	return biometric.DecodeFaces(record)
}
