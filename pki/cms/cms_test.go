package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/curve"
)

var (
	signedAt = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	content  = []byte("what is signed")
)

// signer is a self-signed certificate and its key.
type signer struct {
	certificate *cert.Certificate
	key         crypto.Signer
}

func newSigner(t testing.TB, key crypto.Signer, name string, withKeyID bool) signer {
	t.Helper()
	subject, err := cert.NewName(cert.A(cert.OIDCountry, "UT"), cert.A(cert.OIDCommonName, name))
	if err != nil {
		t.Fatal(err)
	}
	template := cert.Template{Subject: subject, NotBefore: signedAt.AddDate(0, 0, -1), NotAfter: signedAt.AddDate(10, 0, 0)}
	if withKeyID {
		id, err := cert.KeyIdentifier(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		template.Extensions = []cert.Extension{
			cert.SubjectKeyIdentifier(id), cert.KeyUsageExtension(cert.KeyUsageDigitalSignature),
		}
	}
	der, err := cert.Create(rand.Reader, template, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{c, key}
}

func newECSigner(t testing.TB, name string) signer {
	t.Helper()
	return newSigner(t, ecKey(t, curve.P256()), name, true)
}

func ecKey(t testing.TB, c *curve.Curve) crypto.Signer {
	t.Helper()
	key, err := curve.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustSign(t testing.TB, o SignOptions) []byte {
	t.Helper()
	der, err := Sign(rand.Reader, OIDSecurityObject, content, o)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func mustParse(t testing.TB, der []byte) *SignedData {
	t.Helper()
	sd, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

func TestSignVerify(t *testing.T) {
	withRSA := newSigner(t, rsaKey(t), "RSA", true)
	for name, c := range map[string]struct {
		signer
		scheme cert.Scheme
	}{
		"P-256":           {newSigner(t, ecKey(t, curve.P256()), "a", true), 0},
		"P-384":           {newSigner(t, ecKey(t, curve.P384()), "b", true), 0},
		"P-521":           {newSigner(t, ecKey(t, curve.P521()), "c", true), 0},
		"brainpoolP256r1": {newSigner(t, ecKey(t, curve.BrainpoolP256r1()), "d", true), 0},
		"SHA-224":         {newSigner(t, ecKey(t, curve.P224()), "e", true), cert.ECDSAWithSHA224},
		"RSA-PSS":         {withRSA, cert.RSAPSSWithSHA384},
		"RSA PKCS#1":      {withRSA, cert.RSAPKCS1WithSHA256},
	} {
		for _, byKeyID := range []bool{false, true} {
			der := mustSign(t, SignOptions{Certificate: c.certificate, Signer: c.key, Scheme: c.scheme, SigningTime: signedAt, BySubjectKeyID: byKeyID})
			sd := mustParse(t, der)
			results, err := sd.Verify(VerifyOptions{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			r := results[0]
			if len(results) != 1 || !bytes.Equal(r.Certificate.Raw, c.certificate.Raw) || !r.SigningTime.Equal(signedAt) || len(r.Notes) > 0 {
				t.Errorf("%s: result %+v", name, r)
			}
			if sd.Version != 3 || !sd.ContentType.Equal(OIDSecurityObject) || !bytes.Equal(sd.Content, content) {
				t.Errorf("%s: read %d, %v, %q", name, sd.Version, sd.ContentType, sd.Content)
			}
			if (sd.Signers[0].SerialNumber == nil) != byKeyID || sd.Signers[0].Version != map[bool]int{false: 1, true: 3}[byKeyID] {
				t.Errorf("%s: signer is named in the wrong way", name)
			}
		}
	}
}

// What is issued has no NULL in a digest algorithm, is in DER, and has its
// attributes in DER order.
func TestIssueStrict(t *testing.T) {
	s := newECSigner(t, "a")
	der := mustSign(t, SignOptions{Certificate: s.certificate, Signer: s.key, SigningTime: signedAt})
	e, _, err := read(der, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.definite(true, 0)
	if err != nil || !bytes.Equal(der, again) {
		t.Fatalf("not in DER: %v", err)
	}
	withNull := unhex(t, "300d06096086480165030402010500") // id-sha256 with NULL
	if bytes.Contains(der, withNull) {
		t.Error("a digest algorithm has NULL")
	}
	if n := bytes.Count(der, withNull[2:13]); n != 2 {
		t.Errorf("id-sha256 is there %d times, want 2", n)
	}
}

func TestSignRefuses(t *testing.T) {
	a, b := newECSigner(t, "a"), newECSigner(t, "b")
	noID := newSigner(t, ecKey(t, curve.P256()), "no id", false)
	for name, o := range map[string]SignOptions{
		"another's key":     {Certificate: a.certificate, Signer: b.key},
		"no key":            {Certificate: a.certificate},
		"no certificate":    {Signer: a.key},
		"no key identifier": {Certificate: noID.certificate, Signer: noID.key, BySubjectKeyID: true},
		"RSA scheme":        {Certificate: a.certificate, Signer: a.key, Scheme: cert.RSAPSSWithSHA256},
		"unknown scheme":    {Certificate: a.certificate, Signer: a.key, Scheme: 99},
	} {
		if _, err := Sign(rand.Reader, OIDSecurityObject, content, o); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

// Whatever octet is changed, either the message is refused, or what it says is
// still what was signed.
func TestEveryFlippedOctet(t *testing.T) {
	s := newECSigner(t, "a")
	der := mustSign(t, SignOptions{Certificate: s.certificate, Signer: s.key, SigningTime: signedAt})
	accepted := 0
	for i := range der {
		for _, bit := range []byte{0x01, 0x80} {
			bad := bytes.Clone(der)
			bad[i] ^= bit
			sd, err := Parse(bad)
			if err != nil {
				continue
			}
			results, err := sd.Verify(VerifyOptions{})
			if err != nil {
				continue
			}
			accepted++
			if !bytes.Equal(sd.Content, content) || !sd.ContentType.Equal(OIDSecurityObject) || !results[0].SigningTime.Equal(signedAt) ||
				!s.certificate.PublicKey.(*curve.PublicKey).Equal(results[0].Certificate.PublicKey) {
				t.Fatalf("octet %d flipped by %02x: accepted with another meaning", i, bit)
			}
		}
	}
	// The certificate's own signature and text are for pki/trust to check, and
	// a few octets around it are not signed; all else must have been refused.
	if limit := 2 * len(s.certificate.Raw); accepted > limit {
		t.Errorf("%d changes went unnoticed, more than %d", accepted, limit)
	}
	for cut := range der {
		if _, err := Parse(der[:cut]); err == nil {
			t.Fatalf("read when cut to %d octets", cut)
		}
	}
	if _, err := Parse(append(bytes.Clone(der), 0)); err == nil {
		t.Error("read with an octet after the end")
	}
}

// craft is a message put together by hand, to be wrong in one way each.
type craft struct {
	signer
	attrs       [][]byte // nil: contentType and messageDigest; empty: no signed attributes
	signOver    []byte   // nil: the SET of attrs as given
	digestAlg   []byte   // nil: SHA-256 without parameters
	contentType asn1.ObjectIdentifier
	content     []byte
	signers     int // beside the first
	outside     bool
	byKeyID     []byte
	indefinite  bool // of the signed attributes
	eContent    func(b *cryptobyte.Builder)
}

func attr(t testing.TB, oid asn1.ObjectIdentifier, values ...func(b *cryptobyte.Builder)) []byte {
	t.Helper()
	var b cryptobyte.Builder
	attribute(oid, func(b *cryptobyte.Builder) {
		for _, v := range values {
			v(b)
		}
	})(&b)
	return built(t, &b)
}

func built(t testing.TB, b *cryptobyte.Builder) []byte {
	t.Helper()
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func typeAttr(t testing.TB, oid asn1.ObjectIdentifier) []byte {
	return attr(t, oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
}

func digestAttr(t testing.TB, content []byte) []byte {
	sum := sha256.Sum256(content)
	return attr(t, oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
}

func (c craft) build(t testing.TB) []byte {
	t.Helper()
	if c.attrs == nil {
		c.attrs = [][]byte{typeAttr(t, OIDSecurityObject), digestAttr(t, content)}
	}
	if c.contentType == nil {
		c.contentType = OIDSecurityObject
	}
	if c.content == nil {
		c.content = content
	}
	if c.digestAlg == nil {
		c.digestAlg = unhex(t, "300b0609608648016503040201")
	}
	attrs := bytes.Join(c.attrs, nil)
	over := c.signOver
	if over == nil {
		var err error
		if over, err = encode(byte(cbasn1.SET), attrs); err != nil {
			t.Fatal(err)
		}
	}
	alg, signature, err := cert.Sign(rand.Reader, c.key, 0, over)
	if err != nil {
		t.Fatal(err)
	}
	info := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if c.byKeyID != nil {
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(c.byKeyID) })
			} else {
				addSignerID(b, SignOptions{Certificate: c.certificate})
			}
			b.AddBytes(c.digestAlg)
			switch {
			case c.indefinite:
				b.AddBytes([]byte{byte(context0), 0x80})
				b.AddBytes(attrs)
				b.AddBytes([]byte{0, 0})
			case len(c.attrs) > 0:
				b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
			}
			alg.AddTo(b)
			b.AddASN1OctetString(signature)
		})
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(c.digestAlg) })
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(c.contentType)
					if c.eContent != nil {
						c.eContent(b)
						return
					}
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(c.content) })
				})
				if !c.outside {
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(c.certificate.Raw) })
				}
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					for range c.signers + 1 {
						info(b)
					}
				})
			})
		})
	})
	return built(t, &b)
}

func verify(t testing.TB, message []byte, extra ...*cert.Certificate) ([]Result, error) {
	t.Helper()
	return mustParse(t, message).Verify(VerifyOptions{Certificates: extra})
}

func TestTolerates(t *testing.T) {
	s := newECSigner(t, "a")
	inOrder := [][]byte{typeAttr(t, OIDSecurityObject), digestAttr(t, content)}
	slices.SortFunc(inOrder, bytes.Compare)
	reversed := slices.Clone(inOrder)
	slices.Reverse(reversed)
	set := func(attrs [][]byte) []byte {
		der, err := encode(byte(cbasn1.SET), bytes.Join(attrs, nil))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	noID := newSigner(t, ecKey(t, curve.P256()), "no id", false)
	id, err := cert.KeyIdentifier(noID.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		craft
		notes []string
	}{
		"in order":                         {craft{signer: s, attrs: inOrder}, nil},
		"out of order, signed so":          {craft{signer: s, attrs: reversed}, nil},
		"out of order, signed in DER":      {craft{signer: s, attrs: reversed, signOver: set(inOrder)}, []string{NoteSorted}},
		"indefinite, signed definite":      {craft{signer: s, attrs: reversed, signOver: set(reversed), indefinite: true}, []string{NoteDefiniteLengths}},
		"indefinite, signed in DER":        {craft{signer: s, attrs: reversed, signOver: set(inOrder), indefinite: true}, []string{NoteSorted}},
		"digest algorithm with NULL":       {craft{signer: s, digestAlg: unhex(t, "300d06096086480165030402010500")}, nil},
		"by a key identifier not in there": {craft{signer: noID, byKeyID: id}, nil},
		"two signers":                      {craft{signer: s, signers: 1}, nil},
		"certificate from elsewhere":       {craft{signer: s, outside: true}, nil},
		"unknown attribute":                {craft{signer: s, attrs: append(slices.Clone(inOrder), attr(t, asn1.ObjectIdentifier{1, 2, 3}))}, nil},
		"another content type, old Dutch":  {craft{signer: s, contentType: asn1.ObjectIdentifier{1, 2, 528, 1, 1006, 1, 20, 1}, attrs: [][]byte{typeAttr(t, asn1.ObjectIdentifier{1, 2, 528, 1, 1006, 1, 20, 1}), digestAttr(t, content)}}, nil},
		"content in pieces": {craft{signer: s, eContent: func(b *cryptobyte.Builder) {
			b.AddBytes(unhex(t, "a080 2480 0404"+hex.EncodeToString(content[:4])+" 040a"+hex.EncodeToString(content[4:])+" 0000 0000"))
		}}, nil},
		"empty content": {craft{signer: s, content: []byte{}, attrs: [][]byte{typeAttr(t, OIDSecurityObject), digestAttr(t, nil)}}, nil},
	} {
		results, err := verify(t, c.craft.build(t), c.certificate)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, r := range results {
			if !slices.Equal(r.Notes, c.notes) {
				t.Errorf("%s: notes %q, want %q", name, r.Notes, c.notes)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	s, other := newECSigner(t, "a"), newECSigner(t, "a stranger")
	typ, dig := typeAttr(t, OIDSecurityObject), digestAttr(t, content)
	oid := func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(OIDSecurityObject) }
	for name, c := range map[string]struct {
		craft
		want string
	}{
		"another content":            {craft{signer: s, content: []byte("something else")}, ErrDigest.Error()},
		"another content type":       {craft{signer: s, contentType: OIDMasterList}, "the message says"},
		"no signed attributes":       {craft{signer: s, attrs: [][]byte{}, signOver: content}, "no signed attributes"},
		"no content type":            {craft{signer: s, attrs: [][]byte{dig}}, "contentType is missing"},
		"no digest":                  {craft{signer: s, attrs: [][]byte{typ}}, "messageDigest is missing"},
		"two content types":          {craft{signer: s, attrs: [][]byte{typ, typ, dig}}, "more than once"},
		"two values of content type": {craft{signer: s, attrs: [][]byte{attr(t, oidContentType, oid, oid), dig}}, "more than once"},
		"two digests":                {craft{signer: s, attrs: [][]byte{typ, dig, digestAttr(t, []byte("x"))}}, "more than once"},
		"digest that is no string":   {craft{signer: s, attrs: [][]byte{typ, attr(t, oidMessageDigest, oid)}}, "malformed"},
		"signing time that is none":  {craft{signer: s, attrs: [][]byte{typ, dig, attr(t, oidSigningTime, oid)}}, "signingTime is malformed"},
		"unknown digest algorithm":   {craft{signer: s, digestAlg: unhex(t, "300a06082a864886f70d0205")}, "unknown digest algorithm"},
		"signed by another":          {craft{signer: signer{s.certificate, other.key}}, cert.ErrSignature.Error()},
		"signed over something else": {craft{signer: s, signOver: []byte("x")}, cert.ErrSignature.Error()},
		"no certificate":             {craft{signer: s, outside: true}, ErrNoCertificate.Error()},
		"unknown key identifier":     {craft{signer: s, byKeyID: []byte{1, 2, 3}}, "010203"},
	} {
		results, err := verify(t, c.craft.build(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if len(results) != 1 || results[0].Err == nil {
			t.Errorf("%s: results %+v", name, results)
		}
	}
	if _, err := verify(t, craft{signer: s, signers: -1}.build(t)); !errors.Is(err, ErrNoSigner) {
		t.Errorf("no signer: %v", err)
	}
}

// A signer is the certificate that it names, by issuer and serial number both, and
// of many of that name only the first few are tried.
func TestCandidates(t *testing.T) {
	s, other := newECSigner(t, "a"), newECSigner(t, "a stranger")
	sd := mustParse(t, craft{signer: s, outside: true}.build(t))
	// The same key and number, another issuer.
	renamed := *s.certificate
	renamed.Issuer = other.certificate.Issuer
	if _, err := sd.Verify(VerifyOptions{Certificates: []*cert.Certificate{&renamed}}); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("another issuer's certificate: %v", err)
	}
	// The same name, another key.
	namesake := *other.certificate
	namesake.Issuer, namesake.SerialNumber = s.certificate.Issuer, s.certificate.SerialNumber
	for before, want := range map[int]error{maxCandidates - 1: nil, maxCandidates: cert.ErrSignature} {
		certificates := append(slices.Repeat([]*cert.Certificate{&namesake}, before), s.certificate)
		if _, err := sd.Verify(VerifyOptions{Certificates: certificates}); !errors.Is(err, want) {
			t.Errorf("after %d namesakes: %v", before, err)
		}
	}
}

// Of two signers one holds and the other does not: Verify fails as a whole and
// tells them apart.
func TestOneSignerOfTwo(t *testing.T) {
	s := newECSigner(t, "a")
	sd := mustParse(t, craft{signer: s, signers: 1}.build(t))
	sd.Signers[1].Signature = sd.Signers[1].Signature[:10]
	results, err := sd.Verify(VerifyOptions{})
	if !errors.Is(err, cert.ErrSignature) || len(results) != 2 || results[0].Err != nil || results[1].Err == nil {
		t.Fatalf("%v, %+v", err, results)
	}
}

func TestParseRefuses(t *testing.T) {
	s := newECSigner(t, "a")
	good := mustSign(t, SignOptions{Certificate: s.certificate, Signer: s.key})
	notSigned := bytes.Replace(good, unhex(t, "2a864886f70d010702"), unhex(t, "2a864886f70d010703"), 1)
	for name, c := range map[string]struct {
		message []byte
		want    string
	}{
		"enveloped data":      {notSigned, "not SignedData"},
		"no content":          {craft{signer: s, eContent: func(*cryptobyte.Builder) {}}.build(t), "not in the message"},
		"content no string":   {craft{signer: s, eContent: func(b *cryptobyte.Builder) { b.AddBytes([]byte{0xa0, 2, 5, 0}) }}.build(t), "no OCTET STRING"},
		"17 signers":          {craft{signer: s, signers: 16}.build(t), "more than 16"},
		"65 attributes":       {craft{signer: s, attrs: slices.Repeat([][]byte{typeAttr(t, OIDSecurityObject)}, 65)}.build(t), "more than 64"},
		"70 kB of attributes": {craft{signer: s, attrs: [][]byte{attr(t, asn1.ObjectIdentifier{1, 2, 3}, func(b *cryptobyte.Builder) { b.AddASN1OctetString(make([]byte, 70_000)) })}}.build(t), "more than the 65536"},
		"a text":              {[]byte("-----BEGIN CMS-----"), "malformed"},
	} {
		if _, err := Parse(c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A signer's certificate that cannot be read is told as that, not as absent.
func TestUnreadableCertificate(t *testing.T) {
	s := newECSigner(t, "a")
	good := mustSign(t, SignOptions{Certificate: s.certificate, Signer: s.key})
	broken := bytes.Clone(s.certificate.Raw)
	copy(broken[4:], []byte{0x31}) // TBSCertificate is no SEQUENCE any more
	sd := mustParse(t, bytes.Replace(good, s.certificate.Raw, broken, 1))
	if _, err := sd.Verify(VerifyOptions{}); !errors.Is(err, ErrNoCertificate) || !strings.Contains(err.Error(), "cannot be read") {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Certificates: []*cert.Certificate{s.certificate}}); err != nil {
		t.Fatal(err)
	}
}

// The German master list of 2026-05-28, signed by its list signer, whose CSCA
// is the one in the file beside it.
func TestGermanMasterList(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "masterlist")
	if env := os.Getenv("CHIPID_MASTERLIST"); env != "" {
		dir = env
	}
	message, err := os.ReadFile(filepath.Join(dir, "DE_ML_2026-05-28.ml"))
	if err != nil {
		t.Skip("the German master list is not at hand (set CHIPID_MASTERLIST to its folder): ", err)
	}
	rawCSCA, err := os.ReadFile(filepath.Join(dir, "DE_CSCA07.cer"))
	if err != nil {
		t.Fatal(err)
	}
	csca, err := cert.ParseAll(rawCSCA)
	if err != nil {
		t.Fatal(err)
	}
	sd := mustParse(t, message)
	results, err := sd.Verify(VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !sd.ContentType.Equal(OIDMasterList) || len(sd.Content) != 899665 {
		t.Errorf("content type %v, %d octets", sd.ContentType, len(sd.Content))
	}
	if err := results[0].Certificate.CheckSignatureFrom(csca[0]); err != nil {
		t.Error(err)
	}
	if at := results[0].SigningTime; !at.Equal(time.Date(2026, 5, 28, 6, 28, 45, 0, time.UTC)) {
		t.Errorf("signed at %v", at)
	}
	sd.Content[len(sd.Content)/2] ^= 1
	if _, err := sd.Verify(VerifyOptions{}); !errors.Is(err, ErrDigest) {
		t.Errorf("a changed list: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	s := newECSigner(f, "a")
	f.Add(mustSign(f, SignOptions{Certificate: s.certificate, Signer: s.key, SigningTime: signedAt}))
	f.Add(craft{signer: s, signers: 1, indefinite: true}.build(f))
	f.Add(craft{signer: s, byKeyID: []byte{1}}.build(f))
	f.Fuzz(func(t *testing.T, message []byte) {
		sd, err := Parse(message)
		if err != nil {
			return
		}
		results, err := sd.Verify(VerifyOptions{})
		if err == nil && (len(results) == 0 || results[0].Certificate == nil) {
			t.Fatal("verified without a signer")
		}
	})
}

func TestReadDigestAlgorithm(t *testing.T) {
	for in, want := range map[string]crypto.Hash{
		"300b0609608648016503040201": crypto.SHA256, "300d06096086480165030402010500": crypto.SHA256, "300706052b0e03021a": crypto.SHA1,
		"300e0609608648016503040201040100": 0, // parameters
		"300a06082a864886f70d0205":         0, // MD5
		"3000":                             0,
	} {
		s := cryptobyte.String(unhex(t, in))
		got, err := ReadDigestAlgorithm(&s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	var b cryptobyte.Builder
	AddDigestAlgorithm(&b, crypto.MD5)
	if _, err := b.Bytes(); err == nil {
		t.Error("MD5 was written")
	}
}
