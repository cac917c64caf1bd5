package inspect_test

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"chipid/card/bac"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/card/termauth"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
	"chipid/reader"
	"chipid/reader/inspect"
)

// variant changes a built document into one of another kind.
type variant struct {
	pace     []lds.PACEInfo
	explicit []lds.PACEDomainParameterInfo
	mapping  *curve.PrivateKey // for the chip authentication mapping, signed in EF.CardSecurity
	held     *curve.PrivateKey // what the chip holds in its place; nil: the same
	signer   *state            // of EF.CardSecurity; nil: the document's
	ca       []perso.ChipKey
	ciphers  []iso7816.Cipher // of the keys in ca
	files    map[lds.File][]byte
	trust    []*cvc.Certificate
}

func info(k lds.KeyAgreement, m lds.Mapping, c iso7816.Cipher, id int) lds.PACEInfo {
	return lds.PACEInfo{Protocol: lds.OIDPACE(k, m, c), Version: 2, ParameterID: id, HasParameterID: true}
}

// build makes the variant of a state's document, all of it signed.
func (v variant) build(t testing.TB, s state) (*lds.Document, perso.Secrets) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ds, signer, err := s.authority.DocumentSigner()
	must(err)
	doc := new(lds.Document)
	for _, f := range s.doc.Files() {
		raw, _ := s.doc.Get(f)
		if f != lds.DG15 {
			doc.Set(f, raw)
		}
	}
	secrets := s.secrets
	secrets.ChipAuthentication, secrets.KeyID, secrets.ActiveAuthentication, secrets.Keys = nil, nil, nil, v.ca
	infos := lds.SecurityInfos{PACE: v.pace, PACEDomainParameters: v.explicit}
	access, err := infos.Encode()
	must(err)
	doc.Set(lds.EFCardAccess, access)
	if v.mapping != nil {
		id, _ := v.mapping.Curve().DomainParameterID()
		key, err := lds.NewChipAuthenticationPublicKeyInfo(v.mapping.PublicKey(), big.NewInt(int64(id)))
		must(err)
		signed := infos
		signed.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{key}
		by, with := ds, signer
		if v.signer != nil {
			by, with, err = v.signer.authority.DocumentSigner()
			must(err)
		}
		security, err := passiveauth.IssueCardSecurity(rand.Reader, signed, by, with, now)
		must(err)
		doc.Set(lds.EFCardSecurity, security)
		held := v.mapping
		if v.held != nil {
			held = v.held
		}
		secrets.Keys = append(slices.Clone(secrets.Keys), perso.ChipKey{Private: held, ID: big.NewInt(int64(id))})
	}
	for n, k := range v.ca {
		agreement := lds.ECDH
		switch pub := k.Private.Public().(type) {
		case *curve.PublicKey:
			key, err := lds.NewChipAuthenticationPublicKeyInfo(pub, k.ID)
			must(err)
			infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, key)
		case *dh.PublicKey:
			agreement = lds.DH
			infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, lds.NewDHChipAuthenticationPublicKeyInfo(pub, k.ID))
		}
		infos.ChipAuthentication = append(infos.ChipAuthentication, lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(agreement, v.ciphers[n]), Version: 1, KeyID: k.ID})
	}
	if v.trust != nil {
		secrets.TrustPoints, secrets.Date = v.trust, cvc.DateOf(now)
		infos.TerminalAuthentication = []lds.TerminalAuthenticationInfo{{Version: 1}}
		cvca, err := lds.EncodeCVCA(lds.CVCA{References: []string{string(v.trust[0].CHR)}})
		must(err)
		doc.Set(lds.EFCVCA, cvca)
	}
	dg14, err := lds.EncodeDG14(infos)
	must(err)
	doc.Set(lds.DG14, dg14)
	for f, raw := range v.files {
		doc.Set(f, raw)
	}
	common, err := lds.NewCommon(doc.DataGroups())
	must(err)
	com, err := lds.EncodeCOM(common)
	must(err)
	doc.Set(lds.EFCOM, com)
	sod, err := passiveauth.Issue(rand.Reader, doc, ds, signer, passiveauth.Options{SigningTime: now})
	must(err)
	doc.Set(lds.EFSOD, sod)
	return doc, secrets
}

func key(t testing.TB, id int) *curve.PrivateKey {
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

func dhKey(t testing.TB, id int) *dh.PrivateKey {
	t.Helper()
	g, ok := dh.ByDomainParameterID(id)
	if !ok {
		t.Fatalf("no group %d", id)
	}
	k, err := dh.GenerateKey(g, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every kind of access and of proof, from the chip to the verdict.
func TestVariants(t *testing.T) {
	vn, _ := states(t)
	ca := func(t testing.TB) []perso.ChipKey { return []perso.ChipKey{{Private: key(t, 13)}} }
	for _, tt := range []struct {
		name         string
		v            variant
		access, chip string // the protocols that are to be used
	}{
		{"ECDH-IM", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 13)}, ca: ca(t), ciphers: []iso7816.Cipher{iso7816.AES128}}, "PACE-ECDH-IM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128"},
		{"DH-GM 0", variant{pace: []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES128, 0)}, ca: ca(t), ciphers: []iso7816.Cipher{iso7816.AES192}}, "PACE-DH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-192"},
		{"DH-GM 2", variant{pace: []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES256, 2)}, ca: []perso.ChipKey{{Private: dhKey(t, 2)}}, ciphers: []iso7816.Cipher{iso7816.AES256}}, "PACE-DH-GM-AES-CBC-CMAC-256", "CA-DH-AES-CBC-CMAC-256"},
		{"DH-IM 1", variant{pace: []lds.PACEInfo{info(lds.DH, lds.IntegratedMapping, iso7816.TripleDES, 1)}, ca: []perso.ChipKey{{Private: dhKey(t, 0)}}, ciphers: []iso7816.Cipher{iso7816.TripleDES}}, "PACE-DH-IM-3DES-CBC-CBC", "CA-DH-3DES-CBC-CBC"},
		{"CAM alone", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13), info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13)}, mapping: key(t, 13)}, "PACE-ECDH-CAM-AES-CBC-CMAC-128", "PACE-ECDH-CAM-AES-CBC-CMAC-128"},
		{"CAM on P-521", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES256, 18)}, mapping: key(t, 18)}, "PACE-ECDH-CAM-AES-CBC-CMAC-256", "PACE-ECDH-CAM-AES-CBC-CMAC-256"},
		{"CAM and CA", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}, mapping: key(t, 12), ca: ca(t), ciphers: []iso7816.Cipher{iso7816.AES256}}, "PACE-ECDH-CAM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-256"},
		{"several parameters", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13), info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 16)}, ca: ca(t), ciphers: []iso7816.Cipher{iso7816.AES128}}, "PACE-ECDH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128"},
		{"several keys", variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)}, ca: []perso.ChipKey{{Private: dhKey(t, 1), ID: big.NewInt(4)}, {Private: key(t, 17), ID: big.NewInt(5)}}, ciphers: []iso7816.Cipher{iso7816.TripleDES, iso7816.AES256}}, "PACE-ECDH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, secrets := tt.v.build(t, vn)
			e := roundTrip(t, inspected(t, reader.NewChipTransport(card(t, doc, secrets)), options(can(secrets)), vn.store(t)))
			r := inspect.Check(e, vn.store(t), now)
			if r.Verdict != inspect.Genuine {
				t.Errorf("%s: %s", r.Verdict, r.Reason("en"))
			}
			if got := r.Checks.AccessControl.Protocol; got != tt.access {
				t.Errorf("opened by %s", got)
			}
			if got := r.Checks.ChipAuthentication; got.Status != inspect.Passed || got.Protocol != tt.chip {
				t.Errorf("proved by %s: %s %s", got.Protocol, got.Status, got.Reason)
			}
			if r.Checks.AccessControl.Code != "" {
				t.Errorf("passed over: %s", r.Checks.AccessControl.Reason)
			}
		})
	}
}

// A chip for 3DES that refuses the command for it and takes those for AES.
func TestChipAuthenticationWithoutSetKAT(t *testing.T) {
	vn, _ := states(t)
	for name, k := range map[string]perso.ChipKey{"on a curve": {Private: key(t, 13)}, "modulo a prime": {Private: dhKey(t, 0)}} {
		v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}, ca: []perso.ChipKey{k}, ciphers: []iso7816.Cipher{iso7816.TripleDES}}
		doc, secrets := v.build(t, vn)
		e := read(t, reader.NewChipTransport(card(t, doc, secrets, chip.NoSetKAT)), can(secrets))
		if r := inspect.Check(e, vn.store(t), now); r.Verdict != inspect.Genuine || r.Checks.ChipAuthentication.Status != inspect.Passed {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Reason("en"))
		}
	}
}

// Clones of a chip that proves itself by PACE-CAM, and other ways around the
// proof.
func TestMappingProofCannotBeAvoided(t *testing.T) {
	vn, utopia := states(t)
	cam, gm := info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13), info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)
	genuine := key(t, 13)
	for name, tt := range map[string]struct {
		v    variant
		read func(*lds.Document)
		e    func(*inspect.Evidence)
		want inspect.Verdict
		code string

		anchors []*cert.Certificate // beside those of the document's state
	}{
		"genuine":                       {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, want: inspect.Genuine},
		"a clone with a key of its own": {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine, held: key(t, 13)}, want: inspect.Rejected, code: "clone"},
		"a file of another state":       {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine, signer: &utopia}, want: inspect.Undetermined, code: "no_trust_anchor"},
		"of another, trusted state":     {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine, signer: &utopia}, anchors: utopia.store(t).Anchors("UT"), want: inspect.Rejected, code: "wrong_state"},
		"the file taken away":           {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, read: func(d *lds.Document) { d.Delete(lds.EFCardSecurity) }, want: inspect.Rejected, code: "stripped"},
		"the transcript taken away":     {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, e: func(e *inspect.Evidence) { e.ChipMappings = nil }, want: inspect.Undetermined, code: "mapping_not_run"},
		"the proof changed":             {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, e: func(e *inspect.Evidence) { e.ChipMappings[0].Proof[5] ^= 1 }, want: inspect.Rejected, code: "clone"},
		"a second run without proof": {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, e: func(e *inspect.Evidence) {
			second := e.ChipMappings[0]
			second.Proof = make([]byte, 32)
			e.ChipMappings = append(e.ChipMappings, second)
		}, want: inspect.Rejected, code: "clone"},
		"the file changed": {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, e: func(e *inspect.Evidence) {
			raw := e.Files["EF_CardSecurity"]
			raw[len(raw)-3] ^= 1
		}, want: inspect.Rejected, code: "bad_signature"},
		"the file is noise": {v: variant{pace: []lds.PACEInfo{cam}, mapping: genuine}, e: func(e *inspect.Evidence) {
			e.Files["EF_CardSecurity"] = tlv.Encode(0x30, make([]byte, 50))
		}, want: inspect.Rejected, code: "card_security_malformed"},
		// The unsigned file hides the mapping; the signed one gives that away.
		"opened by the generic mapping": {v: variant{pace: []lds.PACEInfo{cam, gm}, mapping: genuine}, e: func(e *inspect.Evidence) {
			e.ChipMappings = nil
			e.Access.Protocol = "PACE-ECDH-GM-AES-CBC-CMAC-128"
		}, want: inspect.Undetermined, code: "mapping_not_run"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, secrets := tt.v.build(t, vn)
			if tt.read != nil {
				tt.read(doc)
			}
			e := read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets))
			if tt.e != nil {
				tt.e(e)
			}
			store := vn.store(t)
			for _, anchor := range tt.anchors {
				if err := store.AddAnchor(anchor); err != nil {
					t.Fatal(err)
				}
			}
			r := inspect.Check(e, store, now)
			if r.Verdict != tt.want || r.Checks.ChipAuthentication.Code != tt.code {
				t.Errorf("%s, %s: %s", r.Verdict, r.Checks.ChipAuthentication.Code, r.Checks.ChipAuthentication.Reason)
			}
		})
	}
}

// What this program does not speak is passed over, with the reason, and BAC
// serves.
func TestUnknownParametersArePassedOver(t *testing.T) {
	vn, _ := states(t)
	explicit := tlv.Encode(0x30, []byte{0x06, 0x03, 0x2A, 0x03, 0x04})
	oid := lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128)
	v := variant{
		pace:     []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 77), info(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 10)},
		explicit: []lds.PACEDomainParameterInfo{{Protocol: oid[:len(oid)-1], Parameters: explicit, ParameterID: 77, HasParameterID: true}},
		ca:       []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES128},
	}
	doc, secrets := v.build(t, vn)
	e := read(t, reader.NewChipTransport(card(t, doc, secrets)), zone(secrets))
	r := inspect.Check(e, vn.store(t), now)
	if r.Verdict != inspect.Genuine || r.Checks.AccessControl.Protocol != "BAC" || r.Checks.AccessControl.Code != "fallback" {
		t.Errorf("%s by %s: %s", r.Verdict, r.Checks.AccessControl.Protocol, r.Reason("en"))
	}
	if len(e.Access.Attempts) != 2 || !strings.Contains(e.Access.Attempts[1].Error, "P-224") {
		t.Errorf("passed over %v", e.Access.Attempts)
	}
	// Other parameters in the unsigned file than in the signed one.
	e.Files["EF_CardAccess"] = slices.Concat(e.Files["EF_CardAccess"])
	at := strings.Index(string(e.Files["EF_CardAccess"]), string(explicit))
	e.Files["EF_CardAccess"][at+len(explicit)-1] ^= 1
	if r := inspect.Check(e, vn.store(t), now); r.Verdict != inspect.Rejected || r.Checks.AccessControl.Code != "downgrade" {
		t.Errorf("parameters swapped: %s, %s", r.Verdict, r.Checks.AccessControl.Code)
	}
}

// inspectors makes a CVCA, a document verifier and a terminal.
func inspectors(t testing.TB, rights byte) (*cvc.Certificate, termauth.Credential) {
	t.Helper()
	return inspectorsOn(t, 12, rights)
}

func inspectorsOn(t testing.TB, curveID int, rights byte) (*cvc.Certificate, termauth.Credential) {
	t.Helper()
	keys := []*curve.PrivateKey{key(t, curveID), key(t, curveID), key(t, curveID)}
	names := []cvc.Reference{"VNCVCA00001", "VNDV00001", "VNTERM00001"}
	issue := func(by, to int, role cvc.Role, rights byte) *cvc.Certificate {
		c, err := cvc.Issue(rand.Reader, cvc.Template{
			CAR: names[by], CHR: names[to], Key: cvc.Key{Scheme: cvc.ECDSASHA256, Public: keys[to].Public()}, Authorization: cvc.NewAuthorization(role, rights),
			Effective: cvc.DateOf(now.AddDate(0, -1, 0)), Expiry: cvc.DateOf(now.AddDate(0, 1, 0)),
		}, keys[by], cvc.ECDSASHA256)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return issue(0, 0, cvc.CVCA, cvc.AllRights), termauth.Credential{
		Name: names[2], Signer: keys[2], Certificates: []*cvc.Certificate{issue(0, 1, cvc.DomesticVerifier, cvc.AllRights), issue(1, 2, cvc.Terminal, rights)},
	}
}

// Fingerprints and irises are read by a terminal that may, after every way to
// prove the chip, and by no other.
func TestTerminalAuthentication(t *testing.T) {
	vn, _ := states(t)
	root, credential := inspectors(t, cvc.AllRights)
	_, half := inspectors(t, cvc.AllRights)
	files := map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 9000)), lds.DG4: tlv.Encode(0x76, make([]byte, 400))}
	ca := []perso.ChipKey{{Private: key(t, 13)}}
	for name, tt := range map[string]struct {
		v          variant
		passwords  func(perso.Secrets) inspect.Passwords
		credential *termauth.Credential
		reads      bool
		code       string
	}{
		"PACE and CA": {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}, ca: ca, ciphers: []iso7816.Cipher{iso7816.AES128}}, can, &credential, true, ""},
		"PACE-CAM":    {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 13)}, mapping: key(t, 13)}, can, &credential, true, ""},
		"PACE and CA, both modulo a prime": {variant{pace: []lds.PACEInfo{info(lds.DH, lds.GenericMapping, iso7816.AES128, 2)}, ca: []perso.ChipKey{{Private: dhKey(t, 2)}},
			ciphers: []iso7816.Cipher{iso7816.AES128}}, can, &credential, true, ""},
		"BAC and CA":     {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 10)}, ca: ca, ciphers: []iso7816.Cipher{iso7816.TripleDES}}, zone, &credential, true, ""},
		"a stranger":     {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}, ca: ca, ciphers: []iso7816.Cipher{iso7816.AES128}}, can, &half, false, "refused"},
		"no credential":  {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}, ca: ca, ciphers: []iso7816.Cipher{iso7816.AES128}}, can, nil, false, "not_asked"},
		"no proof of CA": {variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)}}, can, &credential, false, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			v := tt.v
			v.files, v.trust = files, []*cvc.Certificate{root}
			doc, secrets := v.build(t, vn)
			o := options(tt.passwords(secrets))
			o.Terminal = tt.credential
			e := inspected(t, reader.NewChipTransport(card(t, doc, secrets)), o, vn.store(t))
			r := inspect.Check(roundTrip(t, e), vn.store(t), now)
			if r.Verdict != inspect.Genuine {
				t.Errorf("%s: %s", r.Verdict, r.Reason("en"))
			}
			for f, want := range files {
				if got, ok := e.Files[f.String()]; ok != tt.reads || ok && string(got) != string(want) {
					t.Errorf("%s read: %v", f, ok)
				}
			}
			check := r.Checks.TerminalAuthentication
			if check.Code != tt.code || (check.Status == inspect.Passed) != tt.reads {
				t.Errorf("terminal authentication %s, %s: %s", check.Status, check.Code, check.Reason)
			}
		})
	}
}

// A session without a proof does not begin terminal authentication.
func TestTerminalAuthenticationNeedsAProof(t *testing.T) {
	s := reader.NewSession(nil, reader.Options{Rand: rand.Reader})
	if _, err := s.TerminalAuthentication(context.Background(), termauth.Credential{}, ""); !errors.Is(err, reader.ErrNoChannel) {
		t.Error(err)
	}
	// A channel that the zone opened has proved nothing: nothing is asked or shown.
	_, utopia := states(t)
	line := &counting{Transport: reader.NewChipTransport(card(t, utopia.doc, utopia.secrets))}
	s = reader.NewSession(line, reader.Options{Rand: rand.Reader})
	p := zone(utopia.secrets)
	seed, err := bac.Seed(p.DocumentNumber, p.DateOfBirth, p.DateOfExpiry)
	if err == nil {
		err = s.SelectApplication(t.Context())
	}
	if err == nil {
		err = s.BAC(t.Context(), seed)
	}
	if err != nil || !s.Secured() {
		t.Fatal(err)
	}
	before := line.apdus
	if _, err := s.TerminalAuthentication(t.Context(), termauth.Credential{}, p.DocumentNumber); !errors.Is(err, reader.ErrNoChannel) || line.apdus != before {
		t.Errorf("%v after %d commands", err, line.apdus-before)
	}
}
