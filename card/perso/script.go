package perso

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
)

// ErrUnfit is wrapped by the errors that say a document does not go on a kind
// of chip. Nothing has been sent to any chip then.
var ErrUnfit = errors.New("document does not fit the chip")

// Script gives the commands that put a document on a chip of one kind and lock
// it, for a reader and chip about which nothing is known: no command has more
// than 255 octets of data.
func Script(doc *lds.Document, secrets Secrets, kind Kind) ([]Step, error) {
	return ScriptChunked(doc, secrets, kind, iso7816.MaxShortData)
}

// ScriptChunked is Script for a reader and chip that together take commands
// with up to chunk octets of data, as EF.ATR/INFO tells.
func ScriptChunked(doc *lds.Document, secrets Secrets, kind Kind, chunk int) ([]Step, error) {
	if chunk < minChunk || chunk > iso7816.MaxExtendedData {
		return nil, fmt.Errorf("%w: commands with %d octets of data", ErrUnfit, chunk)
	}
	s := &script{kind: kind, chunk: chunk}
	switch kind {
	case ChipID:
		return s.chipid(doc, secrets)
	case JMRTD:
		return s.jmrtd(doc, secrets)
	}
	_, err := KindByName(string(kind))
	return nil, err
}

// minChunk leaves room for the data objects around an odd UPDATE BINARY.
const minChunk = 64

// What the kinds of chip can hold.
const (
	jmrtdMaxFile  = 0x7FFF // UPDATE BINARY reaches this far
	chipidMaxFile = 0xFFFFFF
	evenMaxOffset = 0x7FFF
)

type script struct {
	kind  Kind
	chunk int
	steps []Step
}

func (s *script) add(name string, c iso7816.Command) {
	s.steps = append(s.steps, Step{Name: name, Command: c})
}

// put adds a PUT DATA, chained where its data is longer than a command's.
func (s *script) put(name string, object uint16, data []byte) {
	c := iso7816.Command{INS: InsPutData, P1: byte(object >> 8), P2: byte(object)}
	for len(data) > s.chunk {
		c.CLA, c.Data = claChained, data[:s.chunk]
		s.add(name, c)
		data = data[s.chunk:]
	}
	c.CLA, c.Data = 0, data
	s.add(name, c)
}

const claChained = 0x10

// selectFile adds a SELECT without response data.
func (s *script) selectFile(name string, p1 byte, id []byte) {
	s.add("SELECT "+name, iso7816.Command{INS: 0xA4, P1: p1, P2: 0x0C, Data: id})
}

func (s *script) mrz(secrets Secrets) error {
	for _, field := range []struct {
		name, value string
		min, max    int
	}{
		{"document number", secrets.DocumentNumber, 1, 24},
		{"date of birth", secrets.DateOfBirth, 6, 6},
		{"date of expiry", secrets.DateOfExpiry, 6, 6},
	} {
		if len(field.value) < field.min || len(field.value) > field.max {
			return fmt.Errorf("%w: the %s of the MRZ password has %d characters", ErrUnfit, field.name, len(field.value))
		}
	}
	s.put("PUT DATA MRZ password", PutMRZ, tlv.Encode(tlv.Tag(PutMRZ),
		tlv.Encode(TagDocumentNumber, []byte(secrets.DocumentNumber)),
		tlv.Encode(TagDateOfBirth, []byte(secrets.DateOfBirth)),
		tlv.Encode(TagDateOfExpiry, []byte(secrets.DateOfExpiry))))
	return nil
}

// passwords adds those of PACE beside the MRZ.
func (s *script) passwords(doc *lds.Document, secrets Secrets) error {
	access, err := cardAccess(doc)
	if err != nil {
		return err
	}
	switch {
	case secrets.PUK != "" && secrets.PIN == "":
		return fmt.Errorf("%w: a PUK unblocks a PIN, and there is none", ErrUnfit)
	case secrets.PIN != "" && secrets.CAN == "":
		return fmt.Errorf("%w: a PIN needs a CAN beside it, without which it could not be used again after two wrong ones", ErrUnfit)
	case secrets.PIN != "" && len(access.PACE) == 0:
		return fmt.Errorf("%w: a PIN opens a chip by PACE, and EF.CardAccess offers none", ErrUnfit)
	}
	var entries [][]byte
	for _, p := range []struct {
		ref    byte
		secret string
		encode func(string) (pace.Password, error)
	}{{CAN, secrets.CAN, pace.CANPassword}, {PIN, secrets.PIN, pace.PINPassword}, {PUK, secrets.PUK, pace.PUKPassword}} {
		if p.secret == "" {
			continue
		}
		password, err := p.encode(p.secret)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnfit, err)
		}
		entries = append(entries, tlv.Encode(TagSecret, []byte{p.ref}, password.K))
	}
	if len(entries) > 0 {
		s.put("PUT DATA passwords of PACE", PutPasswords, tlv.Encode(tlv.Tag(PutPasswords), entries...))
	}
	return nil
}

// file adds the commands that create, select and fill one file.
func (s *script) file(f lds.File, raw []byte) {
	fid := []byte{byte(f.ID() >> 8), byte(f.ID())}
	size := []byte{byte(len(raw) >> 8), byte(len(raw))}
	if len(raw) > 0xFFFF {
		size = []byte{byte(len(raw) >> 16), byte(len(raw) >> 8), byte(len(raw))}
	}
	s.add("CREATE FILE "+f.String(), iso7816.Command{INS: InsCreateFile, Data: tlv.Encode(0x63, size, fid)})
	s.selectFile(f.String(), 0x02, fid)
	name := "UPDATE BINARY " + f.String()
	at := 0
	for at < len(raw) && at <= evenMaxOffset {
		n := min(s.chunk, len(raw)-at)
		s.add(name, iso7816.Command{INS: InsUpdateBinary, P1: byte(at >> 8), P2: byte(at), Data: raw[at : at+n]})
		at += n
	}
	for at < len(raw) {
		offset := tlv.Encode(0x54, []byte{byte(at >> 16), byte(at >> 8), byte(at)})
		room := s.chunk - len(offset)
		n := min(len(raw)-at, room-len(tlv.AppendHeader(nil, 0x53, room)))
		s.add(name, iso7816.Command{INS: InsUpdateBinaryOdd, Data: append(offset, tlv.Encode(0x53, raw[at:at+n])...)})
		at += n
	}
}

// checkFiles refuses what the kind cannot hold before anything is sent.
func checkFiles(doc *lds.Document, max int) error {
	for _, need := range []lds.File{lds.EFCOM, lds.EFSOD, lds.DG1} {
		if _, ok := doc.Get(need); !ok {
			return fmt.Errorf("%w: it has no %s", ErrUnfit, need)
		}
	}
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		if len(raw) == 0 || len(raw) > max {
			return fmt.Errorf("%w: %s has %d octets; 1 to %d can be written", ErrUnfit, f, len(raw), max)
		}
	}
	return nil
}

// maxTrustPoints is how many a chip keeps (Doc 9303-11 §7.1.4.3.4).
const maxTrustPoints = 2

func (s *script) chipid(doc *lds.Document, secrets Secrets) ([]Step, error) {
	if err := checkFiles(doc, chipidMaxFile); err != nil {
		return nil, err
	}
	hash, err := agree(doc, secrets)
	if err != nil {
		return nil, err
	}
	s.selectFile("application", 0x04, lds.EMRTDApplication())
	if err := s.mrz(secrets); err != nil {
		return nil, err
	}
	if err := s.passwords(doc, secrets); err != nil {
		return nil, err
	}
	if secrets.ChipAuthentication != nil {
		key := encodeKey(secrets.ChipAuthentication)
		if secrets.KeyID != nil {
			key = append(key, tlv.Encode(TagKeyID, keyIDOctets(secrets.KeyID))...)
		}
		s.put("PUT DATA key of chip authentication", PutCAKey, key)
	}
	for _, k := range secrets.Keys {
		key, err := encodeChipKey(k)
		if err != nil {
			return nil, err
		}
		s.put("PUT DATA further key of chip authentication", PutCAKey, key)
	}
	if n := len(secrets.TrustPoints); n > maxTrustPoints || n > 0 && secrets.Date == (cvc.Date{}) {
		return nil, fmt.Errorf("%w: %d trust points of terminal authentication from %s on; one or two can be kept, and they need a date", ErrUnfit, n, secrets.Date)
	}
	if len(secrets.TrustPoints) > 0 {
		trust := tlv.Encode(TagDate, secrets.Date.Octets())
		for _, c := range secrets.TrustPoints {
			trust = append(trust, c.Raw...)
		}
		s.put("PUT DATA trust points of terminal authentication", PutTrust, tlv.Encode(tlv.Tag(PutTrust), trust))
	}
	switch key := secrets.ActiveAuthentication.(type) {
	case nil:
	case *rsa.PrivateKey:
		s.rsaKey(key, tlv.Encode(TagHash, []byte{hash}))
	case *curve.PrivateKey:
		s.put("PUT DATA key of active authentication", PutAAKey,
			append(encodeKey(key), tlv.Encode(TagHash, []byte{hash})...))
	default:
		return nil, fmt.Errorf("%w: key of active authentication of type %T", ErrUnfit, key)
	}
	if len(secrets.Habits) > 0 {
		var names [][]byte
		for _, h := range secrets.Habits {
			names = append(names, tlv.Encode(TagName, []byte(h)))
		}
		s.put("PUT DATA habits", PutHabits, tlv.Encode(tlv.Tag(PutHabits), names...))
	}
	var master []lds.File
	for _, f := range doc.Files() {
		switch raw, _ := doc.Get(f); {
		case f == lds.EFDIR || f == lds.EFATRInfo:
			// The chip makes these two itself: they describe it.
		case f.InMasterFile():
			master = append(master, f)
		default:
			s.file(f, raw)
		}
	}
	if len(master) > 0 {
		s.selectFile("master file", 0x00, []byte{0x3F, 0x00})
		for _, f := range master {
			raw, _ := doc.Get(f)
			s.file(f, raw)
		}
	}
	s.put("PUT DATA complete", PutComplete, nil)
	s.put("PUT DATA lock", PutLock, nil)
	return s.steps, nil
}

func (s *script) jmrtd(doc *lds.Document, secrets Secrets) ([]Step, error) {
	if len(secrets.Keys) > 0 || len(secrets.TrustPoints) > 0 || secrets.PIN != "" || secrets.PUK != "" {
		return nil, fmt.Errorf("%w: a chip of kind %s has room for one key of chip authentication and knows neither terminal authentication nor a PIN", ErrUnfit, JMRTD)
	}
	if err := checkFiles(doc, jmrtdMaxFile); err != nil {
		return nil, err
	}
	for _, f := range doc.Files() {
		if f.InMasterFile() {
			return nil, fmt.Errorf("%w: the JMRTD applet has no master file for %s; build a document without PACE for it", ErrUnfit, f)
		}
	}
	if _, err := agree(doc, secrets); err != nil {
		return nil, err
	}
	s.selectFile("application", 0x04, lds.EMRTDApplication())
	if err := s.mrz(secrets); err != nil {
		return nil, err
	}
	if secrets.ChipAuthentication != nil {
		if secrets.KeyID != nil {
			return nil, fmt.Errorf("%w: the JMRTD applet holds one key of chip authentication, without an identifier", ErrUnfit)
		}
		s.put("PUT DATA key of chip authentication", PutCAKey, encodeKey(secrets.ChipAuthentication))
	}
	switch key := secrets.ActiveAuthentication.(type) {
	case nil:
	case *rsa.PrivateKey:
		if key.N.BitLen() != 1024 {
			return nil, fmt.Errorf("%w: the JMRTD applet signs with RSA keys of 1024 bits, not %d", ErrUnfit, key.N.BitLen())
		}
		s.rsaKey(key, nil)
	default:
		return nil, fmt.Errorf("%w: the JMRTD applet's active authentication is RSA only", ErrUnfit)
	}
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		s.file(f, raw)
	}
	s.put("PUT DATA lock", PutLock, nil)
	return s.steps, nil
}

// rsaKey adds modulus and private exponent. The applet reads an empty object
// that names what comes, then an octet string beside it, not inside.
func (s *script) rsaKey(key *rsa.PrivateKey, hash []byte) {
	modulus := append(tlv.Encode(tlv.Tag(PutModulus)), tlv.Encode(TagOctets, key.N.Bytes())...)
	exponent := append(tlv.Encode(tlv.Tag(PutExponent)), tlv.Encode(TagOctets, key.D.FillBytes(make([]byte, key.Size())))...)
	s.put("PUT DATA modulus of active authentication", PutModulus, append(modulus, hash...))
	s.put("PUT DATA exponent of active authentication", PutExponent, exponent)
}

// encodeKey gives the data objects 81 to 87 of an EC key.
func encodeKey(key *curve.PrivateKey) []byte {
	c := key.Curve()
	p := c.Params()
	field := func(x *big.Int) []byte { return x.FillBytes(make([]byte, c.ByteSize())) }
	return slices.Concat(
		tlv.Encode(TagPrime, field(p.P)),
		tlv.Encode(TagA, field(p.A)),
		tlv.Encode(TagB, field(p.B)),
		tlv.Encode(TagGenerator, c.Generator().Bytes()),
		tlv.Encode(TagOrder, p.N.Bytes()),
		tlv.Encode(TagScalar, key.Scalar()),
		tlv.Encode(TagCofactor, []byte{0x00, 0x01}),
	)
}

// encodeChipKey gives the data objects of a key of either kind.
func encodeChipKey(k ChipKey) ([]byte, error) {
	var out []byte
	switch key := k.Private.(type) {
	case *curve.PrivateKey:
		out = encodeKey(key)
	case *dh.PrivateKey:
		p, g, q := key.Group().Params()
		if q == nil {
			return nil, fmt.Errorf("%w: key of chip authentication in a group of unknown order", ErrUnfit)
		}
		out = slices.Concat(
			tlv.Encode(TagPrime, p.Bytes()), tlv.Encode(TagGenerator, g.Bytes()),
			tlv.Encode(TagOrder, q.Bytes()), tlv.Encode(TagScalar, key.Exponent()))
	default:
		return nil, fmt.Errorf("%w: key of chip authentication of type %T", ErrUnfit, key)
	}
	if k.ID != nil {
		out = append(out, tlv.Encode(TagKeyID, keyIDOctets(k.ID))...)
	}
	return out, nil
}

func keyIDOctets(id *big.Int) []byte {
	if id.Sign() == 0 {
		return []byte{0}
	}
	return id.Bytes()
}

// Hash numbers, the last arc of ecdsa-plain-SHA* (TR-03111 §5.2.1).
const (
	HashSHA1   byte = 1
	HashSHA224 byte = 2
	HashSHA256 byte = 3
	HashSHA384 byte = 4
	HashSHA512 byte = 5
)
