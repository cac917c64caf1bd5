package inspect_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"chipid/card/biometric"
	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/inspect"
)

// signer is a document signer and the root that appointed it, both made as a
// test wants them.
type signer struct {
	root, ds       *cert.Certificate
	rootKey, dsKey crypto.Signer
}

// appointment says how.
type appointment struct {
	rootKey, dsKey   crypto.Signer // nil: on P-256
	rootName         string
	scheme           cert.Scheme // of the root's signatures
	rootEnds, dsEnds time.Time   // zero: in ten years
	named            bool        // curves by name, not spelled out
	keyID            []byte      // of the issuer, as it is claimed; nil: the issuer's
}

func appoint(t testing.TB, a appointment) signer {
	t.Helper()
	s := signer{rootKey: a.rootKey, dsKey: a.dsKey}
	if s.rootKey == nil {
		s.rootKey = key(t, 12)
	}
	if s.dsKey == nil {
		s.dsKey = key(t, 12)
	}
	if a.rootName == "" {
		a.rootName = "Root"
	}
	s.root = certify(t, a, a.rootName, a.rootEnds, s.rootKey, nil, s.rootKey, asAuthority()...)
	s.ds = certify(t, a, "Signer", a.dsEnds, s.dsKey, s.root, s.rootKey, cert.KeyUsageExtension(cert.KeyUsageDigitalSignature))
	return s
}

func asAuthority() []cert.Extension {
	return []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageCertSign | cert.KeyUsageCRLSign), cert.BasicConstraints(0)}
}

// certify makes one certificate; a nil issuer makes it self-signed.
func certify(t testing.TB, a appointment, common string, ends time.Time, subject crypto.Signer, issuer *cert.Certificate, by crypto.Signer, more ...cert.Extension) *cert.Certificate {
	t.Helper()
	name, err := cert.NewName(cert.A(cert.OIDCountry, "UT"), cert.A(cert.OIDOrganization, "Specimen State"), cert.A(cert.OIDCommonName, common))
	if err != nil {
		t.Fatal(err)
	}
	if ends.IsZero() {
		ends = now.AddDate(10, 0, 0)
	}
	id, err := cert.KeyIdentifier(subject.Public())
	if err != nil {
		t.Fatal(err)
	}
	issuerID, err := cert.KeyIdentifier(by.Public())
	if err != nil {
		t.Fatal(err)
	}
	if a.keyID != nil {
		issuerID = a.keyID
	}
	der, err := cert.Create(rand.Reader, cert.Template{
		Subject: name, NotBefore: now.AddDate(-5, 0, 0), NotAfter: ends, Scheme: a.scheme, NamedCurve: a.named,
		Extensions: append(more, cert.SubjectKeyIdentifier(id), cert.AuthorityKeyIdentifier(issuerID)),
	}, issuer, subject.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func anchored(t testing.TB, roots ...*cert.Certificate) *trust.Store {
	t.Helper()
	store := trust.New()
	for _, r := range roots {
		if err := store.AddAnchor(r); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

var rsaKeys struct {
	sync.Once
	root, ds *rsa.PrivateKey
}

func rsaKey(t testing.TB) (root, ds *rsa.PrivateKey) {
	t.Helper()
	rsaKeys.Do(func() {
		var err error
		if rsaKeys.root, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			rsaKeys.ds, err = rsa.GenerateKey(rand.Reader, 2048)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return rsaKeys.root, rsaKeys.ds
}

// paper is a document that an issuer of the field could have made.
type paper struct {
	doc     *lds.Document
	secrets perso.Secrets
	store   *trust.Store
	unfit   bool // its DG14 does not fit the chip's keys
}

// signed has the document of Utopia signed by s, after a change.
func signed(t testing.TB, s signer, o passiveauth.Options, change func(*lds.Document)) paper {
	t.Helper()
	_, utopia := states(t)
	doc := clone(utopia.doc)
	if change != nil {
		change(doc)
	}
	if o.SigningTime.IsZero() {
		o.SigningTime = now.AddDate(-1, 0, 0)
	}
	sod, err := passiveauth.Issue(rand.Reader, doc, s.ds, s.dsKey, o)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, sod)
	return paper{doc: doc, secrets: utopia.secrets, store: anchored(t, s.root)}
}

// signedBy signs as cms.Sign does, with options that Issue does not have.
func signedBy(t testing.TB, s signer, hash crypto.Hash, o cms.SignOptions) paper {
	t.Helper()
	_, utopia := states(t)
	doc := clone(utopia.doc)
	object, err := passiveauth.NewSecurityObject(doc, hash)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	o.Certificate, o.Signer = s.ds, s.dsKey
	message, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, o)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, lds.EncodeSOD(message))
	return paper{doc: doc, secrets: utopia.secrets, store: anchored(t, s.root)}
}

// withDG14 gives the document another DG14 and signs it.
func withDG14(t testing.TB, dg14 []byte, keys ...perso.ChipKey) paper {
	t.Helper()
	p := signed(t, appoint(t, appointment{}), passiveauth.Options{}, func(doc *lds.Document) { doc.Set(lds.DG14, dg14) })
	p.secrets.ChipAuthentication, p.secrets.KeyID, p.secrets.Keys = nil, nil, keys
	return p
}

// chipAuthentication is a DG14 with the offers of PACE of Utopia and these.
func chipAuthentication(t testing.TB, infos []lds.ChipAuthenticationInfo, keys ...lds.ChipAuthenticationPublicKeyInfo) []byte {
	t.Helper()
	_, utopia := states(t)
	access, err := lds.DecodeCardAccess(must(utopia.doc.Get(lds.EFCardAccess)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := lds.EncodeDG14(lds.SecurityInfos{PACE: access.PACE, ChipAuthentication: infos, ChipAuthenticationPublicKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func caInfo(c iso7816.Cipher, id *big.Int) lds.ChipAuthenticationInfo {
	return lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.ECDH, c), Version: 1, KeyID: id}
}

// chipKey is a public key as DG14 has it, after a change of its octets.
func chipKey(t testing.TB, k *curve.PrivateKey, id *big.Int, change func([]byte) []byte) lds.ChipAuthenticationPublicKeyInfo {
	t.Helper()
	info, err := lds.NewChipAuthenticationPublicKeyInfo(k.PublicKey(), id)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		info.SubjectPublicKeyInfo = change(info.SubjectPublicKeyInfo)
	}
	return info
}

// subjectKey writes a SubjectPublicKeyInfo for a key on a curve.
func subjectKey(parameters, point []byte) []byte {
	ecPublicKey := []byte{0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01}
	return tlv.Encode(0x30, tlv.Encode(0x30, ecPublicKey, parameters), tlv.Encode(0x03, append([]byte{0}, point...)))
}

// document is a row: what an issuer did, and what has to come of it.
type document struct {
	complaint int
	name      string
	build     func(t testing.TB) paper
	want      outcome
	then      func(t testing.TB, e *inspect.Evidence, r *inspect.Report)
}

func documents() []document {
	return []document{
		{complaint: 5, name: "RSA-PSS throughout", want: genuine, build: func(t testing.TB) paper {
			root, ds := rsaKey(t)
			return signed(t, appoint(t, appointment{rootKey: root, dsKey: ds, scheme: cert.RSAPSSWithSHA256}), passiveauth.Options{Scheme: cert.RSAPSSWithSHA384, Hash: crypto.SHA384}, nil)
		}},
		{complaint: 5, name: "certificate by RSA-PSS, EF.SOD by PKCS #1", want: genuine, build: func(t testing.TB) paper {
			root, ds := rsaKey(t)
			return signed(t, appoint(t, appointment{rootKey: root, dsKey: ds, scheme: cert.RSAPSSWithSHA256}), passiveauth.Options{Scheme: cert.RSAPKCS1WithSHA256}, nil)
		}},
		{complaint: 5, name: "certificate by PKCS #1, EF.SOD by RSA-PSS", want: genuine, build: func(t testing.TB) paper {
			root, ds := rsaKey(t)
			return signed(t, appoint(t, appointment{rootKey: root, dsKey: ds, scheme: cert.RSAPKCS1WithSHA512}), passiveauth.Options{Scheme: cert.RSAPSSWithSHA512, Hash: crypto.SHA512}, nil)
		}},
		{complaint: 5, name: "an RSA root over an ECDSA signer", want: genuine, build: func(t testing.TB) paper {
			root, _ := rsaKey(t)
			return signed(t, appoint(t, appointment{rootKey: root, scheme: cert.RSAPKCS1WithSHA256}), passiveauth.Options{}, nil)
		}},
		{complaint: 5, name: "data groups hashed by SHA-1", want: genuine, build: func(t testing.TB) paper {
			return signedBy(t, appoint(t, appointment{}), crypto.SHA1, cms.SignOptions{})
		}},
		{complaint: 5, name: "SHA-224 throughout", want: genuine, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{}), passiveauth.Options{Hash: crypto.SHA224, Scheme: cert.ECDSAWithSHA224}, nil)
		}},
		{complaint: 5, name: "data groups and signature by different hashes", want: genuine, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{}), passiveauth.Options{Hash: crypto.SHA512, Scheme: cert.ECDSAWithSHA256}, nil)
		}},
		{complaint: 5, name: "no signing time, signer by key identifier", want: genuine, build: func(t testing.TB) paper {
			return signedBy(t, appoint(t, appointment{}), crypto.SHA256, cms.SignOptions{BySubjectKeyID: true})
		}},
		{complaint: 5, name: "security object of version 1", want: genuine, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{}), passiveauth.Options{LDSVersion: "0108", UnicodeVersion: "040000"}, nil)
		}},

		{complaint: 6, name: "no anchor", want: outcome{verdict: inspect.Undetermined, check: "trust", code: "no_trust_anchor"}, build: func(t testing.TB) paper {
			p := signed(t, appoint(t, appointment{}), passiveauth.Options{}, nil)
			p.store = trust.New()
			return p
		}},
		{complaint: 6, name: "anchor expired", want: outcome{verdict: inspect.Rejected, check: "trust", code: "signer_expired"}, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{rootEnds: now.AddDate(0, -1, 0)}), passiveauth.Options{}, nil)
		}},
		{complaint: 6, name: "signer expired", want: outcome{verdict: inspect.Rejected, check: "trust", code: "signer_expired"}, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{dsEnds: now.AddDate(0, -1, 0)}), passiveauth.Options{}, nil)
		}},
		{complaint: 6, name: "root of a later generation, by a link certificate", want: genuine, build: func(t testing.TB) paper {
			earlier := appoint(t, appointment{rootName: "Root 1"})
			later := appoint(t, appointment{rootName: "Root 2"})
			p := signed(t, later, passiveauth.Options{}, nil)
			p.store = anchored(t, earlier.root)
			link := certify(t, appointment{}, "Root 2", time.Time{}, later.rootKey, earlier.root, earlier.rootKey, asAuthority()...)
			if err := p.store.AddAnchor(link); err != nil { // a link counts where it leads to an anchor
				t.Fatal(err)
			}
			return p
		}},
		{complaint: 6, name: "two roots of one name with different keys", want: genuine, build: func(t testing.TB) paper {
			other, ours := appoint(t, appointment{}), appoint(t, appointment{})
			p := signed(t, ours, passiveauth.Options{}, nil)
			p.store = anchored(t, other.root, ours.root)
			return p
		}},
		// It may be a root of the state that the store has not heard of.
		{complaint: 6, name: "the root's name with another key", want: outcome{verdict: inspect.Undetermined, check: "trust", code: "no_trust_anchor"}, build: func(t testing.TB) paper {
			real, other := appoint(t, appointment{}), appoint(t, appointment{})
			p := signed(t, other, passiveauth.Options{}, nil)
			p.store = anchored(t, real.root)
			return p
		}},
		{complaint: 6, name: "the root's name and key identifier with another key", want: outcome{verdict: inspect.Rejected, check: "trust", code: "forged_signer"}, build: func(t testing.TB) paper {
			real := appoint(t, appointment{})
			forger := appoint(t, appointment{keyID: real.root.SubjectKeyID})
			p := signed(t, forger, passiveauth.Options{}, nil)
			p.store = anchored(t, real.root)
			return p
		}},

		{complaint: 7, name: "brainpool, spelled out", want: genuine, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{rootKey: key(t, 17), dsKey: key(t, 16), scheme: cert.ECDSAWithSHA512}), passiveauth.Options{Hash: crypto.SHA384, Scheme: cert.ECDSAWithSHA384}, nil)
		}},
		{complaint: 7, name: "brainpool, by name", want: genuine, build: func(t testing.TB) paper {
			return signed(t, appoint(t, appointment{rootKey: key(t, 13), dsKey: key(t, 14), named: true}), passiveauth.Options{}, nil)
		}},
		{complaint: 7, name: "several offers, one key, no identifiers", want: genuine, build: func(t testing.TB) paper {
			k := key(t, 13)
			return withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.TripleDES, nil), caInfo(iso7816.AES256, nil)}, chipKey(t, k, nil, nil)), perso.ChipKey{Private: k})
		}},
		{complaint: 7, name: "two keys, identifiers of two octets", want: genuine, build: func(t testing.TB) paper {
			a, b := key(t, 13), key(t, 12)
			ia, ib := big.NewInt(1000), big.NewInt(1001)
			return withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.TripleDES, ia), caInfo(iso7816.AES128, ib)}, chipKey(t, a, ia, nil), chipKey(t, b, ib, nil)),
				perso.ChipKey{Private: a, ID: ia}, perso.ChipKey{Private: b, ID: ib})
		}},
		{complaint: 7, name: "a key spelled out", want: genuine, build: func(t testing.TB) paper {
			k := key(t, 13)
			spelled := chipKey(t, k, nil, func([]byte) []byte {
				return subjectKey(k.Curve().ExplicitParameters(), k.PublicKey().Point.Bytes())
			})
			return withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.AES128, nil)}, spelled), perso.ChipKey{Private: k})
		}},
		// brainpoolP256r1 by its name, and a point of P-256: no key at all.
		{complaint: 7, name: "one curve's name, another's point", want: outcome{verdict: inspect.Undetermined, check: "chipAuthentication", code: "unsupported"}, build: func(t testing.TB) paper {
			k := key(t, 12)
			name := tlv.Encode(0x06, []byte{0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07})
			wrong := chipKey(t, k, nil, func([]byte) []byte { return subjectKey(name, k.PublicKey().Point.Bytes()) })
			return unusable(withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.AES128, nil)}, wrong)), t)
		}},
		// P-256 spelled out but for its generator: whoever chose that knows a
		// private key to any public one (CVE-2020-0601).
		{complaint: 7, name: "P-256 with another generator", want: outcome{verdict: inspect.Undetermined, check: "chipAuthentication", code: "unsupported"}, build: func(t testing.TB) paper {
			k := key(t, 12)
			parameters := k.Curve().ExplicitParameters()
			generator := k.Curve().Generator().Bytes()
			parameters = bytes.Replace(parameters, generator, k.PublicKey().Point.Bytes(), 1)
			wrong := chipKey(t, k, nil, func([]byte) []byte { return subjectKey(parameters, k.PublicKey().Point.Bytes()) })
			return unusable(withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.AES128, nil)}, wrong)), t)
		}},
		// Doc 9303-11 §9.2 and TR-03111 §3.2.1 want points whole.
		{complaint: 7, name: "a compressed point", want: outcome{verdict: inspect.Undetermined, check: "chipAuthentication", code: "unsupported"}, build: func(t testing.TB) paper {
			k := key(t, 13)
			point := k.PublicKey().Point.Bytes()
			half := 1 + (len(point)-1)/2
			compressed := append([]byte{0x02 | point[len(point)-1]&1}, point[1:half]...)
			info := chipKey(t, k, nil, func([]byte) []byte { return subjectKey(k.Curve().ExplicitParameters(), compressed) })
			return unusable(withDG14(t, chipAuthentication(t, []lds.ChipAuthenticationInfo{caInfo(iso7816.AES128, nil)}, info)), t)
		}},

		{complaint: 8, name: "JPEG 2000 in its file format", want: genuine, build: picture("colour.jp2", nil), then: shows("JPEG 2000", "colour.jp2")},
		{complaint: 8, name: "JPEG 2000 as a raw codestream", want: genuine, build: picture("grey.j2k", nil), then: shows("JPEG 2000", "grey.j2k")},
		{complaint: 8, name: "JPEG 2000 under the data type of JPEG", want: genuine, build: picture("grey.j2k", func(record []byte) {
			record[14+20+1] = 0 // ISO/IEC 19794-5 §5.7.2
		}), then: shows("JPEG 2000", "grey.j2k")},
		{complaint: 8, name: "a record that claims to be longer", want: genuine, build: picture("grey.j2k", func(record []byte) { record[9] = 0x7F }), then: shows("JPEG 2000", "grey.j2k")},
		{complaint: 8, name: "a face that claims to be longer", want: genuine, build: picture("grey.j2k", func(record []byte) { record[15] = 0x7F }), then: shows("JPEG 2000", "grey.j2k")},
		// What cannot be shown is told; the signature over it holds all the same.
		{complaint: 10, name: "65535 faces", want: genuine, build: picture("grey.j2k", func(record []byte) { record[12], record[13] = 0xFF, 0xFF }),
			then: func(t testing.TB, _ *inspect.Evidence, r *inspect.Report) {
				if len(r.Document.Problems) != 1 || r.Document.Photo != nil {
					t.Errorf("photo %+v, problems %v", r.Document.Photo, r.Document.Problems)
				}
			}},

		{complaint: 9, name: "DG11 and DG12 with empty fields, dates in BCD and tags that nobody knows", want: genuine, build: func(t testing.TB) paper {
			details := func(f lds.File, tags []byte, fields ...[]byte) []byte {
				return tlv.Encode(tlv.Tag(f.Tag()), append([][]byte{tlv.Encode(0x5C, tags)}, fields...)...)
			}
			return signed(t, appoint(t, appointment{}), passiveauth.Options{}, func(doc *lds.Document) {
				doc.Set(lds.DG11, details(lds.DG11, []byte{0x5F, 0x0E, 0x5F, 0x2B, 0x5F, 0x11, 0x5F, 0x42, 0x5F, 0x7A},
					tlv.Encode(0x5F0E, []byte("ERIKSSON<<ANNA<MARIA")), tlv.Encode(0x5F2B, []byte{0x19, 0x74, 0x08, 0x12}), tlv.Encode(0x5F11), tlv.Encode(0x5F42),
					tlv.Encode(0x5F7A, []byte("a state's own"))))
				doc.Set(lds.DG12, details(lds.DG12, []byte{0x5F, 0x19, 0x5F, 0x26, 0x5F, 0x7B}, tlv.Encode(0x5F19), tlv.Encode(0x5F26, []byte{0x20, 0x25, 0x01, 0x02}), tlv.Encode(0x5F7B, []byte{1, 2, 3})))
			})
		}, then: func(t testing.TB, _ *inspect.Evidence, r *inspect.Report) {
			holder := r.Document.Holder
			if len(r.Document.Problems) > 0 || holder == nil || holder.DateOfBirth != "1974-08-12" || holder.DateOfIssue != "2025-01-02" || holder.FullName == "" {
				t.Errorf("holder %+v, problems %v", holder, r.Document.Problems)
			}
		}},
	}
}

const pictures = "../../card/biometric/jpeg2000/testdata/"

// picture is a document with another portrait, in a face record with a fault.
func picture(name string, spoil func(record []byte)) func(testing.TB) paper {
	return func(t testing.TB) paper {
		raw, err := os.ReadFile(pictures + name)
		if err != nil {
			t.Fatal(err)
		}
		face, err := biometric.NewFace(raw)
		if err != nil {
			t.Fatal(err)
		}
		dg2, err := lds.EncodeDG2(face)
		if err != nil {
			t.Fatal(err)
		}
		if spoil != nil {
			spoil(dg2[bytes.Index(dg2, []byte("FAC\x00")):])
		}
		return signed(t, appoint(t, appointment{}), passiveauth.Options{}, func(doc *lds.Document) { doc.Set(lds.DG2, dg2) })
	}
}

// shows tells that the portrait in the report is the picture.
func shows(format, name string) func(testing.TB, *inspect.Evidence, *inspect.Report) {
	return func(t testing.TB, e *inspect.Evidence, r *inspect.Report) {
		want, err := os.ReadFile(pictures + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := inspect.Portrait(e.Document())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the picture has %d octets of %d: %v", len(got), len(want), err)
		}
		if p := r.Document.Photo; p == nil || p.Format != format || p.Width == 0 || len(r.Document.Problems) > 0 {
			t.Errorf("photo %+v, problems %v", p, r.Document.Problems)
		}
	}
}

// unusable is a document with a key of chip authentication that is none, and
// without the proof that would make up for it.
func unusable(p paper, t testing.TB) paper {
	doc := clone(p.doc)
	doc.Delete(lds.DG15)
	listAll(t, doc)
	s := appoint(t, appointment{})
	sod, err := passiveauth.Issue(rand.Reader, doc, s.ds, s.dsKey, passiveauth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, sod)
	p.doc, p.store, p.secrets.ActiveAuthentication, p.unfit = doc, anchored(t, s.root), nil, true
	return p
}

// unfitCard is card for a document that personalisation refuses, since its DG14
// does not fit the chip's keys.
func unfitCard(t testing.TB, doc *lds.Document, secrets perso.Secrets, _ ...chip.Habit) *chip.Chip {
	t.Helper()
	rest := clone(doc)
	dg14 := must(doc.Get(lds.DG14))
	rest.Delete(lds.DG14)
	secrets.ChipAuthentication, secrets.KeyID = nil, nil
	steps, err := perso.Script(rest, secrets, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	id, size := []byte{0x01, 0x0E}, []byte{byte(len(dg14) >> 8), byte(len(dg14))}
	file := []perso.Step{
		{Command: iso7816.Command{INS: perso.InsCreateFile, Data: tlv.Encode(0x63, size, id)}},
		{Command: iso7816.Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: id}},
	}
	const chunk = 200
	for at := 0; at < len(dg14); at += chunk {
		file = append(file, perso.Step{Command: iso7816.Command{
			INS: perso.InsUpdateBinary, P1: byte(at >> 8), P2: byte(at), Data: dg14[at:min(at+chunk, len(dg14))],
		}})
	}
	at := slices.IndexFunc(steps, func(s perso.Step) bool { return s.Name == "CREATE FILE "+lds.DG2.String() })
	if at < 0 {
		t.Fatal("the script makes no DG2")
	}
	c, err := chip.New(chip.Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Personalise(context.Background(), reader.NewChipTransport(c), slices.Insert(steps, at, file...), nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestQuirkyDocuments: what issuers of the field did is read and judged as it
// deserves.
func TestQuirkyDocuments(t *testing.T) {
	for _, d := range documents() {
		t.Run(d.name, func(t *testing.T) {
			p := d.build(t)
			put := card
			if p.unfit {
				put = unfitCard
			}
			c := put(t, p.doc, p.secrets)
			e := roundTrip(t, read(t, reader.NewChipTransport(c), zone(p.secrets)))
			r := inspect.Check(e, p.store, now)
			wantVerdict(t, r, d.want.verdict)
			for _, check := range r.Checks.All() {
				switch {
				case check.Name == d.want.check:
					if check.Code != d.want.code {
						t.Errorf("%s is %s, want %s: %s %s", check.Name, check.Code, d.want.code, check.Reason, check.Detail)
					}
				case d.want.verdict == inspect.Genuine && check.Status != inspect.Passed && check.Status != inspect.NotOffered && check.Name != "revocation":
					t.Errorf("%s is %s: %s %s", check.Name, check.Status, check.Reason, check.Detail)
				}
			}
			for _, f := range p.doc.Files() {
				if built, _ := p.doc.Get(f); !bytes.Equal(e.Files[f.String()], built) {
					t.Errorf("%s was not read as it was built", f)
				}
			}
			if d.then != nil {
				d.then(t, e, r)
			}
		})
	}
}
