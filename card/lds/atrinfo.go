package lds

import (
	"encoding/binary"
	"fmt"

	"chipid/card/tlv"
)

// ATRInfo is EF.ATR/INFO (Doc 9303-10 §3.11.2, ISO/IEC 7816-4 §12.1): what the
// chip's transport can do. It decides how fast a photo is read, and hardly any
// reader looks.
type ATRInfo struct {
	Capabilities []byte // card capabilities, DO'47'; three octets
	// The largest command and response APDU in octets, from DO'7F66'; zero
	// where the chip does not say.
	MaxCommand, MaxResponse int
	Unknown                 []Unknown

	original original
}

const (
	tagCapabilities   = 0x47
	tagExtendedLength = 0x7F66

	// Third octet of the card capabilities (ISO/IEC 7816-4 table 119).
	commandChaining  = 0x80
	extendedFields   = 0x40
	extendedInEFATR  = 0x20
	capabilityOctets = 3
)

// NewATRInfo says that commands and responses of these sizes are possible.
func NewATRInfo(maxCommand, maxResponse int) ATRInfo {
	return ATRInfo{
		Capabilities: []byte{0x00, 0x00, commandChaining | extendedFields | extendedInEFATR},
		MaxCommand:   maxCommand, MaxResponse: maxResponse,
	}
}

// ExtendedLength tells whether the chip takes length fields of three octets.
func (a ATRInfo) ExtendedLength() bool {
	return len(a.Capabilities) == capabilityOctets && a.Capabilities[2]&extendedFields != 0
}

// EncodeATRInfo writes EF.ATR/INFO: data objects one after the other, without
// a template around them.
func EncodeATRInfo(a ATRInfo) ([]byte, error) {
	return written(a.original, a, DecodeATRInfo, encodeATRInfo)
}

func encodeATRInfo(a ATRInfo) ([]byte, error) {
	var out []byte
	if len(a.Capabilities) > 0 {
		out = append(out, tlv.Encode(tagCapabilities, a.Capabilities)...)
	}
	if a.MaxCommand > 0 || a.MaxResponse > 0 {
		if a.MaxCommand <= 0 || a.MaxResponse <= 0 || a.MaxCommand > 0xFFFF || a.MaxResponse > 0xFFFF {
			return nil, fmt.Errorf("EF.ATR/INFO: sizes %d and %d have to be 1 to 65535", a.MaxCommand, a.MaxResponse)
		}
		out = append(out, tlv.Encode(tagExtendedLength,
			tlv.Encode(0x02, binary.BigEndian.AppendUint16(nil, uint16(a.MaxCommand))),
			tlv.Encode(0x02, binary.BigEndian.AppendUint16(nil, uint16(a.MaxResponse))))...)
	}
	for _, u := range a.Unknown {
		out = append(out, tlv.Encode(u.Tag, u.Value)...)
	}
	return out, nil
}

// DecodeATRInfo reads EF.ATR/INFO.
func DecodeATRInfo(raw []byte) (ATRInfo, error) {
	var a ATRInfo
	for left := raw; len(left) > 0 && left[0] != 0; { // zeros fill the file up
		obj, rest, err := tlv.Read(left)
		if err != nil {
			return ATRInfo{}, malformed(EFATRInfo, "%v", err)
		}
		left = rest
		switch obj.Tag {
		case tagCapabilities:
			a.Capabilities = append([]byte(nil), obj.Value...)
		case tagExtendedLength:
			sizes, err := tlv.ReadAll(obj.Value)
			if err != nil || len(sizes) != 2 || sizes[0].Tag != 0x02 || sizes[1].Tag != 0x02 {
				return ATRInfo{}, malformed(EFATRInfo, "extended length information without its two sizes")
			}
			for i, target := range []*int{&a.MaxCommand, &a.MaxResponse} {
				v := sizes[i].Value
				if len(v) == 0 || len(v) > 4 {
					return ATRInfo{}, malformed(EFATRInfo, "a size of %d octets", len(v))
				}
				for _, o := range v {
					*target = *target<<8 | int(o)
				}
			}
		default:
			if len(a.Unknown) == maxFields {
				return ATRInfo{}, malformed(EFATRInfo, "more than %d data objects", maxFields)
			}
			a.Unknown = append(a.Unknown, Unknown{obj.Tag, append([]byte(nil), obj.Value...)})
		}
	}
	a.original = keep(raw, a, encodeATRInfo)
	return a, nil
}
