package iso7816

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"

	"chipid/card/tlv"
)

// Secure messaging data objects (Doc 9303-11 §9.8.3, Table 11).
const (
	doCryptogram      tlv.Tag = 0x87 // padding indicator 01 and cryptogram, for an even INS
	doCryptogramPlain tlv.Tag = 0x85 // cryptogram alone, for an odd INS
	doExpectedLength  tlv.Tag = 0x97
	doStatus          tlv.Tag = 0x99
	doChecksum        tlv.Tag = 0x8E
)

// claSecured are the bits of CLA that say "secure messaging, header
// authenticated" (ISO/IEC 7816-4 §5.4.1).
const claSecured = 0x0C

// paddingIndicator announces padding method 2 in DO'87'.
const paddingIndicator = 0x01

// ErrSecureMessaging is wrapped by every error of a secure channel. After one
// the channel is dead: every later call gives an error too, and the two ends
// have to authenticate anew.
//
// Where the other end caused it, the error also wraps a *StatusError: on the
// terminal's side what an unprotected response said, on the chip's side the
// status word to answer with (6987 or 6988, Doc 9303-11 §9.8.2).
var ErrSecureMessaging = errors.New("secure messaging failed")

// SessionKeys are what an access protocol agrees on and a channel starts from.
// It prints as a placeholder, whatever the verb.
type SessionKeys struct {
	Cipher Cipher
	Enc    []byte // KS_Enc
	MAC    []byte // KS_MAC
	SSC    []byte // the first send sequence counter, one block long; nil is zero
}

// Format keeps keys out of logs and messages.
func (k SessionKeys) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "session keys of %s (not shown)", k.Cipher)
}

// SecureMessaging is one end of a secure channel (Doc 9303-11 §9.8). The
// terminal calls WrapCommand and UnwrapResponse in turn, the chip UnwrapCommand
// and WrapResponse. It is not safe for concurrent use: the order of the calls
// is the protocol.
type SecureMessaging struct {
	suite  Cipher
	enc    cipher.Block
	mac    mac
	ssc    []byte
	turn   turn
	oddINS bool // of the command under way: the response's cryptogram goes by it
	dead   bool
}

type turn uint8

const (
	idle       turn = iota
	commanding      // the terminal has sent a command
	answering       // the chip has taken one
)

// NewSecureMessaging opens a channel.
func NewSecureMessaging(k SessionKeys) (*SecureMessaging, error) {
	enc, err := k.Cipher.Block(k.Enc)
	if err != nil {
		return nil, fmt.Errorf("secure messaging, encryption key: %w", err)
	}
	m, err := k.Cipher.newMAC(k.MAC)
	if err != nil {
		return nil, fmt.Errorf("secure messaging, MAC key: %w", err)
	}
	ssc := make([]byte, k.Cipher.BlockSize())
	if k.SSC != nil && len(k.SSC) != len(ssc) {
		return nil, fmt.Errorf("%w: send sequence counter of %d octets for %s, which takes %d", ErrCipher, len(k.SSC), k.Cipher, len(ssc))
	}
	copy(ssc, k.SSC)
	return &SecureMessaging{suite: k.Cipher, enc: enc, mac: m, ssc: ssc}, nil
}

// fail kills the channel. SW is what a chip answers; zero leaves it out.
func (s *SecureMessaging) fail(sw StatusWord, format string, args ...any) error {
	s.dead = true
	what := fmt.Sprintf(format, args...)
	if sw == 0 {
		return fmt.Errorf("%w: %s", ErrSecureMessaging, what)
	}
	return fmt.Errorf("%w: %s (%w)", ErrSecureMessaging, what, &StatusError{SW: sw})
}

// take checks that it is this call's turn.
func (s *SecureMessaging) take(from, to turn) error {
	if s.dead {
		return fmt.Errorf("%w before; authenticate again", ErrSecureMessaging)
	}
	if s.turn != from {
		return s.fail(0, "command and response out of turn")
	}
	s.turn = to
	return nil
}

// Alive tells whether the channel can still be used.
func (s *SecureMessaging) Alive() bool { return !s.dead }

// WrapCommand protects a command (Doc 9303-11 §9.8.4). A short command stays
// short as long as its protected data field does.
func (s *SecureMessaging) WrapCommand(c Command) (Command, error) {
	if err := s.take(idle, commanding); err != nil {
		return Command{}, err
	}
	if c.CLA&claSecured != 0 {
		return Command{}, s.fail(0, "CLA %02X already announces secure messaging", c.CLA)
	}
	if c.Ne < 0 || c.Ne > MaxExtendedNe {
		return Command{}, s.fail(0, "Ne %d", c.Ne)
	}
	s.oddINS = c.INS&1 != 0
	s.step()

	out := Command{CLA: c.CLA | claSecured, INS: c.INS, P1: c.P1, P2: c.P2, Ne: MaxShortNe}
	if len(c.Data) > 0 {
		out.Data = s.cryptogram(c.Data)
	}
	if c.Ne > 0 {
		out.Data = append(out.Data, tlv.Encode(doExpectedLength, encodeNe(c.Ne))...)
	}
	sum := s.checksum(header(out), out.Data)
	out.Data = append(out.Data, tlv.Encode(doChecksum, sum)...)
	if len(out.Data) > MaxExtendedData {
		return Command{}, s.fail(0, "command data of %d octets is too long to protect", len(c.Data))
	}
	if c.Ne > MaxShortNe || len(out.Data) > MaxShortData {
		out.Ne = MaxExtendedNe
	}
	return out, nil
}

// UnwrapResponse checks and decrypts a response (Doc 9303-11 §9.8.4). A response
// without protection is refused, whatever its status word: anybody between
// the two could have made it.
func (s *SecureMessaging) UnwrapResponse(r Response) (Response, error) {
	if err := s.take(commanding, idle); err != nil {
		return Response{}, err
	}
	s.step()
	if len(r.Data) == 0 {
		return Response{}, s.fail(r.SW, "the card answered without protection")
	}
	objs, err := readObjects(r.Data)
	if err != nil {
		return Response{}, s.fail(0, "response: %v", err)
	}
	cryptogram := objs.take(doCryptogram)
	if cryptogram == nil && s.oddINS {
		cryptogram = objs.take(doCryptogramPlain)
	}
	status := objs.take(doStatus)
	covered := r.Data[:objs.offset]
	sum := objs.take(doChecksum)
	switch {
	case !objs.empty():
		return Response{}, s.fail(0, "response: data object %s out of place", objs.rest[0].Tag)
	case status == nil:
		return Response{}, s.fail(0, "response has no processing status (DO'99')")
	case sum == nil:
		return Response{}, s.fail(0, "response has no checksum (DO'8E')")
	case len(sum.Value) != macSize || subtle.ConstantTimeCompare(sum.Value, s.checksum(nil, covered)) != 1:
		return Response{}, s.fail(0, "response has a wrong checksum")
	case len(status.Value) != 2 || StatusWord(status.Value[0])<<8|StatusWord(status.Value[1]) != r.SW:
		return Response{}, s.fail(0, "protected status word differs from the plain one, %04X", uint16(r.SW))
	}
	out := Response{SW: r.SW}
	if cryptogram != nil {
		if out.Data, err = s.decrypt(*cryptogram); err != nil {
			return Response{}, s.fail(0, "response: %v", err)
		}
	}
	return out, nil
}

// UnwrapCommand checks and decrypts a command on the chip's side.
func (s *SecureMessaging) UnwrapCommand(c Command) (Command, error) {
	if err := s.take(idle, answering); err != nil {
		return Command{}, err
	}
	s.step()
	s.oddINS = c.INS&1 != 0
	if c.CLA&claSecured != claSecured {
		return Command{}, s.fail(SWSecureMessagingExpected, "command without protection")
	}
	objs, err := readObjects(c.Data)
	if err != nil {
		return Command{}, s.fail(SWSecureMessagingIncorrect, "command: %v", err)
	}
	tag := doCryptogram
	if s.oddINS {
		tag = doCryptogramPlain
	}
	cryptogram := objs.take(tag)
	expected := objs.take(doExpectedLength)
	covered := c.Data[:objs.offset]
	sum := objs.take(doChecksum)
	switch {
	case !objs.empty():
		return Command{}, s.fail(SWSecureMessagingIncorrect, "command: data object %s out of place", objs.rest[0].Tag)
	case sum == nil:
		return Command{}, s.fail(SWSecureMessagingExpected, "command has no checksum (DO'8E')")
	case len(sum.Value) != macSize || subtle.ConstantTimeCompare(sum.Value, s.checksum(header(c), covered)) != 1:
		return Command{}, s.fail(SWSecureMessagingIncorrect, "command has a wrong checksum")
	}
	out := Command{CLA: c.CLA &^ claSecured, INS: c.INS, P1: c.P1, P2: c.P2}
	if cryptogram != nil {
		if out.Data, err = s.decrypt(*cryptogram); err != nil {
			return Command{}, s.fail(SWSecureMessagingIncorrect, "command: %v", err)
		}
	}
	if expected != nil {
		switch v := expected.Value; len(v) {
		case 1:
			out.Ne = shortNe(v[0])
		case 2:
			out.Ne = extendedNe(int(v[0])<<8 | int(v[1]))
		default:
			return Command{}, s.fail(SWSecureMessagingIncorrect, "command: expected length of %d octets", len(v))
		}
	}
	return out, nil
}

// WrapResponse protects the chip's response to the command that UnwrapCommand
// gave last.
func (s *SecureMessaging) WrapResponse(r Response) (Response, error) {
	if err := s.take(answering, idle); err != nil {
		return Response{}, err
	}
	s.step()
	out := Response{SW: r.SW}
	if len(r.Data) > 0 {
		out.Data = s.cryptogram(r.Data)
	}
	out.Data = append(out.Data, tlv.Encode(doStatus, []byte{byte(r.SW >> 8), byte(r.SW)})...)
	sum := s.checksum(nil, out.Data)
	out.Data = append(out.Data, tlv.Encode(doChecksum, sum)...)
	if len(out.Data) > MaxExtendedNe {
		return Response{}, s.fail(0, "response data of %d octets is too long to protect", len(r.Data))
	}
	return out, nil
}

// MaxPlainResponse is the largest number of octets to ask for so that the
// protected response still fits: 231 for 3DES and 223 for AES in short APDUs.
// limit is what card and reader can carry in a response's data field where
// that is less than the form of the APDU allows; 0 means no such limit.
func (s *SecureMessaging) MaxPlainResponse(extended bool, limit int) int {
	most := MaxShortNe
	if extended {
		most = MaxExtendedNe
	}
	if limit > 0 && limit < most {
		most = limit
	}
	room := most - (2 + 2) - (2 + macSize) // DO'99' and DO'8E'
	block := s.suite.BlockSize()
	for padded := room / block * block; padded > 0; padded -= block {
		if len(tlv.AppendHeader(nil, doCryptogram, padded+1))+1+padded <= room {
			return padded - 1 // padding takes one octet at least
		}
	}
	return 0
}

// step counts the send sequence counter up, once before each command and once
// before each response (Doc 9303-11 §9.8.6.3, §9.8.7.3). It wraps.
func (s *SecureMessaging) step() {
	for i := len(s.ssc) - 1; i >= 0; i-- {
		s.ssc[i]++
		if s.ssc[i] != 0 {
			return
		}
	}
}

// iv is zero for 3DES and the encrypted counter for AES (Doc 9303-11 §9.8.6.1,
// §9.8.7.1).
func (s *SecureMessaging) iv() []byte {
	iv := make([]byte, len(s.ssc))
	if s.suite != TripleDES {
		s.enc.Encrypt(iv, s.ssc)
	}
	return iv
}

func (s *SecureMessaging) cryptogram(plain []byte) []byte {
	b := Pad(plain, s.suite.BlockSize())
	cipher.NewCBCEncrypter(s.enc, s.iv()).CryptBlocks(b, b)
	if s.oddINS {
		return tlv.Encode(doCryptogramPlain, b)
	}
	return tlv.Encode(doCryptogram, []byte{paddingIndicator}, b)
}

func (s *SecureMessaging) decrypt(obj tlv.Object) ([]byte, error) {
	b := obj.Value
	if obj.Tag == doCryptogram {
		if len(b) == 0 || b[0] != paddingIndicator {
			return nil, errors.New("cryptogram without padding indicator 01")
		}
		b = b[1:]
	}
	if len(b) == 0 || len(b)%s.suite.BlockSize() != 0 {
		return nil, fmt.Errorf("cryptogram of %d octets is no whole number of blocks", len(b))
	}
	out := make([]byte, len(b))
	cipher.NewCBCDecrypter(s.enc, s.iv()).CryptBlocks(out, b)
	return Unpad(out, s.suite.BlockSize())
}

// header is the command header as it enters the checksum.
func header(c Command) []byte { return []byte{c.CLA, c.INS, c.P1, c.P2} }

// checksum is the MAC over counter, padded header (of a command) and data
// objects, padded (Doc 9303-11 §9.8.6.2, §9.8.7.2).
func (s *SecureMessaging) checksum(header, objects []byte) []byte {
	block := s.suite.BlockSize()
	message := bytes.Clone(s.ssc)
	if header != nil {
		message = append(message, Pad(header, block)...)
	}
	message = append(message, objects...)
	return s.mac.sum(Pad(message, block))
}

func encodeNe(ne int) []byte {
	if ne <= MaxShortNe {
		return []byte{byte(ne)} // 256 is 00
	}
	return []byte{byte(ne >> 8), byte(ne)} // 65536 is 0000
}

// objects hands out the data objects of a protected data field in their one
// permitted order, and knows how far the checksum reaches.
type objects struct {
	rest   []tlv.Object
	offset int
}

func readObjects(b []byte) (*objects, error) {
	all, err := tlv.ReadAll(b)
	if err != nil {
		return nil, err
	}
	return &objects{rest: all}, nil
}

// take gives the next object if it has this tag.
func (o *objects) take(tag tlv.Tag) *tlv.Object {
	if o.empty() || o.rest[0].Tag != tag {
		return nil
	}
	obj := o.rest[0]
	o.rest = o.rest[1:]
	o.offset += len(obj.Raw)
	return &obj
}

func (o *objects) empty() bool { return len(o.rest) == 0 }
