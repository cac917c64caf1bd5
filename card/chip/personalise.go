package chip

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
)

// putData takes passwords and keys (package perso has the table).
func (c *Chip) putData(cmd iso7816.Command) iso7816.Response {
	object := uint16(cmd.P1)<<8 | uint16(cmd.P2)
	if !c.application {
		// The keys are the application's; only the lock is the card's.
		if object != perso.PutLock && object != perso.PutComplete {
			return answer(iso7816.SWConditionsNotSatisfied)
		}
	}
	if object == perso.PutMRZ {
		return c.putMRZ(cmd.Data)
	}
	if c.eeprom.LifeCycle != Personalising {
		return answer(iso7816.SWConditionsNotSatisfied)
	}
	if object == perso.PutLock {
		return c.lock(cmd.Data)
	}
	if c.eeprom.Complete {
		return answer(iso7816.SWConditionsNotSatisfied)
	}
	var put func([]byte) iso7816.StatusWord
	switch object {
	case perso.PutPasswords:
		put = c.putPasswords
	case perso.PutCAKey:
		put = c.putCAKey
	case perso.PutAAKey:
		put = c.putAAKey
	case perso.PutModulus, perso.PutExponent:
		put = func(data []byte) iso7816.StatusWord { return c.putRSA(tlv.Tag(object), data) }
	case perso.PutHabits:
		put = c.putHabits
	case perso.PutTrust:
		put = c.putTrust
	case perso.PutComplete:
		put = c.complete
	default:
		return answer(iso7816.SWReferenceNotFound)
	}
	sw := put(cmd.Data)
	if sw == iso7816.SWSuccess {
		c.writes++
	}
	return answer(sw)
}

// putMRZ begins a personalisation. Whatever an earlier one left is erased, so
// that no file or key of one person can end up on another's card.
func (c *Chip) putMRZ(data []byte) iso7816.Response {
	obj, err := tlv.ReadOne(data, tlv.Tag(perso.PutMRZ))
	if err != nil {
		return answer(iso7816.SWWrongData)
	}
	fields, err := tlv.ReadAll(obj.Value)
	if err != nil || len(fields) != 3 || fields[0].Tag != perso.TagDocumentNumber ||
		fields[1].Tag != perso.TagDateOfBirth || fields[2].Tag != perso.TagDateOfExpiry {
		return answer(iso7816.SWWrongData)
	}
	number, birth, expiry := string(fields[0].Value), string(fields[1].Value), string(fields[2].Value)
	if len(number) > maxPassword {
		return answer(iso7816.SWWrongData)
	}
	if _, err := bac.Seed(number, birth, expiry); err != nil {
		return answer(iso7816.SWWrongData)
	}
	c.eeprom = memory{
		Version:        memoryVersion,
		Serial:         c.eeprom.Serial,
		LifeCycle:      Personalising,
		MaxCommand:     c.eeprom.MaxCommand,
		MaxResponse:    c.eeprom.MaxResponse,
		Habits:         c.eeprom.Habits,
		DocumentNumber: number,
		DateOfBirth:    birth,
		DateOfExpiry:   expiry,
	}
	c.file = nil
	c.writes++
	return answer(iso7816.SWSuccess)
}

// putPasswords takes the passwords of PACE: a reference and the secret each.
func (c *Chip) putPasswords(data []byte) iso7816.StatusWord {
	obj, err := tlv.ReadOne(data, tlv.Tag(perso.PutPasswords))
	if err != nil {
		return iso7816.SWWrongData
	}
	entries, err := tlv.ReadAll(obj.Value)
	if err != nil || len(entries) == 0 {
		return iso7816.SWWrongData
	}
	next := c.eeprom
	for _, e := range entries {
		if e.Tag != perso.TagSecret || len(e.Value) < 2 || len(e.Value) > 1+maxPassword {
			return iso7816.SWWrongData
		}
		secret, check := latin1(e.Value[1:]), pace.CANPassword
		var to *string
		switch e.Value[0] {
		case perso.CAN:
			to = &next.CAN
		case perso.PIN:
			to, check = &next.PIN, pace.PINPassword
		case perso.PUK:
			to, check = &next.PUK, pace.PUKPassword
		default:
			return iso7816.SWReferenceNotFound
		}
		if _, err := check(secret); err != nil {
			return iso7816.SWWrongData
		}
		*to = secret
	}
	c.eeprom.CAN, c.eeprom.PIN, c.eeprom.PUK = next.CAN, next.PIN, next.PUK
	return iso7816.SWSuccess
}

// latin1 is the text that octets of ISO/IEC 8859-1 spell.
func latin1(octets []byte) string {
	runes := make([]rune, len(octets))
	for i, b := range octets {
		runes[i] = rune(b)
	}
	return string(runes)
}

// putCAKey takes a key of chip authentication; one of the same identifier is
// replaced.
func (c *Chip) putCAKey(data []byte) iso7816.StatusWord {
	key, ok := decodeKey(data)
	if !ok || key.Hash != 0 {
		return iso7816.SWWrongData
	}
	for i, k := range c.eeprom.CAKeys {
		if bytes.Equal(k.ID, key.ID) && (k.ID == nil) == (key.ID == nil) {
			c.eeprom.CAKeys[i] = key
			return iso7816.SWSuccess
		}
	}
	if len(c.eeprom.CAKeys) == maxCAKeys {
		return iso7816.SWNotEnoughMemory
	}
	c.eeprom.CAKeys = append(c.eeprom.CAKeys, key)
	return iso7816.SWSuccess
}

func (c *Chip) putAAKey(data []byte) iso7816.StatusWord {
	key, ok := decodeKey(data)
	if !ok || key.ID != nil || key.key == nil {
		return iso7816.SWWrongData
	}
	if key.Hash == 0 {
		key.Hash = perso.HashSHA256
	}
	c.eeprom.AAKey, c.eeprom.AARSA = key, nil
	return iso7816.SWSuccess
}

// decodeKey reads the data objects of an EC key. The parameters must be those
// of a curve that the chip knows.
func decodeKey(data []byte) (*ecKey, bool) {
	objects, err := tlv.ReadAll(data)
	if err != nil {
		return nil, false
	}
	values := map[tlv.Tag][]byte{}
	for _, o := range objects {
		if _, twice := values[o.Tag]; twice || o.Tag < perso.TagPrime || o.Tag > perso.TagKeyID {
			return nil, false
		}
		values[o.Tag] = o.Value
	}
	if _, onCurve := values[perso.TagA]; !onCurve {
		return decodeDHKey(values)
	}
	c := curveOf(values)
	if c == nil {
		return nil, false
	}
	// FillBytes would panic on a scalar longer than the order; such a one is
	// out of range anyhow.
	scalar := new(big.Int).SetBytes(values[perso.TagScalar])
	if scalar.Sign() == 0 || scalar.Cmp(c.Params().N) >= 0 {
		return nil, false
	}
	key := &ecKey{Curve: c.Name(), Scalar: scalar.FillBytes(make([]byte, c.OrderSize()))}
	if hash, ok := values[perso.TagHash]; ok {
		if len(hash) != 1 || hash[0] == 0 {
			return nil, false
		}
		key.Hash = hash[0]
	}
	return key.identified(values)
}

// identified gives the key its identifier.
func (k *ecKey) identified(values map[tlv.Tag][]byte) (*ecKey, bool) {
	if id, ok := values[perso.TagKeyID]; ok {
		if len(id) == 0 {
			return nil, false
		}
		k.ID = bytes.Clone(id)
	}
	return k, k.open() == nil
}

// decodeDHKey reads a key modulo a prime, which is for chip authentication
// only. The group must be a standardised one: in any other the chip could not
// tell what a terminal sends it.
func decodeDHKey(values map[tlv.Tag][]byte) (*ecKey, bool) {
	for _, foreign := range []tlv.Tag{perso.TagB, perso.TagCofactor, perso.TagHash} {
		if _, ok := values[foreign]; ok {
			return nil, false
		}
	}
	for id := 0; ; id++ {
		g, ok := dh.ByDomainParameterID(id)
		if !ok {
			return nil, false
		}
		p, generator, q := g.Params()
		matches := true
		for tag, want := range map[tlv.Tag]*big.Int{perso.TagPrime: p, perso.TagGenerator: generator, perso.TagOrder: q} {
			matches = matches && len(values[tag]) <= maxRSASize && new(big.Int).SetBytes(values[tag]).Cmp(want) == 0
		}
		if matches {
			return (&ecKey{Group: id, Scalar: bytes.Clone(values[perso.TagScalar])}).identified(values)
		}
	}
}

func curveOf(values map[tlv.Tag][]byte) *curve.Curve {
	for _, c := range curve.Named() {
		p := c.Params()
		matches := true
		for tag, want := range map[tlv.Tag]*big.Int{
			perso.TagPrime: p.P, perso.TagA: p.A, perso.TagB: p.B,
			perso.TagOrder: p.N, perso.TagCofactor: big.NewInt(int64(p.Cofactor)),
		} {
			v, ok := values[tag]
			matches = matches && ok && len(v) <= maxRSASize && new(big.Int).SetBytes(v).Cmp(want) == 0
		}
		if matches && bytes.Equal(values[perso.TagGenerator], c.Generator().Bytes()) {
			return c
		}
	}
	return nil
}

// putRSA takes the modulus or the private exponent: an object that names which
// (empty, or with the number inside), the number, and with the modulus the
// hash, without which the chip signs as Doc 9303 did at first, with SHA-1.
func (c *Chip) putRSA(what tlv.Tag, data []byte) iso7816.StatusWord {
	head, rest, err := tlv.Read(data)
	if err != nil || head.Tag != what {
		return iso7816.SWWrongData
	}
	if len(head.Value) > 0 {
		rest = append(bytes.Clone(head.Value), rest...)
	}
	number, rest, err := tlv.Read(rest)
	if err != nil || number.Tag != perso.TagOctets {
		return iso7816.SWWrongData
	}
	value := bytes.TrimLeft(number.Value, "\x00")
	if len(value) == 0 || len(value) > maxRSASize {
		return iso7816.SWWrongData
	}
	key := rsaKey{Hash: perso.HashSHA1}
	if c.eeprom.AARSA != nil {
		key = *c.eeprom.AARSA
		key.key = nil
	}
	switch what {
	case tlv.Tag(perso.PutModulus):
		if len(rest) > 0 {
			hash, err := tlv.ReadOne(rest, perso.TagHash)
			if err != nil || len(hash.Value) != 1 || hash.Value[0] == 0 {
				return iso7816.SWWrongData
			}
			key.Hash = hash.Value[0]
		}
		// A new modulus begins a new key.
		key.Modulus, key.Exponent = bytes.Clone(value), nil
	default:
		if len(rest) > 0 {
			return iso7816.SWWrongData
		}
		key.Exponent = bytes.Clone(value)
	}
	if key.open() != nil {
		return iso7816.SWWrongData
	}
	c.eeprom.AARSA, c.eeprom.AAKey = &key, nil
	return iso7816.SWSuccess
}

// putTrust takes the current date and the trust points of terminal
// authentication, the most recent first.
func (c *Chip) putTrust(data []byte) iso7816.StatusWord {
	obj, err := tlv.ReadOne(data, tlv.Tag(perso.PutTrust))
	if err != nil {
		return iso7816.SWWrongData
	}
	objects, err := tlv.ReadAll(obj.Value)
	if err != nil || len(objects) < 2 || objects[0].Tag != perso.TagDate {
		return iso7816.SWWrongData
	}
	next := memory{Date: bytes.Clone(objects[0].Value)}
	for _, o := range objects[1:] {
		if o.Tag != perso.TagCertificate {
			return iso7816.SWWrongData
		}
		certificate, err := cvc.Parse(tlv.Encode(perso.TagCertificate, o.Value))
		if err != nil {
			return iso7816.SWWrongData
		}
		if _, err := cvc.NewPoint(certificate); err != nil {
			return iso7816.SWWrongData
		}
		next.TrustPoints = append(next.TrustPoints, certificate.Raw)
	}
	if _, err := next.store(); err != nil {
		return iso7816.SWWrongData
	}
	c.eeprom.TrustPoints, c.eeprom.Date = next.TrustPoints, next.Date
	return iso7816.SWSuccess
}

func (c *Chip) putHabits(data []byte) iso7816.StatusWord {
	obj, err := tlv.ReadOne(data, tlv.Tag(perso.PutHabits))
	if err != nil {
		return iso7816.SWWrongData
	}
	names, err := tlv.ReadAll(obj.Value)
	if err != nil || len(names) > maxHabits {
		return iso7816.SWWrongData
	}
	habits := slices.Clone(c.eeprom.Habits)
	for _, n := range names {
		if n.Tag != perso.TagName {
			return iso7816.SWWrongData
		}
		h, err := HabitByName(string(n.Value))
		if err != nil {
			return iso7816.SWFunctionNotSupported
		}
		if !slices.Contains(habits, string(h)) {
			habits = append(habits, string(h))
		}
	}
	if len(habits) > maxHabits {
		return iso7816.SWNotEnoughMemory
	}
	c.eeprom.Habits = habits
	return iso7816.SWSuccess
}

// complete ends the writing. What is missing can no more be added, except by
// beginning anew.
func (c *Chip) complete(data []byte) iso7816.StatusWord {
	if len(data) > 0 {
		return iso7816.SWWrongLength
	}
	if c.eeprom.finished() != nil {
		return iso7816.SWConditionsNotSatisfied
	}
	c.eeprom.Complete = true
	return iso7816.SWSuccess
}

// lock ends the personalisation for ever. A chip that could not be opened or
// read afterwards is not locked.
func (c *Chip) lock(data []byte) iso7816.Response {
	if len(data) > 0 {
		return answer(iso7816.SWWrongLength)
	}
	if c.eeprom.finished() != nil {
		return answer(iso7816.SWConditionsNotSatisfied)
	}
	c.eeprom.LifeCycle, c.eeprom.Complete = Locked, true
	c.file, c.chain = nil, nil
	c.writes++
	return answer(iso7816.SWSuccess)
}

// writable tells whether files can be made and filled.
func (c *Chip) writable() bool {
	return c.eeprom.LifeCycle == Personalising && !c.eeprom.Complete
}

// createFile makes an empty file: 63 L size fid, with a size of two octets, or
// three for files past 64 KiB.
func (c *Chip) createFile(cmd iso7816.Command) iso7816.Response {
	switch {
	case !c.writable():
		return answer(iso7816.SWConditionsNotSatisfied)
	case cmd.P1 != 0 || cmd.P2 != 0:
		return answer(iso7816.SWWrongP1P2)
	}
	obj, err := tlv.ReadOne(cmd.Data, tagCreate)
	if err != nil || len(obj.Value) != 4 && len(obj.Value) != 5 {
		return answer(iso7816.SWWrongData)
	}
	split := len(obj.Value) - 2
	fid := binary.BigEndian.Uint16(obj.Value[split:])
	size := int(binary.BigEndian.Uint32(append(make([]byte, 4-split), obj.Value[:split]...)))
	file, ok := fileByID(fid, !c.application)
	if !ok || !creatable(file) || size == 0 {
		return answer(iso7816.SWWrongData)
	}
	total := size
	for _, e := range c.eeprom.Files {
		if e.File == file {
			return answer(iso7816.SWFileExists)
		}
		total += len(e.Content)
	}
	if total > maxMemory || len(c.eeprom.Files) == maxFiles {
		return answer(iso7816.SWNotEnoughMemory)
	}
	made := &elementary{File: file, Content: make([]byte, size)}
	c.eeprom.Files = append(c.eeprom.Files, made)
	c.file = made
	c.writes++
	return answer(iso7816.SWSuccess)
}

const tagCreate tlv.Tag = 0x63

func fileByID(fid uint16, inMaster bool) (lds.File, bool) {
	for _, f := range lds.Files() {
		if f.ID() == fid && f.InMasterFile() == inMaster {
			return f, true
		}
	}
	return 0, false
}

func (c *Chip) updateBinary(cmd iso7816.Command) iso7816.Response {
	file, offset, sw := c.addressed(cmd)
	if sw != iso7816.SWSuccess {
		return answer(sw)
	}
	return answer(c.write(file, offset, cmd.Data))
}

func (c *Chip) updateBinaryOdd(cmd iso7816.Command) iso7816.Response {
	file, offset, rest, sw := c.addressedOdd(cmd)
	if sw != iso7816.SWSuccess {
		return answer(sw)
	}
	data, err := tlv.ReadOne(rest, tagData)
	if err != nil {
		return answer(iso7816.SWWrongData)
	}
	return answer(c.write(file, offset, data.Value))
}

func (c *Chip) write(file *elementary, offset int, data []byte) iso7816.StatusWord {
	switch {
	case !c.writable() || !creatable(file.File):
		return iso7816.SWConditionsNotSatisfied
	case len(data) == 0:
		return iso7816.SWWrongLength
	case offset > len(file.Content) || len(data) > len(file.Content)-offset:
		return iso7816.SWWrongOffset
	}
	copy(file.Content[offset:], data)
	if end := offset + len(data); offset <= file.Written && end > file.Written {
		file.Written = end
	}
	c.writes++
	return iso7816.SWSuccess
}
