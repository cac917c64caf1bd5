package pace

import (
	"crypto/sha1"
	"fmt"
	"strings"

	"chipid/card/bac"
)

// Password references of MSE:Set AT (Doc 9303-11 §4.4.4.1, TR-03110-3 B.11.1).
// Travel documents have the first two; identity cards that speak PACE have all.
const (
	RefMRZ byte = 1
	RefCAN byte = 2
	RefPIN byte = 3
	RefPUK byte = 4
)

// Password is a shared password, already encoded as the key derivation takes
// it: f(π) of Doc 9303-11 §9.7.3. It prints without its secret.
type Password struct {
	Ref byte
	K   []byte
}

var refNames = map[byte]string{RefMRZ: "MRZ", RefCAN: "CAN", RefPIN: "PIN", RefPUK: "PUK"}

// Name is the kind of password, such as CAN.
func (p Password) Name() string {
	if n, ok := refNames[p.Ref]; ok {
		return n
	}
	return fmt.Sprintf("password %d", p.Ref)
}

// Format keeps the secret out of logs and messages.
func (p Password) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s (not shown)", p.Name()) }

// MRZPassword is the hash of the fields of the MRZ that BAC uses too.
func MRZPassword(documentNumber, dateOfBirth, dateOfExpiry string) (Password, error) {
	info, err := bac.MRZInformation(documentNumber, dateOfBirth, dateOfExpiry)
	if err != nil {
		return Password{}, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	sum := sha1.Sum([]byte(info))
	return Password{Ref: RefMRZ, K: sum[:]}, nil
}

// CANPassword is the card access number, six digits printed on the face.
func CANPassword(can string) (Password, error) {
	if len(can) != 6 || strings.Trim(can, "0123456789") != "" {
		return Password{}, fmt.Errorf("%w: a CAN has six digits", ErrPassword)
	}
	return Password{Ref: RefCAN, K: []byte(can)}, nil
}

// Lengths of a PIN and of a PUK in characters. The standards bound neither:
// TR-03110-2 calls the one short and the other long. A chip counts wrong
// PINs, so four digits can do; it does not count wrong PUKs, so they cannot.
const (
	MinPIN, MaxPIN = 4, 16
	MinPUK, MaxPUK = 8, 16
)

// PINPassword is the secret number of the holder.
func PINPassword(pin string) (Password, error) {
	k, err := latin1("PIN", pin, MinPIN, MaxPIN)
	return Password{Ref: RefPIN, K: k}, err
}

// PUKPassword is the number that unblocks the PIN.
func PUKPassword(puk string) (Password, error) {
	k, err := latin1("PUK", puk, MinPUK, MaxPUK)
	return Password{Ref: RefPUK, K: k}, err
}

// latin1 is a character string in ISO/IEC 8859-1, one octet a character (Doc
// 9303-11 §9.7.3). Characters that no keyboard gives are refused: a card locked
// with one of them would never open again.
func latin1(name, s string, least, most int) ([]byte, error) {
	var out []byte
	for _, r := range s {
		if r < 0x20 || r > 0x7E && r < 0xA0 || r > 0xFF {
			return nil, fmt.Errorf("%w: a %s has digits, or other printable characters of ISO 8859-1", ErrPassword, name)
		}
		if out = append(out, byte(r)); len(out) > most {
			break
		}
	}
	if len(out) < least || len(out) > most {
		return nil, fmt.Errorf("%w: a %s has %d to %d characters", ErrPassword, name, least, most)
	}
	return out, nil
}
