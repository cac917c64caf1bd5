package lds

import "chipid/card/tlv"

// EMRTDApplication is the application identifier of the eMRTD application (Doc
// 9303-10 §3.6.1).
func EMRTDApplication() []byte { return []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01} }

const (
	tagApplicationTemplate = 0x61
	tagApplicationID       = 0x4F
)

// EncodeDIR writes EF.DIR, the list of applications (Doc 9303-10 §3.11.1).
func EncodeDIR(applications ...[]byte) []byte {
	var out []byte
	for _, aid := range applications {
		out = append(out, tlv.Encode(tagApplicationTemplate, tlv.Encode(tagApplicationID, aid))...)
	}
	return out
}

// DecodeDIR reads EF.DIR and gives the application identifiers, which alias
// raw.
func DecodeDIR(raw []byte) ([][]byte, error) {
	var aids [][]byte
	for len(raw) > 0 && raw[0] != 0 {
		obj, rest, err := tlv.Read(raw)
		if err != nil {
			return nil, malformed(EFDIR, "%v", err)
		}
		raw = rest
		if obj.Tag != tagApplicationTemplate {
			continue
		}
		aid, ok := tlv.Find(obj.Value, tagApplicationID)
		if !ok || len(aid) == 0 || len(aid) > 16 {
			return nil, malformed(EFDIR, "an application without an identifier of 1 to 16 octets")
		}
		if len(aids) == maxFields {
			return nil, malformed(EFDIR, "more than %d applications", maxFields)
		}
		aids = append(aids, aid)
	}
	return aids, nil
}
