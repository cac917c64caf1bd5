package lds

import (
	"errors"
	"fmt"

	"chipid/card/biometric"
)

// EncodeDG4 writes data group 4, irises (Doc 9303-10 §4.7.4): a template for
// each record, a record for each eye. Without a record it is a group of zero
// instances with random octets, as for data group 3.
func EncodeDG4(random []byte, records ...biometric.IrisRecord) ([]byte, error) {
	var b Biometrics
	for i, r := range records {
		raw, err := biometric.EncodeIrises(r)
		if err != nil {
			return nil, fmt.Errorf("DG4: record %d: %w", i+1, err)
		}
		b.Templates = append(b.Templates, Template{Header: newHeader(TypeIris, eyeSubtype(r.Irises[0].Eye), FormatIris19794), Record: raw})
	}
	if len(records) == 0 {
		b.Filler = random
	}
	return EncodeBiometrics(DG4, b)
}

// DecodeDG4 reads data group 4. The images alias raw. One template whose record
// cannot be read is an error that names it, beside the records that could.
func DecodeDG4(raw []byte) ([]biometric.IrisRecord, error) {
	b, err := DecodeBiometrics(DG4, raw)
	if err != nil {
		return nil, err
	}
	var records []biometric.IrisRecord
	var problems error
	for i, t := range b.Templates {
		r, err := biometric.DecodeIrises(t.Record)
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("DG4: %w: template %d: %w", ErrMalformed, i+1, err))
			continue
		}
		records = append(records, r)
	}
	return records, problems
}

// eyeSubtype: in the biometric header, too, 1 is right and 2 is left.
func eyeSubtype(eye byte) byte {
	switch eye {
	case biometric.RightEye:
		return SubtypeRight
	case biometric.LeftEye:
		return SubtypeLeft
	}
	return 0
}
