package chip_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"testing"

	"chipid/card/chip"
	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
)

func paceInfo(k lds.KeyAgreement, m lds.Mapping, c iso7816.Cipher, id int) lds.PACEInfo {
	return lds.PACEInfo{Protocol: lds.OIDPACE(k, m, c), Version: 2, ParameterID: id, HasParameterID: true}
}

// access makes an EF.CardAccess.
func access(t testing.TB, infos ...lds.PACEInfo) []byte {
	t.Helper()
	raw, err := lds.SecurityInfos{PACE: infos}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func curveKey(t testing.TB, id int) *curve.PrivateKey {
	t.Helper()
	c, ok := curve.ByDomainParameterID(id)
	if !ok {
		t.Fatalf("no curve %d", id)
	}
	k, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open runs one offer of the chip's EF.CardAccess and selects the application.
func open(t testing.TB, c *chip.Chip, offer pace.Offer, pw pace.Password) (*terminal, *pace.Terminal) {
	t.Helper()
	c.Reset()
	run, err := pace.NewTerminal(offer, pw, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, c, run.SetATCommand()); r.SW != iso7816.SWSuccess {
		t.Fatalf("%s: MSE:Set AT: %v", offer.Name(), r.SW)
	}
	next := run.Begin()
	for done := false; !done; {
		r := fetch(t, c, send(t, c, run.Command(next)))
		if r.SW != iso7816.SWSuccess {
			t.Fatalf("%s: %v", offer.Name(), r.SW)
		}
		if next, done, err = run.Continue(r.Data); err != nil {
			t.Fatal(err)
		}
	}
	tm := newTerminal(t, c, run.Keys())
	if r := tm.send(iso7816.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: lds.EMRTDApplication()}); r.SW != iso7816.SWSuccess {
		t.Fatalf("%s: select the application: %v", offer.Name(), r.SW)
	}
	return tm, run
}

// One chip that offers every mapping over several parameters, each taken by its
// name and number, CAM with its proof.
func TestEveryPACE(t *testing.T) {
	infos := []lds.PACEInfo{
		paceInfo(lds.ECDH, lds.GenericMapping, iso7816.TripleDES, 8),
		paceInfo(lds.ECDH, lds.GenericMapping, iso7816.AES256, 17),
		paceInfo(lds.ECDH, lds.GenericMapping, iso7816.AES256, 13),
		paceInfo(lds.ECDH, lds.IntegratedMapping, iso7816.AES192, 13),
		paceInfo(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12),
		paceInfo(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 16),
		paceInfo(lds.DH, lds.GenericMapping, iso7816.AES128, 0),
		paceInfo(lds.DH, lds.GenericMapping, iso7816.AES128, 2),
		paceInfo(lds.DH, lds.IntegratedMapping, iso7816.TripleDES, 1),
	}
	doc, secrets := document(t, wants{access: access(t, infos...)})
	secrets.Keys = []perso.ChipKey{{Private: curveKey(t, 12), ID: big.NewInt(12)}, {Private: curveKey(t, 16), ID: big.NewInt(16)}}
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	// The state that goes to disk and back is the same chip.
	state := c.State()
	c, err := chip.Load(state, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dg1, _ := doc.Get(lds.DG1)
	offers := pace.Offers(lds.SecurityInfos{PACE: infos})
	for _, offer := range offers {
		for _, pw := range []pace.Password{canPassword(t, can), mrzPassword(t)} {
			tm, p := open(t, c, offer, pw)
			if got := tm.readShort(lds.DG1, len(dg1)); !bytes.Equal(got, dg1) {
				t.Errorf("%s over %d: DG1 differs", offer.Name(), offer.Info.ParameterID)
			}
			tr, proves := p.Transcript()
			if proves != (offer.Info.Mapping() == lds.ChipAuthenticationMapping) {
				t.Errorf("%s: a proof: %v", offer.Name(), proves)
			}
			if !proves {
				continue
			}
			var security lds.SecurityInfos
			for _, k := range secrets.Keys {
				info, err := lds.NewChipAuthenticationPublicKeyInfo(k.Private.Public().(*curve.PublicKey), k.ID)
				if err != nil {
					t.Fatal(err)
				}
				security.ChipAuthenticationPublicKeys = append(security.ChipAuthenticationPublicKeys, info)
			}
			if err := pace.VerifyTranscript(tr, security); err != nil {
				t.Errorf("%s over %d: %v", offer.Name(), offer.Info.ParameterID, err)
			}
		}
	}
	// A set of parameters that the chip does not offer for the protocol.
	absent := offers[0]
	absent.Info.ParameterID = 12
	r, err := pace.NewTerminal(absent, canPassword(t, can), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Reset()
	if got := send(t, c, r.SetATCommand()); got.SW == iso7816.SWSuccess {
		t.Error("the chip takes parameters that it does not offer")
	}
}

// A chip with keys of both kinds proves each by its number.
func TestChipAuthenticationOfBothKinds(t *testing.T) {
	g, ok := dh.ByDomainParameterID(2)
	if !ok {
		t.Fatal("no group 2")
	}
	modp, err := dh.GenerateKey(g, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first, second := curveKey(t, 13), curveKey(t, 15)
	doc, secrets := document(t, wants{})
	secrets.Keys = []perso.ChipKey{{Private: first, ID: big.NewInt(1)}, {Private: modp, ID: big.NewInt(2)}, {Private: second, ID: big.NewInt(3)}}
	var infos lds.SecurityInfos
	for n, k := range secrets.Keys {
		agreement, ciphers := lds.ECDH, []iso7816.Cipher{iso7816.AES128}
		if n == 1 {
			agreement, ciphers = lds.DH, []iso7816.Cipher{iso7816.AES256, iso7816.TripleDES}
			infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, lds.NewDHChipAuthenticationPublicKeyInfo(modp.PublicKey(), k.ID))
		} else {
			info, err := lds.NewChipAuthenticationPublicKeyInfo(k.Private.Public().(*curve.PublicKey), k.ID)
			if err != nil {
				t.Fatal(err)
			}
			infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, info)
		}
		for _, cipher := range ciphers {
			infos.ChipAuthentication = append(infos.ChipAuthentication, lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(agreement, cipher), Version: 1, KeyID: k.ID})
		}
	}
	dg14, err := lds.EncodeDG14(infos)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.DG14, dg14)
	encoded, err := secrets.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err = perso.UnmarshalSecrets(encoded); err != nil {
		t.Fatal(err)
	}
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	if c, err = chip.Load(c.State(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	dg1, _ := doc.Get(lds.DG1)
	offers := eac.Offers(infos)
	if len(offers) != 4 {
		t.Fatalf("%d offers", len(offers))
	}
	for _, o := range offers {
		c.Reset()
		tm := openBAC(t, c)
		ca, err := eac.NewTerminal(o.Info, o.Key, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, cmd := range ca.Commands() {
			if r := tm.send(cmd); r.SW != iso7816.SWSuccess {
				t.Fatalf("%s: %v", o.Info.Name(), r.SW)
			}
		}
		tm = newTerminal(t, c, ca.Keys())
		if got := tm.readShort(lds.DG1, len(dg1)); !bytes.Equal(got, dg1) {
			t.Errorf("%s: DG1 differs", o.Info.Name())
		}
	}
}

// inspectors are a state's authorities of terminal authentication.
type inspectors struct {
	root       *cvc.Certificate
	credential termauth.Credential
}

func newInspectors(t testing.TB, rights byte, rsaKeys bool) inspectors {
	t.Helper()
	scheme := cvc.ECDSASHA256
	key := func() crypto.Signer {
		if rsaKeys {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		return curveKey(t, 13)
	}
	if rsaKeys {
		scheme = cvc.RSAPSSSHA256
	}
	names := []cvc.Reference{"VNCVCA00001", "VNCVCA00002", "VNDV00001", "VNTERM00001"}
	keys := []crypto.Signer{key(), key(), key(), key()}
	issue := func(by, to int, role cvc.Role, rights byte, from int) *cvc.Certificate {
		c, err := cvc.Issue(rand.Reader, cvc.Template{
			CAR: names[by], CHR: names[to], Key: cvc.Key{Scheme: scheme, Public: keys[to].Public()}, Authorization: cvc.NewAuthorization(role, rights),
			Effective: cvc.Date{Year: 2026, Month: from, Day: 1}, Expiry: cvc.Date{Year: 2027, Month: 1, Day: 1},
		}, keys[by], scheme)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return inspectors{issue(0, 0, cvc.CVCA, cvc.AllRights, 1), termauth.Credential{
		Name: names[3], Signer: keys[3], Certificates: []*cvc.Certificate{
			issue(0, 1, cvc.CVCA, cvc.AllRights, 5), issue(1, 2, cvc.DomesticVerifier, cvc.AllRights, 6), issue(2, 3, cvc.Terminal, rights, 7),
		},
	}}
}

// protected is a chip with fingerprints and irises behind terminal
// authentication.
func protected(t testing.TB, i inspectors) (*chip.Chip, *lds.Document) {
	t.Helper()
	doc, secrets := document(t, wants{caCipher: iso7816.AES128, access: access(t,
		paceInfo(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13), paceInfo(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13))})
	secrets.Keys = []perso.ChipKey{{Private: curveKey(t, 13), ID: big.NewInt(13)}}
	secrets.TrustPoints, secrets.Date = []*cvc.Certificate{i.root}, cvc.Date{Year: 2026, Month: 1, Day: 15}
	dg3, _ := doc.Get(lds.DG3)
	doc.Set(lds.DG4, append([]byte{0x76}, dg3[1:]...))
	cvca, err := lds.EncodeCVCA(lds.CVCA{References: []string{string(i.root.CHR)}})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFCVCA, cvca)
	encoded, err := secrets.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err = perso.UnmarshalSecrets(encoded); err != nil {
		t.Fatal(err)
	}
	c := blank(t, chip.Options{})
	run(t, c, doc, secrets)
	c.Reset()
	return c, doc
}

// prove runs chip authentication over a channel.
func prove(t testing.TB, c *chip.Chip, tm *terminal, doc *lds.Document) (*terminal, []byte) {
	t.Helper()
	raw, _ := doc.Get(lds.DG14)
	infos, err := lds.DecodeDG14(raw)
	if err != nil {
		t.Fatal(err)
	}
	offer := eac.Offers(infos)[0]
	run, err := eac.NewTerminal(offer.Info, offer.Key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range run.Commands() {
		if r := tm.send(cmd); r.SW != iso7816.SWSuccess {
			t.Fatalf("INS %02X: %v", cmd.INS, r.SW)
		}
	}
	return newTerminal(t, c, run.Keys()), run.Compressed()
}

// authenticate runs terminal authentication and gives the status word that
// ended it.
func authenticate(t testing.TB, tm *terminal, credential termauth.Credential, id, compressed []byte) iso7816.StatusWord {
	t.Helper()
	cvca, err := lds.DecodeCVCA(tm.readShort(lds.EFCVCA, 36))
	if err != nil {
		t.Fatal(err)
	}
	var points []cvc.Reference
	for _, r := range cvca.References {
		points = append(points, cvc.Reference(r))
	}
	commands, err := credential.Present(points)
	if err != nil {
		t.Fatal(err)
	}
	var challenge []byte
	for _, cmd := range commands {
		r := tm.send(cmd)
		if r.SW != iso7816.SWSuccess {
			return r.SW
		}
		challenge = r.Data
	}
	answer, err := credential.Answer(rand.Reader, points, id, challenge, compressed)
	if err != nil {
		t.Fatal(err)
	}
	return tm.send(answer).SW
}

// reads tells which of DG3 and DG4 the chip gives.
func reads(t testing.TB, tm *terminal) string {
	t.Helper()
	out := ""
	for _, f := range []lds.File{lds.DG3, lds.DG4} {
		if tm.send(selectCommand(f)).SW == iso7816.SWSuccess {
			out += f.String()
		}
	}
	return out
}

func TestTerminalAuthentication(t *testing.T) {
	for _, rsaKeys := range []bool{false, true} {
		for _, tt := range []struct {
			rights byte
			want   string
		}{{cvc.ReadFingerprints, "DG3"}, {cvc.ReadIrises, "DG4"}, {cvc.AllRights, "DG3DG4"}, {0, ""}} {
			if rsaKeys && tt.rights != cvc.AllRights {
				continue // RSA keys take their time
			}
			t.Run(fmt.Sprintf("rsa %v, rights %02X", rsaKeys, tt.rights), func(t *testing.T) {
				i := newInspectors(t, tt.rights, rsaKeys)
				c, doc := protected(t, i)
				writes := c.Writes()

				// After BAC and chip authentication.
				tm, compressed := prove(t, c, openBAC(t, c), doc)
				if got := reads(t, tm); got != "" {
					t.Errorf("before, the chip gives %s", got)
				}
				id := termauth.BACIdentifier(person.DocumentNumber)
				if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
					t.Fatalf("after BAC: %v", sw)
				}
				if got := reads(t, tm); got != tt.want {
					t.Errorf("the chip gives %q, want %q", got, tt.want)
				}
				if tt.rights&cvc.ReadFingerprints != 0 {
					dg3, _ := doc.Get(lds.DG3)
					if got := tm.readShort(lds.DG3, len(dg3)); !bytes.Equal(got, dg3) {
						t.Error("DG3 differs")
					}
				}
				// One terminal a session.
				if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSecurityStatus {
					t.Errorf("once more: %v", sw)
				}
				// The link has moved the trust points on, for ever.
				if c.Writes() == writes {
					t.Error("a new trust point is not written")
				}
				again, err := chip.Load(c.State(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				c = again
				tm, compressed = prove(t, c, openBAC(t, c), doc)
				cvca, err := lds.DecodeCVCA(tm.readShort(lds.EFCVCA, 36))
				if err != nil || len(cvca.References) != 2 || cvca.References[0] != "VNCVCA00002" {
					t.Errorf("EF.CVCA says %v, %v", cvca, err)
				}
				if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
					t.Errorf("after the link: %v", sw)
				}

				// After PACE-CAM, whose key counts as chip authentication's.
				infos, err := lds.DecodeCardAccess(func() []byte { raw, _ := doc.Get(lds.EFCardAccess); return raw }())
				if err != nil {
					t.Fatal(err)
				}
				for _, offer := range pace.Offers(infos) {
					tm, p := open(t, c, offer, canPassword(t, can))
					id, compressed := p.Compressed()
					want := iso7816.SWSuccess
					if offer.Info.Mapping() != lds.ChipAuthenticationMapping {
						want = iso7816.SWSecurityStatus
					}
					if sw := authenticate(t, tm, i.credential, id, compressed); sw != want {
						t.Errorf("after %s: %v", offer.Name(), sw)
					}
					if want == iso7816.SWSuccess {
						continue
					}
					// Chip authentication on top of it makes up for that.
					tm, compressed = prove(t, c, tm, doc)
					if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
						t.Errorf("after %s and chip authentication: %v", offer.Name(), sw)
					}
				}
			})
		}
	}
}

// Rights end with the channel, and nobody else's certificates, names or keys
// give any.
func TestTerminalAuthenticationRefuses(t *testing.T) {
	i, strangers := newInspectors(t, cvc.AllRights, false), newInspectors(t, cvc.AllRights, false)
	c, doc := protected(t, i)
	id := termauth.BACIdentifier(person.DocumentNumber)
	fresh := func() (*terminal, []byte) {
		c.Reset()
		return prove(t, c, openBAC(t, c), doc)
	}
	writes := c.Writes()
	tm, compressed := fresh()
	if sw := authenticate(t, tm, strangers.credential, id, compressed); sw != iso7816.SWAuthenticationFailed {
		t.Errorf("another state's terminal: %v", sw)
	}
	if c.Writes() != writes {
		t.Error("a stranger has changed the chip")
	}
	stolen := i.credential
	stolen.Signer = strangers.credential.Signer
	tm, compressed = fresh()
	if sw := authenticate(t, tm, stolen, id, compressed); sw != iso7816.SWAuthenticationFailed {
		t.Errorf("certificates without their key: %v", sw)
	}
	tm, compressed = fresh()
	if sw := authenticate(t, tm, i.credential, termauth.BACIdentifier("203012346"), compressed); sw != iso7816.SWAuthenticationFailed {
		t.Errorf("meant for another card: %v", sw)
	}
	tm, _ = fresh()
	if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWAuthenticationFailed {
		t.Errorf("meant for another channel: %v", sw)
	}
	if got := reads(t, tm); got != "" {
		t.Errorf("after all that the chip gives %s", got)
	}
	// BAC alone does not prove the chip.
	c.Reset()
	tm = openBAC(t, c)
	if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSecurityStatus {
		t.Errorf("without chip authentication: %v", sw)
	}
	tm, compressed = fresh()
	if sw := authenticate(t, tm, i.credential, id, compressed); sw != iso7816.SWSuccess {
		t.Fatal(sw)
	}
	if got := reads(t, tm); got != "DG3DG4" {
		t.Errorf("the chip gives %s", got)
	}
	// Chip authentication anew is a new channel, without rights.
	tm, _ = prove(t, c, tm, doc)
	if got := reads(t, tm); got != "" {
		t.Errorf("over a new channel the chip gives %s", got)
	}
	// And in plain there is no terminal authentication at all.
	sendHex(t, c, selectApplication)
	for _, cmd := range []iso7816.Command{
		{INS: 0x22, P1: 0x81, P2: 0xB6, Data: []byte{0x83, 1, 'A'}}, {INS: 0x22, P1: 0x81, P2: 0xA4, Data: []byte{0x83, 1, 'A'}}, {INS: 0x2A, P2: 0xBE, Data: []byte{1}},
	} {
		if r := send(t, c, cmd); r.SW != iso7816.SWSecurityStatus {
			t.Errorf("INS %02X in plain: %v", cmd.INS, r.SW)
		}
	}
	// A chip without trust points knows none of it.
	other, otherDoc, _ := personalised(t, wants{caCipher: iso7816.AES128})
	tm, _ = prove(t, other, openBAC(t, other), otherDoc)
	if r := tm.send(iso7816.Command{INS: 0x22, P1: 0x81, P2: 0xB6, Data: []byte{0x83, 1, 'A'}}); r.SW != iso7816.SWSecurityStatus {
		t.Errorf("a chip without trust points: %v", r.SW)
	}
}
