package trace

import (
	"encoding/asn1"
	"fmt"
	"strings"

	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cvc"
)

// object is what a data object is called, and how its value reads.
type object struct {
	name string
	show func([]byte) string // nil: in hexadecimal; one that gives nothing too
}

// dictionary names data objects. Within one exchange no tag has two meanings.
type dictionary map[tlv.Tag]object

// secureMessaging are the data objects of ISO/IEC 7816-4 §10 that Doc 9303-11
// §9.8 uses.
var secureMessaging = dictionary{
	0x81: {name: "plain value"},
	0x85: {name: "cryptogram"},
	0x87: {name: "cryptogram"},
	0x8E: {name: "MAC"},
	0x97: {name: "octets expected"},
	0x99: {name: "status word"},
}

// fileControl are those of an answer to SELECT (ISO/IEC 7816-4 §7.4.3).
var fileControl = dictionary{
	0x62: {name: "file control parameters"},
	0x6F: {name: "file control information"},
	0x64: {name: "file management data"},
	0x80: {name: "octets of data"},
	0x81: {name: "octets of the file"},
	0x82: {name: "descriptor"},
	0x83: {name: "file identifier"},
	0x84: {name: "name of the application", show: applicationName},
	0x88: {name: "short identifier"},
	0x8A: {name: "life cycle"},
}

// oddBinary are those of READ and UPDATE BINARY with an odd instruction code
// (ISO/IEC 7816-4 §11.3.2).
var oddBinary = dictionary{
	0x53: {name: "data"},
	0x54: {name: "offset", show: number},
	0x73: {name: "data"},
}

func number(b []byte) string {
	n := 0
	if len(b) > 4 {
		return ""
	}
	for _, x := range b {
		n = n<<8 | int(x)
	}
	return fmt.Sprint(n)
}

// oddOffset is where such a command reads or writes.
func oddOffset(data []byte) string {
	if value, ok := tlv.Find(data, 0x54); ok {
		if n := number(value); n != "" {
			return ", offset " + n
		}
	}
	return ", offset in the data"
}

// mechanism reads the object identifier of a protocol, which MSE carries without
// its tag.
func mechanism(b []byte) string {
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(tlv.Encode(0x06, b), &oid); err != nil || len(rest) > 0 {
		return ""
	}
	return lds.ProtocolName(oid)
}

// password is the reference of a password (TR-03110-3 table 9).
func password(b []byte) string {
	names := []string{"", "MRZ", "CAN", "PIN", "PUK"}
	if len(b) == 1 && b[0] > 0 && int(b[0]) < len(names) {
		return names[b[0]]
	}
	return ""
}

// text is a holder reference, where it is one.
func text(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(b)
}

// environmentObjects are those of MANAGE SECURITY ENVIRONMENT (TR-03110-3
// B.11.1).
func environmentObjects(p1p2 uint16) dictionary {
	switch p1p2 {
	case 0x41A6:
		return dictionary{0x91: {name: "the terminal's ephemeral key"}, 0x84: {name: "the chip's key"}}
	case 0x81A4, 0x81B6:
		return dictionary{
			0x80: {name: "mechanism", show: mechanism}, 0x83: {name: "key of", show: text},
			0x91: {name: "the terminal's ephemeral key, compressed"}, 0x67: {name: "auxiliary data"},
		}
	case 0x41A4:
		return dictionary{0x80: {name: "mechanism", show: mechanism}, 0x84: {name: "the chip's key"}}
	}
	return dictionary{
		0x80: {name: "mechanism", show: mechanism}, 0x83: {name: "password", show: password},
		0x84: {name: "domain parameters", show: number}, 0x7F4C: {name: "certificate holder authorisation"},
	}
}

// environmentNames are the mechanism and the password or the holder that a
// MANAGE SECURITY ENVIRONMENT names.
func environmentNames(p1p2 uint16, data []byte) string {
	var names []string
	for _, tag := range []tlv.Tag{0x80, 0x83} {
		value, ok := tlv.Find(data, tag)
		show := environmentObjects(p1p2)[tag].show
		if !ok || show == nil {
			continue
		}
		if name := show(value); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// generalAuthenticate are the dynamic authentication data (Doc 9303-11 §4.4.4.1,
// TR-03110-3 B.11.2).
func generalAuthenticate(p protocol) dictionary {
	if p == inChipAuthentication {
		return dictionary{0x7C: {name: "dynamic authentication data"}, 0x80: {name: "the terminal's ephemeral key"}, 0x81: {name: "nonce"}, 0x82: {name: "the chip's token"}}
	}
	return dictionary{
		0x7C: {name: "dynamic authentication data"},
		0x80: {name: "encrypted nonce"},
		0x81: {name: "the terminal's mapping data"},
		0x82: {name: "the chip's mapping data"},
		0x83: {name: "the terminal's ephemeral key"},
		0x84: {name: "the chip's ephemeral key"},
		0x85: {name: "the terminal's token"},
		0x86: {name: "the chip's token"},
		0x87: {name: "trust point", show: text},
		0x88: {name: "trust point before it", show: text},
		0x8A: {name: "encrypted proof of the chip's key (CAM)"},
	}
}

// putMeaning names an object of personalisation (card/perso).
func putMeaning(object uint16) string {
	switch object {
	case perso.PutModulus:
		return "modulus of active authentication"
	case perso.PutExponent:
		return "private exponent of active authentication"
	case perso.PutMRZ:
		return "the MRZ password"
	case perso.PutCAKey:
		return "private key of chip authentication"
	case perso.PutPasswords:
		return "passwords of PACE"
	case perso.PutAAKey:
		return "private key of active authentication"
	case perso.PutHabits:
		return "habits of a software chip"
	case perso.PutTrust:
		return "trust points of terminal authentication"
	case perso.PutComplete:
		return "personalisation is complete"
	case perso.PutLock:
		return "lock for ever"
	}
	return fmt.Sprintf("data object %X", object)
}

// creates reads size and identifier of a new file: 63 04 or 63 05.
func (c *card) creates(data []byte) string {
	value, ok := tlv.Find(data, 0x63)
	if !ok || len(value) != 4 && len(value) != 5 {
		return ""
	}
	at := len(value) - 2
	name := fmt.Sprintf("file %X", value[at:])
	if id, known := c.byID(value[at:]); known {
		name = id
	}
	return fmt.Sprintf("%s, %s octets", name, number(value[:at]))
}

// certificateName says whose certificate a PSO: VERIFY CERTIFICATE carries.
func certificateName(data []byte) string {
	c, err := cvc.ParseContent(data)
	if err != nil {
		return "a certificate"
	}
	return fmt.Sprintf("the certificate of %s by %s", c.CHR, c.CAR)
}

func certificateLines(data []byte) []string {
	c, err := cvc.ParseContent(data)
	if err != nil {
		return nil
	}
	return []string{
		fmt.Sprintf("%s of %s, by %s", c.Authorization.Role(), c.CHR, c.CAR),
		fmt.Sprintf("valid %s to %s, rights %02X, key %s", c.Effective, c.Expiry, c.Authorization.Rights(), c.Scheme()),
	}
}

const (
	maxOutline = 40 // lines of one APDU
	maxShown   = 24 // octets of one value
)

// outline has a line for each data object, or the first octets of what is not
// made of such.
func outline(b []byte, names dictionary) []string {
	var lines []string
	left := 0
	err := tlv.Walk(b, func(depth int, o tlv.Object) error {
		if len(lines) == maxOutline {
			left++
			return nil
		}
		known := names[o.Tag]
		line := fmt.Sprintf("%s%s (%d)", strings.Repeat("  ", depth), o.Tag, len(o.Value))
		if known.name != "" {
			line += " " + known.name
		}
		if !o.Tag.Constructed() && len(o.Value) > 0 {
			value := octets(o.Value)
			if known.show != nil {
				if shown := known.show(o.Value); shown != "" {
					value += " = " + shown
				}
			}
			line += ": " + value
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		return []string{octets(b)}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", left))
	}
	return lines
}

func octets(b []byte) string {
	if len(b) > maxShown {
		return fmt.Sprintf("%X… (%d octets)", b[:maxShown], len(b))
	}
	return fmt.Sprintf("%X", b)
}
