package lds

import (
	"fmt"
	"slices"

	"chipid/card/tlv"
)

// Features is the content of data groups 8, 9 and 10: features for machines to
// verify in the data, the structure and the substance of the document (Doc
// 9303-10 §4.7.8 to §4.7.10). Doc 9303 defines a count of instances at most and
// leaves the rest to the issuer, so all of it is kept as it stands.
type Features struct {
	Objects []Unknown // data objects, the count (02) among them
	Opaque  []byte    // the content, where it is no data objects

	original original
}

// Count gives the number of instances that the group claims, -1 where it claims
// none.
func (f Features) Count() int {
	for _, o := range f.Objects {
		if o.Tag == tagCount && len(o.Value) == 1 {
			return int(o.Value[0])
		}
	}
	return -1
}

func encodeFeatures(f File, v Features) ([]byte, error) {
	return written(v.original, v,
		func(raw []byte) (Features, error) { return decodeFeatures(f, raw) },
		func(v Features) ([]byte, error) { return composeFeatures(f, v) })
}

func composeFeatures(f File, v Features) ([]byte, error) {
	if len(v.Objects) > maxFields || len(v.Objects) > 0 && len(v.Opaque) > 0 {
		return nil, fmt.Errorf("%s: it holds data objects, at most %d, or something else, not both", f, maxFields)
	}
	return tlv.Encode(tlv.Tag(f.Tag()), encodeUnknown(v.Objects), v.Opaque), nil
}

func decodeFeatures(f File, raw []byte) (Features, error) {
	value, err := template(raw, f)
	if err != nil {
		return Features{}, err
	}
	var v Features
	if objs, err := tlv.ReadAll(value); err == nil && len(objs) <= maxFields {
		for _, o := range objs {
			v.Objects = append(v.Objects, Unknown{o.Tag, slices.Clone(o.Value)})
		}
	} else {
		v.Opaque = slices.Clone(value)
	}
	v.original = keep(raw, v, func(v Features) ([]byte, error) { return composeFeatures(f, v) })
	return v, nil
}
