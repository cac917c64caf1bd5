package trust

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/exchange"
)

// listSigner is a master list signer of a CSCA.
func listSigner(t testing.TB, issuer *ca) *ca {
	t.Helper()
	eku, err := cert.ExtKeyUsage(cert.OIDMasterListSigner)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	return &ca{issue(t, issuer, profile{key: key, subject: name(t, "UT", "Master List Signer"), extensions: []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), eku}}), key}
}

func masterList(t testing.TB, by *ca, list ...*cert.Certificate) []byte {
	t.Helper()
	content, err := exchange.MasterListContent(list)
	if err != nil {
		t.Fatal(err)
	}
	message, err := cms.Sign(rand.Reader, cms.OIDMasterList, content, cms.SignOptions{Certificate: by.Certificate, Signer: by.key, SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// folder writes files by their names.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ldifEntry(dn, attribute string, value []byte) string {
	return fmt.Sprintf("dn: %s\n%s:: %s\n\n", dn, attribute, base64.StdEncoding.EncodeToString(value))
}

func TestFolderWithLists(t *testing.T) {
	root, listed, deep, stranger := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA"), newCA(t, "YY", "CSCA"), newCA(t, "ZZ", "CSCA")
	signer := listSigner(t, root)
	list := masterList(t, signer, root.Certificate, listed.Certificate)
	// A list that the listed CSCA, not the folder, vouches for.
	second := masterList(t, listSigner(t, listed), deep.Certificate)
	unknown := masterList(t, listSigner(t, stranger), stranger.Certificate)
	ds := issue(t, listed, profile{})
	directory := []byte("version: 1\n\n" +
		ldifEntry("cn=1,o=ml,c=UT", "pkdMasterListContent", list) +
		ldifEntry("cn=2,o=ml,c=ZZ", "pkdMasterListContent", unknown) +
		ldifEntry("cn=3,o=dsc,c=XX", "userCertificate;binary", ds.Raw) +
		ldifEntry("cn=4,o=crl,c=XX", "certificateRevocationList;binary", crl(t, listed, now, 30, ds).Raw))

	for name, c := range map[string]struct {
		files    map[string][]byte
		anchors  int
		setAside int
		status   Status // of ds
	}{
		"list and root":       {map[string][]byte{"root.cer": root.Raw, "world.ml": list}, 2, 0, Trusted},
		"root after the list": {map[string][]byte{"a.ml": list, "z.cer": root.Raw}, 2, 0, Trusted},
		"directory":           {map[string][]byte{"root.cer": root.Raw, "pkd.ldif": directory}, 2, 1, Revoked},
		"no root, directory":  {map[string][]byte{"pkd.ldif": directory}, 0, 2, NoAnchor},
	} {
		s, err := Open(folder(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.AnchorCount() != c.anchors || len(s.SetAside()) != c.setAside {
			t.Errorf("%s: %d anchors, set aside %q", name, s.AnchorCount(), s.SetAside())
		}
		if path := s.Check(ds, now, Policy{}); path.Status != c.status {
			t.Errorf("%s: %v (%s)", name, path.Status, path.Reason)
		}
	}

	changed := append([]byte(nil), list...)
	changed[len(changed)-1] ^= 1
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"a list without its root":   {map[string][]byte{"world.ml": list, "other.cer": stranger.Raw}, "put the root's certificate into the folder"},
		"a list that a list allows": {map[string][]byte{"root.cer": root.Raw, "a.ml": list, "b.ml": second}, "b.ml"},
		"a changed list":            {map[string][]byte{"root.cer": root.Raw, "world.ml": changed}, "signature"},
		"a changed list inside":     {map[string][]byte{"root.cer": root.Raw, "pkd.ldif": []byte(ldifEntry("cn=1", "pkdMasterListContent", changed))}, "signature"},
		"a revoked list signer":     {map[string][]byte{"root.cer": root.Raw, "world.ml": list, "root.crl": crl(t, root, now, 30, signer.Certificate).Raw}, "revoked"},
		"an unreadable list":        {map[string][]byte{"world.ml": []byte("x")}, "world.ml"},
		"an unreadable directory":   {map[string][]byte{"pkd.ldif": []byte("x")}, "is this LDIF"},
		"an unreadable CRL inside":  {map[string][]byte{"pkd.ldif": []byte(ldifEntry("cn=4,c=XX", "certificateRevocationList;binary", []byte("x")))}, "line 2, cn=4,c=XX"},
		"a document signer's list":  {map[string][]byte{"root.cer": root.Raw, "world.ml": masterList(t, &ca{issue(t, root, profile{key: root.key}), root.key}, listed.Certificate)}, "may not sign such lists"},
	} {
		if _, err := Open(folder(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is on a list and is no CSCA certificate is set aside, the rest taken.
func TestListWithOddCertificates(t *testing.T) {
	root, listed := newCA(t, "UT", "CSCA"), newCA(t, "XX", "CSCA")
	l, err := exchange.ParseMasterList(masterList(t, listSigner(t, root), listed.Certificate, issue(t, listed, profile{})))
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	if err := s.AddMasterList(l, nil); !errors.Is(err, exchange.ErrNoRoot) || s.AnchorCount() != 0 {
		t.Errorf("without a root: %v, %d anchors", err, s.AnchorCount())
	}
	if err := s.AddMasterList(l, []*cert.Certificate{root.Certificate}); err != nil || s.AnchorCount() != 1 || len(s.SetAside()) != 1 {
		t.Errorf("%v, %d anchors, %q", err, s.AnchorCount(), s.SetAside())
	}
}

// german is the folder of the BSI's list, or a skip.
func german(t testing.TB) string {
	t.Helper()
	dir := "../../../shared/data/masterlist"
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		t.Skip("the German master list is not on this machine (it is not ours to distribute)")
	}
	return dir
}

// The world's list, as a folder of its two files.
func TestGermanList(t *testing.T) {
	s, err := Open(german(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d anchors, set aside: %q", s.AnchorCount(), s.SetAside())
	if s.AnchorCount() < 370 || len(s.Anchors("VN")) == 0 {
		t.Errorf("%d anchors, of Vietnam %d", s.AnchorCount(), len(s.Anchors("VN")))
	}
}

func BenchmarkOpenGermanList(b *testing.B) {
	dir := german(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// A thousand anchors, one file each, as an inspection system keeps them.
func BenchmarkOpenThousandAnchors(b *testing.B) {
	files := map[string][]byte{}
	for i := range 1000 {
		country := string([]byte{'A' + byte(i/5%20), 'A' + byte(i/100)})
		files[fmt.Sprintf("%04d.cer", i)] = newCA(b, country, "CSCA").Raw
	}
	dir := folder(b, files)
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(dir)
		if err != nil || s.AnchorCount() != 1000 {
			b.Fatal(err)
		}
	}
}

// The same in one PEM bundle.
func TestBundle(t *testing.T) {
	var bundle []byte
	for i := range 100 {
		c := newCA(t, string([]byte{'A' + byte(i/10), 'A' + byte(i%10)}), "CSCA")
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	s, err := Open(folder(t, map[string][]byte{"all.pem": bundle}))
	if err != nil || s.AnchorCount() != 100 {
		t.Fatal(err)
	}
}

// A million revoked certificates: 16 octets each beside the list, opened and
// asked without quadratic time.
func TestMillionRevocations(t *testing.T) {
	if testing.Short() {
		t.Skip("40 MB of revocations")
	}
	csca := newCA(t, "UT", "CSCA")
	good, bad := issue(t, csca, profile{}), issue(t, csca, profile{})
	s := store(t, csca, hugeList(t, csca, 1_000_000, bad))
	for c, want := range map[*cert.Certificate]Status{good: Trusted, bad: Revoked} {
		if path := s.Check(c, now, Policy{RequireRevocation: true}); path.Status != want {
			t.Errorf("%v (%s)", path.Status, path.Reason)
		}
	}
	spent := time.Hour
	for range 3 { // the quickest: a busy machine takes its time for others
		start := time.Now()
		for range 100 {
			s.Check(good, now, Policy{RequireRevocation: true})
		}
		spent = min(spent, time.Since(start))
	}
	if spent > 5*time.Second {
		t.Errorf("100 answers took %v: the list's signature is not checked once", spent)
	}
}

// hugeList is a list of n entries, the last of which revokes a certificate.
func hugeList(t testing.TB, issuer *ca, n int, last *cert.Certificate) *cert.CRL {
	t.Helper()
	algorithm, err := cert.DefaultScheme(issuer.PublicKey).Algorithm()
	if err != nil {
		t.Fatal(err)
	}
	one := []byte{0x30, 19, 2, 2, 0x40, 1, 0x17, 13, '2', '6', '1', '1', '2', '2', '0', '8', '3', '0', '0', '0', 'Z'}
	var tbs, b cryptobyte.Builder
	tbs.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		algorithm.AddTo(b)
		b.AddBytes(issuer.RawSubject)
		b.AddASN1UTCTime(now)
		b.AddASN1UTCTime(now.AddDate(0, 0, 30))
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(bytes.Repeat(one, n-1))
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(last.SerialNumber)
				b.AddASN1UTCTime(now)
			})
		})
	})
	message, err := tbs.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	_, signature, err := cert.Sign(rand.Reader, issuer.key, 0, message)
	if err != nil {
		t.Fatal(err)
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(message)
		algorithm.AddTo(b)
		b.AddASN1BitString(signature)
	})
	l, err := cert.ParseCRL(b.BytesOrPanic())
	if err != nil {
		t.Fatal(err)
	}
	return l
}
