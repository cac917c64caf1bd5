package trust

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chipid/pki/cert"
)

// Revocation lists are fetched over unprotected links, since they are signed. A
// certificate that comes in the place of one must not become an anchor.
func TestCertificateForARevocationList(t *testing.T) {
	impostor := newCA(t, "UT", "CSCA")
	for kind, raw := range map[string][]byte{
		"DER": impostor.Raw,
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: impostor.Raw}),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "CSCA.CRL"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "CSCA.CRL") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A torn block beside a good one is not passed over: it may be the revocation list.
func TestTornBlockBesideAGoodOne(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: csca.Raw})
	list := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl(t, csca, now, 30, ds).Raw})
	open := func(content []byte) (*Store, error) {
		return Open(folder(t, map[string][]byte{"all.pem": content}))
	}
	for name, content := range map[string][]byte{
		"cut short":            append(bytes.Clone(root), list[:len(list)-30]...),
		"first, and cut short": append(bytes.Clone(list[:len(list)-30]), root...),
		"without its end":      append(bytes.Clone(list[:bytes.Index(list, []byte("-----END"))]), root...),
		"a bad letter":         append(bytes.Replace(list, []byte("-----\nM"), []byte("-----\n!"), 1), root...),
		"behind a mark":        append([]byte("\xEF\xBB\xBF"), append(bytes.Clone(list), root...)...),
	} {
		if _, err := open(content); err == nil || !strings.Contains(err.Error(), "all.pem") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := open(append(append([]byte("Our roots, and our list:\n"), root...), append([]byte("\nrevoked:\n"), list...)...))
	if err != nil {
		t.Fatal(err)
	}
	if path := s.Check(ds, now, Policy{}); path.Status != Revoked {
		t.Errorf("%v (%s)", path.Status, path.Reason)
	}
}

// relisted is a list with other octets in it, which its issuer signs all the same.
func relisted(t testing.TB, issuer *ca, l *cert.CRL, from, to []byte) *cert.CRL {
	t.Helper()
	changed, err := cert.ParseCRL(signed(t, issuer, replaced(t, l.RawTBS, from, to), l.SignatureAlgorithm))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// A list of changes, or of some certificates, is one whether or not it says so as
// it must (RFC 5280 sections 5.2.4 and 5.2.5: critical).
func TestPartialListThatIsNotCritical(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	good, bad := issue(t, csca, profile{}), issue(t, csca, profile{})
	strict := Policy{RequireRevocation: true}
	for _, last := range []byte{27, 28, 20} { // deltaCRLIndicator, issuingDistributionPoint, cRLNumber
		oid := asn1.ObjectIdentifier{2, 5, 29, int(last)}
		whole := rawList(t, csca, bad, oid, now.AddDate(0, 0, 30))
		list := relisted(t, csca, whole, []byte{6, 3, 0x55, 0x1D, last, 1, 1, 0xFF}, []byte{6, 3, 0x55, 0x1D, last, 1, 1, 0})
		want := RevocationUnknown
		if oid.Equal(cert.OIDCRLNumber) {
			want = Trusted
		}
		path := store(t, csca, list).Check(good, now, strict)
		if path.Status != want || want != Trusted && !strings.Contains(path.Reason, oid.String()) {
			t.Errorf("%v: %v (%s)", oid, path.Status, path.Reason)
		}
		if path := store(t, csca, list).Check(bad, now, strict); path.Status != Revoked {
			t.Errorf("%v, listed: %v (%s)", oid, path.Status, path.Reason)
		}
		// Beside a whole list it takes nothing away.
		if path := store(t, csca, list, crl(t, csca, now.AddDate(0, 0, -1), 30)).Check(good, now, strict); path.Status != Trusted {
			t.Errorf("%v, beside a whole list: %v (%s)", oid, path.Status, path.Reason)
		}
	}
}

// Of a number whose zero was forgotten and that begins with FF and a one bit, whoever
// reads it as negative has lost octets: one number in 512.
func TestRevokedWithoutItsSignAndFirstOctets(t *testing.T) {
	csca := newCA(t, "UT", "CSCA")
	ds := issue(t, csca, profile{})
	number, err := asn1.Marshal(ds.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	for octets := 1; octets <= 3; octets++ {
		bare := bytes.Clone(number)
		for i := range octets {
			bare[2+i] = 0xFF
		}
		bare[2+octets] = 0x9A
		signed := resigned(t, csca, ds, number, bare)
		list := *ds // of which only the number goes into the list
		list.SerialNumber = new(big.Int).SetBytes(bare[2:])
		if path := store(t, csca, crl(t, csca, now, 30, &list)).Check(signed, now, Policy{}); path.Status != Revoked {
			t.Errorf("%X: %v (%s)", bare[2:], path.Status, path.Reason)
		}
		list.SerialNumber = new(big.Int).SetBytes(append([]byte{0xFF}, bare[2:]...))
		if path := store(t, csca, crl(t, csca, now, 30, &list)).Check(signed, now, Policy{}); path.Status != Trusted {
			t.Errorf("FF%X: %v (%s)", bare[2:], path.Status, path.Reason)
		}
	}
}

// The key of a CSCA signs certificates and lists (Doc 9303-12 section 4.1), also
// where its certificate does not say so.
func TestAnchorSignsNoDocuments(t *testing.T) {
	for _, extensions := range [][]cert.Extension{{}, {cert.KeyUsageExtension(cert.KeyUsageDigitalSignature | cert.KeyUsageCertSign)}} {
		key := newKey(t)
		csca := &ca{issue(t, nil, profile{subject: name(t, "UT", "CSCA"), key: key, extensions: extensions}), key}
		s := store(t, csca)
		if path := s.Check(csca.Certificate, now, Policy{}); path.Status != NotSigner || !strings.Contains(path.Reason, "must not sign documents itself") {
			t.Errorf("%v (%s)", path.Status, path.Reason)
		}
		if path := s.Check(issue(t, csca, profile{}), now, Policy{}); path.Status != Trusted {
			t.Errorf("who it appoints: %v (%s)", path.Status, path.Reason)
		}
	}
}
