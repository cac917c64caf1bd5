package chip_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/curve"
)

func put(object uint16, data []byte) iso7816.Command {
	return iso7816.Command{INS: perso.InsPutData, P1: byte(object >> 8), P2: byte(object), Data: data}
}

// begun is a chip that has taken the MRZ password and nothing else.
func begun(t *testing.T) *chip.Chip {
	t.Helper()
	c := blank(t, chip.Options{})
	sendHex(t, c, selectApplication)
	if got := sendHex(t, c, "00da006220621e5f1f093230333031323334355f18063033303431355f1906323830343135"); got != "9000" {
		t.Fatal(got)
	}
	return c
}

// What a chip does not understand leaves it as it was.
func TestPersonalisationRefusals(t *testing.T) {
	ec := func(change func(map[tlv.Tag][]byte)) []byte {
		on := curve.P256()
		p := on.Params()
		values := map[tlv.Tag][]byte{
			perso.TagPrime: p.P.Bytes(), perso.TagA: p.A.Bytes(), perso.TagB: p.B.Bytes(), perso.TagGenerator: on.Generator().Bytes(),
			perso.TagOrder: p.N.Bytes(), perso.TagScalar: {0x07}, perso.TagCofactor: {0x01},
		}
		change(values)
		var out []byte
		for tag := perso.TagPrime; tag <= perso.TagKeyID; tag++ {
			if v, ok := values[tag]; ok {
				out = append(out, tlv.Encode(tag, v)...)
			}
		}
		return out
	}
	same := func(map[tlv.Tag][]byte) {}
	set := func(tag tlv.Tag, v []byte) func(map[tlv.Tag][]byte) {
		return func(m map[tlv.Tag][]byte) { m[tag] = v }
	}
	key := testRSA()
	modulus := func(parts ...[]byte) []byte { return slices.Concat(append([][]byte{{0x60, 0x00}}, parts...)...) }
	octets := func(b []byte) []byte { return tlv.Encode(perso.TagOctets, b) }
	exponent := key.D.Bytes()

	for name, test := range map[string]struct {
		cmd  iso7816.Command
		want iso7816.StatusWord
	}{
		"a right EC key":               {put(perso.PutCAKey, ec(same)), 0x9000},
		"a right EC key with an id":    {put(perso.PutCAKey, ec(set(perso.TagKeyID, []byte{1}))), 0x9000},
		"an EC key without an id":      {put(perso.PutCAKey, ec(set(perso.TagKeyID, nil))), 0x6A80},
		"another prime":                {put(perso.PutCAKey, ec(set(perso.TagPrime, []byte{0x17}))), 0x6A80},
		"another generator":            {put(perso.PutCAKey, ec(set(perso.TagGenerator, curve.P224().Generator().Bytes()))), 0x6A80},
		"another cofactor":             {put(perso.PutCAKey, ec(set(perso.TagCofactor, []byte{4}))), 0x6A80},
		"no order":                     {put(perso.PutCAKey, ec(func(m map[tlv.Tag][]byte) { delete(m, perso.TagOrder) })), 0x6A80},
		"a scalar of zero":             {put(perso.PutCAKey, ec(set(perso.TagScalar, []byte{0}))), 0x6A80},
		"no scalar":                    {put(perso.PutCAKey, ec(func(m map[tlv.Tag][]byte) { delete(m, perso.TagScalar) })), 0x6A80},
		"a scalar of the order":        {put(perso.PutCAKey, ec(set(perso.TagScalar, curve.P256().Params().N.Bytes()))), 0x6A80},
		"a scalar of a kilobyte":       {put(perso.PutCAKey, ec(set(perso.TagScalar, bytes.Repeat([]byte{1}, 1000)))), 0x6A80},
		"a hash where none belongs":    {put(perso.PutCAKey, ec(set(perso.TagHash, []byte{3}))), 0x6A80},
		"an object twice":              {put(perso.PutCAKey, append(ec(same), 0x87, 0x01, 0x01)), 0x6A80},
		"an object nobody knows":       {put(perso.PutCAKey, append(ec(same), 0x8A, 0x01, 0x01)), 0x6A80},
		"no objects":                   {put(perso.PutCAKey, []byte{0x81}), 0x6A80},
		"a right AA key":               {put(perso.PutAAKey, ec(set(perso.TagHash, []byte{5}))), 0x9000},
		"an AA key without hash":       {put(perso.PutAAKey, ec(same)), 0x9000},
		"a hash that there is not":     {put(perso.PutAAKey, ec(set(perso.TagHash, []byte{6}))), 0x6A80},
		"a hash of two octets":         {put(perso.PutAAKey, ec(set(perso.TagHash, []byte{0, 3}))), 0x6A80},
		"an AA key with an id":         {put(perso.PutAAKey, ec(set(perso.TagKeyID, []byte{1}))), 0x6A80},
		"a modulus":                    {put(perso.PutModulus, modulus(octets(key.N.Bytes()))), 0x9000},
		"a modulus with a leading 0":   {put(perso.PutModulus, modulus(octets(append([]byte{0}, key.N.Bytes()...)))), 0x9000},
		"a modulus inside":             {put(perso.PutModulus, tlv.Encode(0x60, octets(key.N.Bytes()))), 0x9000},
		"a modulus with a hash":        {put(perso.PutModulus, modulus(octets(key.N.Bytes()), []byte{0x88, 1, 4})), 0x9000},
		"a modulus with a wrong hash":  {put(perso.PutModulus, modulus(octets(key.N.Bytes()), []byte{0x88, 1, 9})), 0x6A80},
		"a modulus with more":          {put(perso.PutModulus, modulus(octets(key.N.Bytes()), []byte{0x04, 0})), 0x6A80},
		"an empty modulus":             {put(perso.PutModulus, modulus(octets(nil))), 0x6A80},
		"a modulus of zeros":           {put(perso.PutModulus, modulus(octets(make([]byte, 128)))), 0x6A80},
		"a modulus of a kilobyte":      {put(perso.PutModulus, modulus(octets(bytes.Repeat([]byte{0xFF}, 1024)))), 0x6A80},
		"a modulus under another name": {put(perso.PutModulus, append([]byte{0x61, 0x00}, octets(key.N.Bytes())...)), 0x6A80},
		"an exponent with a hash":      {put(perso.PutExponent, slices.Concat([]byte{0x61, 0x00}, octets(exponent), []byte{0x88, 1, 3})), 0x6A80},
		"a CAN":                        {put(perso.PutPasswords, unhex(t, "6509660702303132333435")), 0x9000},
		"a CAN of five digits":         {put(perso.PutPasswords, unhex(t, "65086606023031323334")), 0x6A80},
		"a CAN of letters":             {put(perso.PutPasswords, unhex(t, "6509660702414243444546")), 0x6A80},
		"a PIN":                        {put(perso.PutPasswords, unhex(t, "6509660703303132333435")), 0x9000},
		"a PIN of three digits":        {put(perso.PutPasswords, unhex(t, "6506660403303132")), 0x6A80},
		"a PIN of control characters":  {put(perso.PutPasswords, unhex(t, "6507660503303100ff")), 0x6A80},
		"a PUK of seven digits":        {put(perso.PutPasswords, unhex(t, "650a66080430313233343536")), 0x6A80},
		"a CAN and a PUK":              {put(perso.PutPasswords, unhex(t, "6514660702303132333435"+"6609043031323334353637")), 0x9000},
		"a CAN and half a PUK":         {put(perso.PutPasswords, unhex(t, "650d660702303132333435"+"66020430")), 0x6A80},
		"a password nobody knows":      {put(perso.PutPasswords, unhex(t, "6509660705303132333435")), 0x6A88},
		"no password":                  {put(perso.PutPasswords, unhex(t, "6500")), 0x6A80},
		"a habit nobody has":           {put(perso.PutHabits, unhex(t, "6a040c02686f")), 0x6A81},
		"a habit of another type":      {put(perso.PutHabits, unhex(t, "6a040402686f")), 0x6A80},
		"an object nobody puts":        {put(0x0064, []byte{0x7F, 0x21, 0x00}), 0x6A88},
		"locking too early":            {put(perso.PutLock, nil), 0x6985},
		"completing too early":         {put(perso.PutComplete, nil), 0x6985},
		"locking with data":            {put(perso.PutLock, []byte{1}), 0x6700},
		"a file":                       {iso7816.Command{INS: 0xE0, Data: unhex(t, "630400100101")}, 0x9000},
		"a file of no octets":          {iso7816.Command{INS: 0xE0, Data: unhex(t, "630400000101")}, 0x6A80},
		"a file nobody knows":          {iso7816.Command{INS: 0xE0, Data: unhex(t, "630400100199")}, 0x6A80},
		"a file of the master file":    {iso7816.Command{INS: 0xE0, Data: unhex(t, "630400102f01")}, 0x6A80},
		"a file of 16 MB":              {iso7816.Command{INS: 0xE0, Data: unhex(t, "6305ffffff0101")}, 0x6A84},
		"a file with P1":               {iso7816.Command{INS: 0xE0, P1: 1, Data: unhex(t, "630400100101")}, 0x6A86},
		"UPDATE BINARY of no file":     {iso7816.Command{INS: 0xD6, Data: []byte{1}}, 0x6986},
		"an MRZ of two fields":         {put(perso.PutMRZ, unhex(t, "62155f1f093230333031323334355f1806303330343135")), 0x6A80},
		"an MRZ with a bad date":       {put(perso.PutMRZ, unhex(t, "621e5f1f093230333031323334355f18063033303431415f1906323830343135")), 0x6A80},
		"an MRZ with a long number":    {put(perso.PutMRZ, unhex(t, "622e5f1f19"+hex.EncodeToString(bytes.Repeat([]byte("1"), 25))+"5f18063033303431355f1906323830343135")), 0x6A80},
	} {
		c := begun(t)
		before := c.State()
		r := send(t, c, test.cmd)
		if r.SW != test.want {
			t.Errorf("%s: %v, want %04X", name, r.SW, uint16(test.want))
		}
		if test.want != iso7816.SWSuccess && !bytes.Equal(c.State(), before) {
			t.Errorf("%s: refused, and the chip changed", name)
		}
		if _, err := chip.Load(c.State(), seeded("again")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Modulus and exponent have to belong together.
	c := begun(t)
	send(t, c, put(perso.PutModulus, modulus(octets(key.N.Bytes()))))
	wrong := bytes.Clone(exponent)
	wrong[len(wrong)-1] ^= 2
	if r := send(t, c, put(perso.PutExponent, append([]byte{0x61, 0x00}, octets(wrong)...))); r.SW != iso7816.SWWrongData {
		t.Errorf("an exponent of another key: %v", r.SW)
	}
	if r := send(t, c, put(perso.PutExponent, append([]byte{0x61, 0x00}, octets(exponent)...))); r.SW != iso7816.SWSuccess {
		t.Errorf("the right exponent after it: %v", r.SW)
	}
	small, err := rsa.GenerateKey(seeded("small"), 1024)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, put(perso.PutModulus, modulus(octets(small.N.Bytes())))); r.SW != iso7816.SWSuccess {
		t.Errorf("another modulus begins another key: %v", r.SW)
	}
	if got := fmt.Sprint(sendHex(t, c, "00dadeaf00")); got != "6985" {
		t.Errorf("half a key is complete: %s", got)
	}
}

// The keys are the application's: none is taken in the master file.
func TestKeysOutsideTheApplication(t *testing.T) {
	c := blank(t, chip.Options{})
	if got := sendHex(t, c, "00da006220621e5f1f093230333031323334355f18063033303431355f1906323830343135"); got != "6985" || c.LifeCycle() != chip.Blank {
		t.Errorf("PUT DATA before SELECT: %s, %v", got, c.LifeCycle())
	}
}

// The number of keys and the memory are bounded.
func TestBounds(t *testing.T) {
	c := begun(t)
	key := func(id byte) []byte {
		on := curve.P256()
		p := on.Params()
		return slices.Concat(tlv.Encode(perso.TagPrime, p.P.Bytes()), tlv.Encode(perso.TagA, p.A.Bytes()), tlv.Encode(perso.TagB, p.B.Bytes()),
			tlv.Encode(perso.TagGenerator, on.Generator().Bytes()), tlv.Encode(perso.TagOrder, p.N.Bytes()), tlv.Encode(perso.TagScalar, []byte{9}),
			tlv.Encode(perso.TagCofactor, []byte{1}), tlv.Encode(perso.TagKeyID, []byte{id}))
	}
	for id := range byte(4) {
		for range 2 { // the same identifier again replaces the key
			if r := send(t, c, put(perso.PutCAKey, key(id))); r.SW != iso7816.SWSuccess {
				t.Fatalf("key %d: %v", id, r.SW)
			}
		}
	}
	if r := send(t, c, put(perso.PutCAKey, key(4))); r.SW != iso7816.SWNotEnoughMemory {
		t.Errorf("a fifth key: %v", r.SW)
	}
	for fid, size := range map[string]string{"0101": "040000", "0102": "040000"} {
		if r := send(t, c, iso7816.Command{INS: 0xE0, Data: unhex(t, "6305"+size+fid)}); r.SW != iso7816.SWSuccess {
			t.Errorf("a file of 256 KiB: %v", r.SW)
		}
	}
	if r := send(t, c, iso7816.Command{INS: 0xE0, Data: unhex(t, "630400010103")}); r.SW != iso7816.SWNotEnoughMemory {
		t.Errorf("a file beyond the memory: %v", r.SW)
	}
	if r := send(t, c, iso7816.Command{INS: 0xE0, Data: unhex(t, "630400010102")}); r.SW != iso7816.SWFileExists {
		t.Errorf("a file that is there: %v", r.SW)
	}
	if _, err := chip.Load(c.State(), seeded("full")); err != nil {
		t.Errorf("a full chip cannot be loaded: %v", err)
	}
	// A chain that never ends is cut.
	link := iso7816.Command{CLA: 0x10, INS: perso.InsPutData, P2: 0x63, Data: make([]byte, 30_000)}
	var last iso7816.StatusWord
	for range 10 {
		if last = send(t, c, link).SW; last != iso7816.SWSuccess {
			break
		}
	}
	if last != iso7816.SWWrongLength {
		t.Errorf("a chain of 300 kB: %v", last)
	}
	send(t, c, link)
	if r := send(t, c, put(perso.PutAAKey, nil)); r.SW != 0x6883 {
		t.Errorf("a chain broken by another command: %v", r.SW)
	}
}
