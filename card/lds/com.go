package lds

import (
	"fmt"

	"chipid/card/tlv"
)

// Common is EF.COM (Doc 9303-10 §4.6.1): the versions, and which data groups
// there are. Nothing signs it, so a reader takes the list from EF.SOD and uses
// this one only to know what to try (Doc 9303-10 §4.6.1 deprecates it).
type Common struct {
	LDSVersion     string // "0107", "0108"
	UnicodeVersion string // "040000"
	Tags           []byte // as they stand, unknown ones too
	Unknown        []Unknown

	original original
}

// DataGroups lists the numbers of the data groups that the tags name.
func (c Common) DataGroups() []int {
	var dgs []int
	for _, t := range c.Tags {
		if f, ok := FileByTag(t); ok {
			if n, ok := f.DataGroup(); ok {
				dgs = append(dgs, n)
			}
		}
	}
	return dgs
}

// NewCommon gives the EF.COM of LDS 1.7 for these data groups.
func NewCommon(dataGroups []int) (Common, error) {
	c := Common{LDSVersion: "0107", UnicodeVersion: "040000"}
	for _, n := range dataGroups {
		f, ok := DG(n)
		if !ok {
			return Common{}, fmt.Errorf("EF.COM: there is no data group %d", n)
		}
		c.Tags = append(c.Tags, f.Tag())
	}
	return c, nil
}

const (
	tagLDSVersion     = 0x5F01
	tagUnicodeVersion = 0x5F36
	tagTagList        = 0x5C
)

// EncodeCOM writes EF.COM.
func EncodeCOM(c Common) ([]byte, error) {
	return written(c.original, c, DecodeCOM, encodeCOM)
}

func encodeCOM(c Common) ([]byte, error) {
	if len(c.LDSVersion) != 4 || len(c.UnicodeVersion) != 6 {
		return nil, fmt.Errorf("EF.COM: versions have 4 and 6 digits, not %q and %q", c.LDSVersion, c.UnicodeVersion)
	}
	return tlv.Encode(tlv.Tag(EFCOM.Tag()),
		tlv.Encode(tagLDSVersion, []byte(c.LDSVersion)),
		tlv.Encode(tagUnicodeVersion, []byte(c.UnicodeVersion)),
		tlv.Encode(tagTagList, c.Tags), encodeUnknown(c.Unknown)), nil
}

// DecodeCOM reads EF.COM.
func DecodeCOM(raw []byte) (Common, error) {
	fields, err := decodeFields(raw, EFCOM)
	if err != nil {
		return Common{}, err
	}
	var c Common
	for _, f := range fields {
		switch f.Tag {
		case tagLDSVersion:
			c.LDSVersion = string(f.Value)
		case tagUnicodeVersion:
			c.UnicodeVersion = string(f.Value)
		case tagTagList:
			c.Tags = append([]byte(nil), f.Value...)
		default:
			c.Unknown = append(c.Unknown, Unknown{f.Tag, append([]byte(nil), f.Value...)})
		}
	}
	if len(c.LDSVersion) != 4 || len(c.UnicodeVersion) != 6 || len(c.Tags) > 32 {
		return Common{}, malformed(EFCOM, "a version is missing or of wrong length, or the tag list is too long")
	}
	c.original = keep(raw, c, encodeCOM)
	return c, nil
}
