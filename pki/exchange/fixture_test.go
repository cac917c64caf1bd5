package exchange

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"os"
	"testing"
	"time"

	"chipid/pki/cert"
	"chipid/pki/cms"
	"chipid/pki/curve"
)

var now = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

// party is a certificate with its key.
type party struct {
	*cert.Certificate
	key crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// issue makes a certificate; a nil issuer makes it self-signed.
func issue(t testing.TB, issuer *party, country, common string, key crypto.Signer, extensions ...cert.Extension) *party {
	t.Helper()
	name := must[cert.Name](t)(cert.NewName(cert.A(cert.OIDCountry, country), cert.A(cert.OIDCommonName, common)))
	id := must[[]byte](t)(cert.KeyIdentifier(key.Public()))
	by, byKey, byID := (*cert.Certificate)(nil), key, id
	if issuer != nil {
		by, byKey, byID = issuer.Certificate, issuer.key, issuer.SubjectKeyID
	}
	extensions = append(extensions, cert.SubjectKeyIdentifier(id), cert.AuthorityKeyIdentifier(byID))
	der := must[[]byte](t)(cert.Create(rand.Reader, cert.Template{Subject: name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0), Extensions: extensions}, by, key.Public(), byKey))
	return &party{must[*cert.Certificate](t)(cert.Parse(der)), key}
}

func caExtensions() []cert.Extension {
	return []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageCertSign | cert.KeyUsageCRLSign), cert.BasicConstraints(0)}
}

func newCA(t testing.TB, country, common string) *party {
	t.Helper()
	return issue(t, nil, country, common, newKey(t), caExtensions()...)
}

func signerExtensions(t testing.TB, purpose asn1.ObjectIdentifier) []cert.Extension {
	t.Helper()
	return []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageDigitalSignature), must[cert.Extension](t)(cert.ExtKeyUsage(purpose))}
}

func newSigner(t testing.TB, issuer *party, purpose asn1.ObjectIdentifier) *party {
	t.Helper()
	return issue(t, issuer, issuer.Subject.Country(), "List Signer", newKey(t), signerExtensions(t, purpose)...)
}

func sign(t testing.TB, by *party, contentType asn1.ObjectIdentifier, content []byte, along ...*cert.Certificate) []byte {
	t.Helper()
	return must[[]byte](t)(cms.Sign(rand.Reader, contentType, content, cms.SignOptions{
		Certificate: by.Certificate, Signer: by.key, SigningTime: now, Certificates: along, BySubjectKeyID: true,
	}))
}

func masterList(t testing.TB, by *party, along []*cert.Certificate, list ...*cert.Certificate) []byte {
	t.Helper()
	return sign(t, by, cms.OIDMasterList, must[[]byte](t)(MasterListContent(list)), along...)
}

// german is the master list that the BSI publishes, and its root.
func german(t testing.TB) (list []byte, root *cert.Certificate) {
	t.Helper()
	const folder = "../../../shared/data/masterlist/"
	list, err := os.ReadFile(folder + "DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the German master list is not on this machine (it is not ours to distribute)")
	}
	if err != nil {
		t.Fatal(err)
	}
	roots := must[[]*cert.Certificate](t)(cert.ParseAll(must[[]byte](t)(os.ReadFile(folder + "DE_CSCA07.cer"))))
	return list, roots[0]
}
