package authority

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/lint"
)

// What breaks the profile is signed by mistake here, and must not get out.
func TestNothingOutsideTheProfileIsReleased(t *testing.T) {
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, err := cert.NewName(cert.A(cert.OIDCountry, "VN"), cert.A(cert.OIDCommonName, "CSCA VN"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	der, err := cert.Create(rand.Reader, cert.Template{
		Subject: name, NotBefore: now, NotAfter: now.AddDate(14, 0, 0),
		// No key usage period, no alternative names, no place for revocation lists.
		Extensions: []cert.Extension{cert.KeyUsageExtension(cert.KeyUsageCertSign | cert.KeyUsageCRLSign), cert.BasicConstraints(0)},
	}, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := release(der, lint.CSCA); !errors.Is(err, ErrProfile) {
		t.Errorf("released %v, %v", c.Subject, err)
	}
	crl, err := cert.CreateCRL(rand.Reader, cert.CRLTemplate{ThisUpdate: now, NextUpdate: now.AddDate(2, 0, 0)}, mustParse(t, der), key)
	if err == nil {
		err = releaseCRL(crl)
	}
	if err == nil {
		t.Error("a revocation list without a number, for two years, was released")
	}
}

func mustParse(t *testing.T, der []byte) *cert.Certificate {
	t.Helper()
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
