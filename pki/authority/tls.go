package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// Stations and hub know each other by certificates of an authority that
// serves nothing else. It has no part in trusting documents, and is plain
// X.509 from the standard library.
const (
	tlsAuthorityYears = 15
	tlsLeafYears      = 5
	// clockSlack is how far a station's clock may be behind ours when it
	// first shows or meets a new certificate.
	clockSlack = time.Hour
)

type tlsAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

type tlsRequest struct {
	name   string
	hosts  []string
	server bool
}

// newTLSAuthority makes ca.crt and ca.key in dir.
func newTLSAuthority(dir string, organization string, sealer *keystore.Sealer, random io.Reader, now time.Time) (*tlsAuthority, error) {
	serial, err := cert.RandomSerial(random)
	if err != nil {
		return nil, err
	}
	key, err := newTLSKey(filepath.Join(dir, "ca.key"), sealer, random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: "chipid stations and hub"},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.AddDate(tlsAuthorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the TLS authority: %w", err)
	}
	if err := createPEM(filepath.Join(dir, caCertFile), der); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &tlsAuthority{certificate: certificate, key: key}, err
}

// openTLSAuthority opens what newTLSAuthority made.
func openTLSAuthority(dir string, sealer *keystore.Sealer) (*tlsAuthority, error) {
	certificate, err := readPEM(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, err
	}
	key, err := loadTLSKey(filepath.Join(dir, "ca.key"), sealer)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("%s: ca.key does not belong to %s", dir, caCertFile)
	}
	return &tlsAuthority{certificate: certificate, key: key}, nil
}

// issue makes tls.key, tls.crt and ca.crt in dir and gives the certificate.
func (ca *tlsAuthority) issue(dir string, req tlsRequest, sealer *keystore.Sealer, random io.Reader, now time.Time) ([]byte, error) {
	serial, err := cert.RandomSerial(random)
	if err != nil {
		return nil, err
	}
	key, err := newTLSKey(filepath.Join(dir, tlsKeyFile), sealer, random)
	if err != nil {
		return nil, err
	}
	notAfter := now.AddDate(tlsLeafYears, 0, 0)
	if notAfter.After(ca.certificate.NotAfter) {
		notAfter = ca.certificate.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: ca.certificate.Subject.Organization, CommonName: req.name},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if req.server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range req.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(random, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("issue the TLS certificate of %s: %w", req.name, err)
	}
	if err := createPEM(filepath.Join(dir, tlsCertFile), der); err != nil {
		return nil, err
	}
	return der, createPEM(filepath.Join(dir, caCertFile), ca.certificate.Raw)
}

// loadTLS opens what issue made.
func loadTLS(dir string, sealer *keystore.Sealer) (tls.Certificate, *x509.CertPool, error) {
	fail := func(err error) (tls.Certificate, *x509.CertPool, error) { return tls.Certificate{}, nil, err }
	leaf, err := readPEM(filepath.Join(dir, tlsCertFile))
	if err != nil {
		return fail(err)
	}
	key, err := loadTLSKey(filepath.Join(dir, tlsKeyFile), sealer)
	if err != nil {
		return fail(err)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return fail(fmt.Errorf("%s: %s does not belong to %s", dir, tlsKeyFile, tlsCertFile))
	}
	ca, err := readPEM(filepath.Join(dir, caCertFile))
	if err != nil {
		return fail(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, pool, nil
}

func newTLSKey(path string, sealer *keystore.Sealer, random io.Reader) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("generate %s: %w", filepath.Base(path), err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, keystore.SaveSecret(path, purposeTLSKey, der, sealer)
}

func loadTLSKey(path string, sealer *keystore.Sealer) (*ecdsa.PrivateKey, error) {
	der, err := keystore.LoadSecret(path, purposeTLSKey, sealer)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no EC key", path)
	}
	return ec, nil
}

func createPEM(path string, der []byte) error {
	return durable.CreateFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func readPEM(path string) (*x509.Certificate, error) {
	raw, err := durable.ReadFile(path, maxKitFile)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s: %w", path, errors.New("holds not one certificate in PEM"))
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
