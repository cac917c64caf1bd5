package lds

import (
	"errors"
	"fmt"

	"chipid/card/biometric"
)

// EncodeDG3 writes data group 3, fingerprints (Doc 9303-10 §4.7.3): a template
// for each record, a record for each finger. Without a record it is a group of
// zero instances, and then random, a few octets of chance, keeps its hash from
// telling so.
func EncodeDG3(random []byte, records ...biometric.FingerRecord) ([]byte, error) {
	var b Biometrics
	for i, r := range records {
		raw, err := biometric.EncodeFingers(r)
		if err != nil {
			return nil, fmt.Errorf("DG3: record %d: %w", i+1, err)
		}
		subtype := fingerSubtype(r.Fingers[0].Position)
		b.Templates = append(b.Templates, Template{Header: newHeader(TypeFingerprint, subtype, FormatFinger19794), Record: raw})
	}
	if len(records) == 0 {
		b.Filler = random
	}
	return EncodeBiometrics(DG3, b)
}

// DecodeDG3 reads data group 3. The images alias raw. A group of zero instances
// gives no record and no error; one template whose record cannot be read is an
// error that names it, beside the records that could.
func DecodeDG3(raw []byte) ([]biometric.FingerRecord, error) {
	b, err := DecodeBiometrics(DG3, raw)
	if err != nil {
		return nil, err
	}
	var records []biometric.FingerRecord
	var problems error
	for i, t := range b.Templates {
		r, err := biometric.DecodeFingers(t.Record)
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("DG3: %w: template %d: %w", ErrMalformed, i+1, err))
			continue
		}
		records = append(records, r)
	}
	return records, problems
}

// fingerSubtype is the biometric subtype of a finger: side in the two lowest
// bits, finger from thumb to little above (ISO/IEC 19785-3; Doc 9303-10
// §4.7.3.2, table 44).
func fingerSubtype(position byte) byte {
	switch {
	case position >= biometric.RightThumb && position <= biometric.RightLittle:
		return position<<2 | SubtypeRight
	case position >= biometric.LeftThumb && position <= biometric.LeftLittle:
		return (position-5)<<2 | SubtypeLeft
	}
	return 0
}
