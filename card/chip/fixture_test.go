package chip_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"sync"
	"testing"

	"chipid/card/bac"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
)

// seeded is randomness that is the same in every run.
func seeded(name string) io.Reader { return mrand.NewChaCha8(sha256.Sum256([]byte(name))) }

// cccdCardAccess is what five reader apps have seen on Vietnamese cards: TA,
// CA-ECDH-AES-CBC-CMAC-128, PACE-ECDH-GM-AES-CBC-CMAC-128 on brainpoolP256r1.
const cccdCardAccess = "3134300d060804007f0007020202020101300f060a04007f000702020302020201013012060a04007f0007020204020202010202010d"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// an invented person's card
var person = mrz.Info{
	Format: mrz.TD1, DocumentCode: "ID", IssuingState: "VNM", DocumentNumber: "203012345",
	Optional: "001203012345", DateOfBirth: "030415", Sex: "F", DateOfExpiry: "280415", Nationality: "VNM",
	Name: mrz.Name{Primary: "NGUYEN", Secondary: "THI MAI"},
}

const can = "012345"

type wants struct {
	caCipher iso7816.Cipher // zero: no chip authentication
	keyID    *big.Int
	aa       crypto.Signer
	access   []byte // EF.CardAccess; nil: the CCCD's
	photo    int    // octets of DG2, 0: 2000
	habits   []string
}

// document makes files and secrets that belong together. What the chip does
// not look into is not made well: its DG2 and SOD are noise in a template.
func document(t testing.TB, w wants) (*lds.Document, perso.Secrets) {
	t.Helper()
	noise := seeded("files")
	template := func(f lds.File, n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(noise, b); err != nil {
			t.Fatal(err)
		}
		return tlv.Encode(tlv.Tag(f.Tag()), b)
	}
	doc := new(lds.Document)
	dg1, err := lds.EncodeDG1(person)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG1, dg1)
	if w.photo == 0 {
		w.photo = 2000
	}
	doc.Set(lds.DG2, template(lds.DG2, w.photo))
	doc.Set(lds.DG3, template(lds.DG3, 300))
	doc.Set(lds.DG13, template(lds.DG13, 400))
	doc.Set(lds.EFCOM, template(lds.EFCOM, 20))
	doc.Set(lds.EFSOD, template(lds.EFSOD, 1500))
	if w.access == nil {
		w.access = unhex(t, cccdCardAccess)
	}
	doc.Set(lds.EFCardAccess, w.access)

	secrets := perso.Secrets{
		DocumentNumber: person.DocumentNumber, DateOfBirth: person.DateOfBirth, DateOfExpiry: person.DateOfExpiry,
		CAN: can, Habits: w.habits, ActiveAuthentication: w.aa, KeyID: w.keyID,
	}
	var infos lds.SecurityInfos
	if access, err := lds.DecodeCardAccess(w.access); err == nil {
		infos.PACE = access.PACE
	}
	if w.caCipher != 0 {
		key, err := curve.GenerateKey(curve.BrainpoolP256r1(), seeded("CA key"))
		if err != nil {
			t.Fatal(err)
		}
		secrets.ChipAuthentication = key
		infos.ChipAuthentication = []lds.ChipAuthenticationInfo{{
			Protocol: lds.OIDChipAuthentication(lds.ECDH, w.caCipher), Version: 1, KeyID: w.keyID,
		}}
		infos.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{{
			Protocol: lds.OIDChipPublicKey(lds.ECDH), SubjectPublicKeyInfo: publicKeyInfo(t, key.PublicKey()), KeyID: w.keyID,
		}}
	}
	if _, ok := w.aa.(*curve.PrivateKey); ok {
		info, err := lds.NewActiveAuthenticationInfo(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		infos.ActiveAuthentication = []lds.ActiveAuthenticationInfo{info}
	}
	if w.aa != nil {
		dg15, err := lds.EncodeDG15(w.aa.Public())
		if err != nil {
			t.Fatal(err)
		}
		doc.Set(lds.DG15, dg15)
	}
	dg14, err := lds.EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG14, dg14)
	return doc, secrets
}

func publicKeyInfo(t testing.TB, pub *curve.PublicKey) []byte {
	t.Helper()
	der, err := cert.MarshalPublicKey(pub, true)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// testRSA is made once: it takes long.
var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(seeded("RSA"), 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func blank(t testing.TB, o chip.Options) *chip.Chip {
	t.Helper()
	if o.Rand == nil {
		o.Rand = seeded("chip")
	}
	c, err := chip.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// personalised gives a locked chip, through its commands and nothing else.
func personalised(t testing.TB, w wants) (*chip.Chip, *lds.Document, perso.Secrets) {
	t.Helper()
	doc, secrets := document(t, w)
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	c.Reset()
	return c, doc, secrets
}

func run(t testing.TB, c *chip.Chip, doc *lds.Document, secrets perso.Secrets) {
	t.Helper()
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if r := send(t, c, s.Command); r.SW != iso7816.SWSuccess {
			t.Fatalf("%s: %v", s.Name, r.SW)
		}
	}
}

// send transmits a command in plain.
func send(t testing.TB, c *chip.Chip, cmd iso7816.Command) iso7816.Response {
	t.Helper()
	raw, err := cmd.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	r, err := iso7816.ParseResponse(c.Process(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sendHex transmits a command written as in a manual and gives the answer so.
func sendHex(t testing.TB, c *chip.Chip, command string) string {
	t.Helper()
	return hex.EncodeToString(c.Process(unhex(t, command)))
}

// terminal is the other end of a channel.
type terminal struct {
	t       testing.TB
	chip    *chip.Chip
	channel *iso7816.SecureMessaging
}

const (
	selectApplication = "00a4040c07a0000002471001"
	selectMaster      = "00a4000c023f00"
)

func openBAC(t testing.TB, c *chip.Chip) *terminal {
	t.Helper()
	if got := sendHex(t, c, selectApplication); got != "9000" {
		t.Fatalf("SELECT application: %s", got)
	}
	seed, err := bac.Seed(person.DocumentNumber, person.DateOfBirth, person.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	run := bac.NewTerminal(seed, seeded("terminal"))
	challenge := send(t, c, bac.GetChallenge())
	data, err := run.Authenticate(challenge.Data)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := run.Finish(send(t, c, bac.ExternalAuthenticate(data)).Data)
	if err != nil {
		t.Fatal(err)
	}
	return newTerminal(t, c, keys)
}

func newTerminal(t testing.TB, c *chip.Chip, keys iso7816.SessionKeys) *terminal {
	t.Helper()
	channel, err := iso7816.NewSecureMessaging(keys)
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{t, c, channel}
}

// send transmits a command inside secure messaging and fetches a response that
// comes in parts.
func (tm *terminal) send(cmd iso7816.Command) iso7816.Response {
	tm.t.Helper()
	wrapped, err := tm.channel.WrapCommand(cmd)
	if err != nil {
		tm.t.Fatal(err)
	}
	r := fetch(tm.t, tm.chip, send(tm.t, tm.chip, wrapped))
	out, err := tm.channel.UnwrapResponse(r)
	if err != nil {
		tm.t.Fatalf("INS %02X answered %v: %v", cmd.INS, r.SW, err)
	}
	return out
}

// fetch completes a response with GET RESPONSE.
func fetch(t testing.TB, c *chip.Chip, r iso7816.Response) iso7816.Response {
	t.Helper()
	for r.SW>>8 == 0x61 {
		ne := int(r.SW & 0xFF)
		if ne == 0 {
			ne = 256
		}
		next := send(t, c, iso7816.Command{INS: 0xC0, Ne: ne})
		r = iso7816.Response{Data: append(bytes.Clone(r.Data), next.Data...), SW: next.SW}
	}
	return r
}

// readShort reads a whole file in pieces that fit short APDUs.
func (tm *terminal) readShort(f lds.File, size int) []byte {
	tm.t.Helper()
	if r := tm.send(selectCommand(f)); r.SW != iso7816.SWSuccess {
		tm.t.Fatalf("SELECT %s: %v", f, r.SW)
	}
	var out []byte
	for len(out) < size {
		n := min(size-len(out), tm.channel.MaxPlainResponse(false, 0))
		r := tm.send(iso7816.Command{INS: 0xB0, P1: byte(len(out) >> 8), P2: byte(len(out)), Ne: n})
		if r.SW != iso7816.SWSuccess || len(r.Data) != n {
			tm.t.Fatalf("READ BINARY %s at %d: %d octets, %v", f, len(out), len(r.Data), r.SW)
		}
		out = append(out, r.Data...)
	}
	return out
}

func selectCommand(f lds.File) iso7816.Command {
	return iso7816.Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: []byte{byte(f.ID() >> 8), byte(f.ID())}}
}
