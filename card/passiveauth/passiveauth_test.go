package passiveauth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

var (
	now          = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	organization = asn1.ObjectIdentifier{2, 5, 4, 10}
	country      = asn1.ObjectIdentifier{2, 5, 4, 6}
)

// signer makes a self-signed certificate for a key: who signs it is not this
// package's affair.
func signer(t testing.TB, key crypto.Signer) *cert.Certificate {
	t.Helper()
	name, err := cert.NewName(cert.A(country, "UT"), cert.A(organization, "Test"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := cert.KeyIdentifier(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	der, err := cert.Create(rand.Reader, cert.Template{
		Subject: name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		Extensions: []cert.Extension{cert.SubjectKeyIdentifier(id), cert.AuthorityKeyIdentifier(id)},
	}, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ecSigner(t testing.TB, c *curve.Curve) (*cert.Certificate, crypto.Signer) {
	t.Helper()
	key, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, key), key
}

func document() *lds.Document {
	doc := new(lds.Document)
	for _, n := range []lds.File{lds.DG1, lds.DG2, lds.DG13, lds.DG14, lds.DG15} {
		doc.Set(n, []byte("content of "+n.String()))
	}
	doc.Set(lds.EFCOM, []byte("not signed"))
	return doc
}

func issued(t testing.TB, opts Options) *lds.Document {
	t.Helper()
	ds, key := ecSigner(t, curve.P256())
	doc := document()
	sod, err := Issue(rand.Reader, doc, ds, key, opts)
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, sod)
	return doc
}

func TestIssueAndVerify(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"RSA": rsaKey}
	for _, c := range []*curve.Curve{curve.P256(), curve.P384(), curve.BrainpoolP256r1(), curve.BrainpoolP512r1()} {
		if keys[c.Name()], err = curve.GenerateKey(c, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for name, key := range keys {
		ds := signer(t, key)
		for _, hash := range []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			for _, version := range []string{"", "0108"} {
				opts := Options{Hash: hash, LDSVersion: version, SigningTime: now}
				if version != "" {
					opts.UnicodeVersion = "040000"
				}
				doc := document()
				sod, err := Issue(rand.Reader, doc, ds, key, opts)
				if err != nil {
					t.Fatalf("%s %s: %v", name, hash, err)
				}
				doc.Set(lds.EFSOD, sod)
				r, err := Verify(doc)
				if err != nil || r.Err() != nil {
					t.Fatalf("%s %s: %v, %v", name, hash, err, r.Err())
				}
				if r.Object.Hash != hash || r.Object.LDSVersion != version || !r.SigningTime.Equal(now) || !bytes.Equal(r.Signer.Raw, ds.Raw) {
					t.Errorf("%s %s: %+v", name, hash, r)
				}
				if want := []DataGroup{{1, Match}, {2, Match}, {13, Match}, {14, Match}, {15, Match}}; !reflect.DeepEqual(r.DataGroups, want) {
					t.Errorf("%s %s: %v", name, hash, r.DataGroups)
				}
			}
		}
	}
}

// Each data group is reported on its own.
func TestDataGroups(t *testing.T) {
	doc := issued(t, Options{})
	doc.Set(lds.DG2, []byte("another photo"))
	doc.Delete(lds.DG13)
	doc.Set(lds.DG11, []byte("put there by somebody"))
	r, err := Verify(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := []DataGroup{{1, Match}, {2, Mismatch}, {11, NotSigned}, {13, NotRead}, {14, Match}, {15, Match}}
	if !reflect.DeepEqual(r.DataGroups, want) || r.Status(11) != NotSigned || r.Status(3) != NotRead {
		t.Errorf("%v", r.DataGroups)
	}
	if r.Signature != nil {
		t.Errorf("the signature is blamed: %v", r.Signature)
	}
	if err := r.Err(); !errors.Is(err, ErrDataGroup) || !strings.Contains(err.Error(), "DG2 was changed, DG11 is not signed") {
		t.Errorf("%v", err)
	}
	doc = issued(t, Options{})
	doc.Delete(lds.DG13)
	if r, err := Verify(doc); err != nil || r.Err() != nil {
		t.Errorf("a data group that was not read: %v, %v", err, r.Err())
	}
	// Two data groups that change places do not pass for each other.
	doc = issued(t, Options{})
	one, _ := doc.Get(lds.DG1)
	two, _ := doc.Get(lds.DG2)
	one = bytes.Clone(one)
	doc.Set(lds.DG1, two)
	doc.Set(lds.DG2, one)
	if r, err := Verify(doc); err != nil || r.Status(1) != Mismatch || r.Status(2) != Mismatch {
		t.Errorf("swapped: %v", err)
	}
}

// Whatever octet of EF.SOD changes, what passes is the same content signed with
// the same key: the rest of the certificate is for pki/trust to judge.
// The signature can be verified before the data groups are there, and the list be
// read whoever signed it; comparing afterwards comes to what Verify does at once.
func TestBeforeTheDataGroups(t *testing.T) {
	doc := issued(t, Options{})
	sod, _ := doc.Get(lds.EFSOD)
	want, err := Verify(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, err := VerifySOD(sod)
	if err != nil || before.Signature != nil || len(before.DataGroups) != 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	part := new(lds.Document)
	dg1, _ := doc.Get(lds.DG1)
	part.Set(lds.DG1, dg1)
	if r, err := before.Compare(part); err != nil || r.Status(1) != Match || r.Status(2) != NotRead {
		t.Errorf("of DG1 alone: %+v, %v", r.DataGroups, err)
	}
	if r, err := before.Compare(doc); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v, want %+v", r, err, want)
	}
	if len(before.DataGroups) != 0 {
		t.Error("comparing has changed what was compared with")
	}
	forged := bytes.Clone(sod)
	forged[len(forged)-1] ^= 1
	if r, err := VerifySOD(forged); err != nil || !errors.Is(r.Signature, ErrSigner) {
		t.Errorf("forged: %v", err)
	}
	for _, raw := range [][]byte{sod, forged} {
		if listed, err := Listed(raw); err != nil || !reflect.DeepEqual(listed, []int{1, 2, 13, 14, 15}) {
			t.Errorf("lists %v, %v", listed, err)
		}
	}
	if listed, err := Listed(sod[:len(sod)-1]); err == nil {
		t.Errorf("a cut file lists %v", listed)
	}
}

func TestEveryOctetOfSOD(t *testing.T) {
	doc := issued(t, Options{})
	sod, _ := doc.Get(lds.EFSOD)
	sod = bytes.Clone(sod)
	good, err := Verify(doc)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sod {
		changed := bytes.Clone(sod)
		changed[i] ^= 0x01
		doc.Set(lds.EFSOD, changed)
		r, err := Verify(doc)
		if err != nil || r.Err() != nil {
			continue
		}
		if !reflect.DeepEqual(r.Object, good.Object) {
			t.Errorf("octet %d: another content passes", i)
		}
		if !bytes.Equal(r.Signer.RawSPKI, good.Signer.RawSPKI) {
			t.Errorf("octet %d: another key passes", i)
		}
	}
	for _, n := range []int{0, 1, 10, len(sod) / 2, len(sod) - 1} {
		doc.Set(lds.EFSOD, sod[:n])
		if r, err := Verify(doc); err == nil && r.Err() == nil {
			t.Errorf("the first %d octets pass", n)
		}
	}
}

func TestUnsigned(t *testing.T) {
	doc := document()
	if _, err := Verify(doc); !errors.Is(err, ErrNoSOD) {
		t.Errorf("no EF.SOD: %v", err)
	}
	// A SignedData without any signer, as degenerate messages are (RFC 5652
	// §5.2), made from an issued one by leaving its signers out.
	object, err := NewSecurityObject(doc, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	unsigned := tlvSeq(
		[]byte{0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02},
		tlvOf(0xA0, tlvSeq(
			[]byte{2, 1, 3}, []byte{0x31, 0},
			tlvSeq([]byte{0x06, 6, 0x67, 0x81, 0x08, 0x01, 0x01, 0x01}, tlvOf(0xA0, tlvOf(0x04, content))),
			[]byte{0x31, 0})))
	doc.Set(lds.EFSOD, lds.EncodeSOD(unsigned))
	r, err := Verify(doc)
	if err != nil {
		t.Fatalf("not even read: %v", err)
	}
	if !errors.Is(r.Err(), ErrSigner) || !errors.Is(r.Err(), cms.ErrNoSigner) {
		t.Errorf("an unsigned EF.SOD: %v", r.Err())
	}
}

func tlvSeq(parts ...[]byte) []byte { return tlvOf(0x30, bytes.Join(parts, nil)) }

func tlvOf(tag byte, content []byte) []byte {
	out := []byte{tag}
	if n := len(content); n >= 0x80 {
		out = append(out, 0x82, byte(n>>8), byte(n))
	} else {
		out = append(out, byte(n))
	}
	return append(out, content...)
}

// What the same key signed as something else is no security object.
func TestOtherContentType(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	doc := document()
	object, err := NewSecurityObject(doc, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(rand.Reader, cms.OIDMasterList, content, cms.SignOptions{Certificate: ds, Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, lds.EncodeSOD(signed))
	if r, err := Verify(doc); err != nil || !errors.Is(r.Err(), ErrSigner) {
		t.Errorf("%v, %v", err, r.Err())
	}
}

func TestIssueRefuses(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	_, stranger := ecSigner(t, curve.P256())
	if sod, err := Issue(rand.Reader, document(), ds, stranger, Options{}); err == nil || sod != nil {
		t.Error("a key that is not the certificate's signs")
	}
	if _, err := Issue(rand.Reader, document(), ds, key, Options{Hash: crypto.SHA1}); err == nil {
		t.Error("SHA-1 is issued")
	}
	if _, err := Issue(rand.Reader, new(lds.Document), ds, key, Options{}); !errors.Is(err, ErrSecurityObject) {
		t.Errorf("an empty document: %v", err)
	}
}

// Old documents have SHA-1.
func TestVerifySHA1(t *testing.T) {
	ds, key := ecSigner(t, curve.P256())
	doc := document()
	object, err := NewSecurityObject(doc, crypto.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	content, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(rand.Reader, cms.OIDSecurityObject, content, cms.SignOptions{Certificate: ds, Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	doc.Set(lds.EFSOD, lds.EncodeSOD(signed))
	if r, err := Verify(doc); err != nil || r.Err() != nil || r.Object.Hash != crypto.SHA1 {
		t.Errorf("%v, %v", err, r.Err())
	}
}

func TestParseSecurityObjectRefuses(t *testing.T) {
	object, err := NewSecurityObject(document(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	object.LDSVersion, object.UnicodeVersion = "0108", "040000"
	good, err := object.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseSecurityObject(good); err != nil || !reflect.DeepEqual(again, object) {
		t.Fatalf("%+v, %v", again, err)
	}
	alg := []byte{0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}
	hash := func(n byte, size int) []byte {
		return tlvSeq([]byte{2, 1, n}, tlvOf(4, bytes.Repeat([]byte{n}, size)))
	}
	for what, bad := range map[string][]byte{
		"empty":            nil,
		"data behind":      append(bytes.Clone(good), 0),
		"version 2":        tlvSeq([]byte{2, 1, 2}, alg, tlvSeq(hash(1, 32), hash(2, 32))),
		"unknown hash":     tlvSeq([]byte{2, 1, 0}, []byte{0x30, 3, 6, 1, 0x2A}, tlvSeq(hash(1, 32), hash(2, 32))),
		"two of one":       tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(1, 32), hash(1, 32))),
		"data group 0":     tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(0, 32), hash(1, 32))),
		"data group 17":    tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(17, 32), hash(1, 32))),
		"short hash":       tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(1, 31), hash(2, 32))),
		"empty hash":       tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(1, 0))),
		"no hashes":        tlvSeq([]byte{2, 1, 0}, alg, tlvSeq()),
		"something behind": tlvSeq([]byte{2, 1, 0}, alg, tlvSeq(hash(1, 32)), []byte{5, 0}),
		"version too long": tlvSeq([]byte{2, 1, 1}, alg, tlvSeq(hash(1, 32)), tlvSeq(tlvOf(0x13, make([]byte, 17)), tlvOf(0x13, nil))),
	} {
		if o, err := ParseSecurityObject(bad); !errors.Is(err, ErrSecurityObject) {
			t.Errorf("%s: %+v, %v", what, o, err)
		}
	}
}

// openssl verifies what we issue.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine")
	}
	ds, key := ecSigner(t, curve.BrainpoolP256r1())
	doc := document()
	sod, err := Issue(rand.Reader, doc, ds, key, Options{LDSVersion: "0108", UnicodeVersion: "040000", SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	message, err := lds.DecodeSOD(sod)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in := write("sod.der", message)
	ca := write("ds.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ds.Raw}))
	out := filepath.Join(dir, "content.der")
	args := []string{"cms", "-verify", "-inform", "DER", "-in", in, "-CAfile", ca, "-no_check_time", "-purpose", "any", "-binary", "-out", out}
	if text, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := ParseSecurityObject(content); err != nil || len(o.Hashes) != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	// And it sees the change of one octet of the content.
	changed := bytes.Clone(message)
	h := bytes.Index(changed, content)
	changed[h+len(content)-1] ^= 1
	write("sod.der", changed)
	if text, err := exec.Command(openssl, args...).CombinedOutput(); err == nil {
		t.Errorf("openssl takes a changed EF.SOD: %s", text)
	}
}

func FuzzParseSecurityObject(f *testing.F) {
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		o, err := NewSecurityObject(document(), hash)
		if err != nil {
			f.Fatal(err)
		}
		for _, o.LDSVersion = range []string{"", "0108"} {
			der, err := o.Encode()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		o, err := ParseSecurityObject(der)
		if err != nil || len(o.Hashes) < fewestHashes {
			return
		}
		again, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if o2, err := ParseSecurityObject(again); err != nil || !reflect.DeepEqual(o, o2) {
			t.Fatalf("%X\n%+v\n%+v, %v", der, o, o2, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	doc := issued(f, Options{})
	sod, _ := doc.Get(lds.EFSOD)
	f.Add(sod)
	f.Fuzz(func(t *testing.T, sod []byte) {
		other := document()
		other.Set(lds.DG1, []byte("a forgery"))
		other.Set(lds.EFSOD, sod)
		if r, err := Verify(other); err == nil && r.Err() == nil && r.Status(1) == Match {
			t.Fatalf("%X vouches for a forgery", sod)
		}
	})
}
