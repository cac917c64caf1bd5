package pcsc

import (
	"encoding/binary"

	"chipid/card/iso7816"
)

// What a reader can do beyond the bare minimum is asked for in two steps
// (PC/SC part 10 §2.2): which features it has, each with the control code that
// reaches it, then the feature at hand.
const (
	codeGetFeatures      = 3400 // CM_IOCTL_GET_FEATURE_REQUEST
	featureTLVProperties = 0x12
	propertyMaxAPDUData  = 0x0A // dwMaxAPDUDataSize
	maxPropertyOctets    = 4096
)

// maxAPDU asks a reader how many octets of data it brings across in one APDU:
// iso7816.MaxShortNe where it knows short ones only, 0 where it does not say.
func maxAPDU(control func(code uint32) ([]byte, error), getFeatures uint32) int {
	raw, err := control(getFeatures)
	if err != nil {
		return 0 // few drivers have anything to say
	}
	code, ok := featureCode(raw, featureTLVProperties)
	if !ok {
		return 0
	}
	if raw, err = control(code); err != nil {
		return 0
	}
	return maxAPDUData(raw)
}

// object takes the first object, of a tag and a length of one octet each, off
// what a driver gives. ok is false at its end and where it is cut short.
func object(raw []byte) (tag byte, value, rest []byte, ok bool) {
	if len(raw) < 2 || len(raw) > maxPropertyOctets || len(raw) < 2+int(raw[1]) {
		return 0, nil, nil, false
	}
	end := 2 + int(raw[1])
	return raw[0], raw[2:end], raw[end:], true
}

// featureCode finds the control code of a feature, which is big-endian.
func featureCode(raw []byte, feature byte) (uint32, bool) {
	for {
		tag, value, rest, ok := object(raw)
		if !ok {
			return 0, false
		}
		if tag == feature && len(value) == 4 {
			return binary.BigEndian.Uint32(value), true
		}
		raw = rest
	}
}

// maxAPDUData finds the property, which is little-endian: 0 for short APDUs
// only, else more than 256 and at most 65536. What is neither is not believed.
func maxAPDUData(raw []byte) int {
	for {
		tag, value, rest, ok := object(raw)
		if !ok {
			return 0
		}
		if tag == propertyMaxAPDUData && len(value) == 4 {
			switch n := binary.LittleEndian.Uint32(value); {
			case n == 0:
				return iso7816.MaxShortNe
			case n > iso7816.MaxShortNe && n <= iso7816.MaxExtendedNe:
				return int(n)
			}
			return 0
		}
		raw = rest
	}
}
