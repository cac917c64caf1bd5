// Package perso turns a document and its secrets into the ordered commands
// that put both on one kind of chip and lock it.
//
// Two kinds are known. "jmrtd" is the open JMRTD passport applet 0.0.2b for
// Java Cards: Basic Access Control, Active Authentication with RSA, Chip
// Authentication, and no master file. "chipid" is chipid's own software chip
// (card/chip); it takes the commands of that applet and of its descendants
// that know PACE, and a few more. Neither has a secure channel for these
// commands: personalise in a trusted room.
//
//	SELECT       00 A4 04 0C  A0000002471001               the application
//	SELECT       00 A4 00 0C  3F00                         the master file           (chipid)
//	PUT DATA     00 DA 00 62  62{5F1F number, 5F18 birth,
//	                             5F19 expiry}              MRZ password; begins anew
//	PUT DATA     00 DA 00 65  65{66{reference, secret}…}   PACE passwords: 02 CAN,
//	                                                       03 PIN, 04 PUK            (chipid)
//	PUT DATA     00 DA 00 63  81…87 [89 key id]            key of Chip Authentication
//	PUT DATA     00 DA 00 60  60{} 04 modulus [88 hash]    RSA key of
//	PUT DATA     00 DA 00 61  61{} 04 exponent             Active Authentication
//	PUT DATA     00 DA 00 68  81…87 [88 hash]              its EC key                (chipid)
//	PUT DATA     00 DA 00 6A  6A{0C name…}                 national habits           (chipid)
//	PUT DATA     00 DA 00 6B  6B{5F25 date, 7F21…}         trust points of Terminal
//	                                                       Authentication            (chipid)
//	CREATE FILE  00 E0 00 00  63 04 size(2) fid(2)         63 05 with size(3)        (chipid)
//	UPDATE BINARY 00 D6       offset(15 bits)              the selected file
//	UPDATE BINARY 00 D7 00 00 54 offset, 53 data           past 32 KiB               (chipid)
//	PUT DATA     00 DA DE AF                               complete                  (chipid)
//	PUT DATA     00 DA DE AD                               locked for ever
//
// An EC key is a sequence of data objects: 81 the prime, 82 and 83 the
// coefficients A and B, 84 the generator uncompressed, 85 its order, 86 the
// secret scalar, 87 the cofactor. A key modulo a prime has 81 the prime, 84 the
// generator, 85 its order, 86 the secret exponent (chipid). 89 is the key identifier that DG14 gives the
// key, left out where DG14 gives none. A hash is the last arc of the
// ecdsa-plain algorithms of TR-03111: 1 SHA-1, 2 SHA-224, 3 SHA-256, 4 SHA-384,
// 5 SHA-512.
//
// A data field of more than 255 octets goes in command chaining (ISO/IEC
// 7816-4 §5.3.3), so that every reader can send it. The application is
// write-protected from the last command on (Doc 9303-10 §3.11): nothing on the
// chip changes again but the counters of its passwords, and the trust points of
// terminal authentication, which link certificates move on.
package perso

import (
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/tlv"
)

// Instructions of personalisation and the parameters of PUT DATA.
const (
	InsPutData         = 0xDA
	InsCreateFile      = 0xE0
	InsUpdateBinary    = 0xD6
	InsUpdateBinaryOdd = 0xD7

	PutModulus   uint16 = 0x0060
	PutExponent  uint16 = 0x0061
	PutMRZ       uint16 = 0x0062
	PutCAKey     uint16 = 0x0063
	PutPasswords uint16 = 0x0065
	PutAAKey     uint16 = 0x0068
	PutHabits    uint16 = 0x006A
	PutTrust     uint16 = 0x006B
	PutComplete  uint16 = 0xDEAF
	PutLock      uint16 = 0xDEAD
)

// Data objects inside the data fields of PUT DATA.
const (
	TagDocumentNumber tlv.Tag = 0x5F1F
	TagDateOfBirth    tlv.Tag = 0x5F18
	TagDateOfExpiry   tlv.Tag = 0x5F19
	TagSecret         tlv.Tag = 0x66
	TagOctets         tlv.Tag = 0x04
	TagName           tlv.Tag = 0x0C
	TagDate           tlv.Tag = 0x5F25
	TagCertificate    tlv.Tag = 0x7F21

	TagPrime     tlv.Tag = 0x81
	TagA         tlv.Tag = 0x82
	TagB         tlv.Tag = 0x83
	TagGenerator tlv.Tag = 0x84
	TagOrder     tlv.Tag = 0x85
	TagScalar    tlv.Tag = 0x86
	TagCofactor  tlv.Tag = 0x87
	TagHash      tlv.Tag = 0x88
	TagKeyID     tlv.Tag = 0x89
)

// References of the PACE passwords (TR-03110-3 §B.11.1). That of the MRZ has a
// command of its own.
const (
	CAN = 0x02
	PIN = 0x03
	PUK = 0x04
)

// Kind is a kind of chip.
type Kind string

// The kinds of chip that Script knows.
const (
	JMRTD  Kind = "jmrtd"
	ChipID Kind = "chipid"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{ChipID, JMRTD} }

// KindByName finds a kind.
func KindByName(name string) (Kind, error) {
	for _, k := range Kinds() {
		if string(k) == name {
			return k, nil
		}
	}
	return "", fmt.Errorf("there is no kind of chip %q; known are %v", name, Kinds())
}

// Step is one command of a script. Everything but 9000 in answer to it ends
// the personalisation; the chip is then spoiled, or begun anew from the first
// step where its kind allows that.
type Step struct {
	Name    string // for progress and errors; never holds personal data
	Command iso7816.Command
}

// Format keeps the command out of logs and messages: it may carry a private key.
func (s Step) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "step %s (not shown)", s.Name) }

// SerialCommand asks a chip for its card production life cycle data, tag 9F7F
// of GlobalPlatform Card 2.3 §H.6. ParseSerial takes the serial number out of
// the answer. chipid's software chip answers it in plain until it is locked,
// and afterwards only inside secure messaging, so that nobody can follow a
// holder by it; a Java Card answers in plain at all times.
func SerialCommand() iso7816.Command {
	return iso7816.Command{INS: 0xCA, P1: 0x9F, P2: 0x7F, Ne: iso7816.MaxShortNe}
}

// Layout of the production data: the 8 octets of fabrication date, serial
// number and batch identifier that stand together tell a chip from all others.
const (
	productionSize = 42
	serialAt       = 10
	SerialSize     = 8
)

const productionData tlv.Tag = 0x9F7F

// ParseSerial takes the serial number out of card production data.
func ParseSerial(data []byte) ([]byte, error) {
	obj, err := tlv.ReadOne(data, productionData)
	if err != nil {
		return nil, fmt.Errorf("read the chip's serial number: %w", err)
	}
	if len(obj.Value) != productionSize {
		return nil, fmt.Errorf("read the chip's serial number: production data of %d octets where %d belong", len(obj.Value), productionSize)
	}
	return obj.Value[serialAt : serialAt+SerialSize : serialAt+SerialSize], nil
}

// EncodeSerial is what a software chip with that serial number answers: the
// fields that tell its maker and versions apart are zero.
func EncodeSerial(serial [SerialSize]byte) []byte {
	value := make([]byte, productionSize)
	copy(value[serialAt:], serial[:])
	return tlv.Encode(productionData, value)
}
