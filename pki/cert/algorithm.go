package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // link the hashes that algorithms name
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/curve"
)

var (
	// ErrSignature says that a signature does not hold.
	ErrSignature = errors.New("the signature does not hold")
	// ErrUnsupported says that a signature cannot be checked: an algorithm, a
	// key or parameters that this package does not know.
	ErrUnsupported = errors.New("not supported")
)

// Algorithm is an AlgorithmIdentifier.
type Algorithm struct {
	OID    asn1.ObjectIdentifier
	Params []byte // DER, nil where absent
}

var null = []byte{0x05, 0x00}

// ReadAlgorithm reads an AlgorithmIdentifier.
func ReadAlgorithm(in *cryptobyte.String) (Algorithm, error) {
	var a Algorithm
	var seq, params cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&a.OID) {
		return a, fmt.Errorf("%w AlgorithmIdentifier", errMalformed)
	}
	if !seq.Empty() {
		if !seq.ReadAnyASN1Element(&params, &tag) || !seq.Empty() {
			return a, fmt.Errorf("%w AlgorithmIdentifier", errMalformed)
		}
		a.Params = params
	}
	return a, nil
}

// AddTo appends the algorithm in DER.
func (a Algorithm) AddTo(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.OID)
		b.AddBytes(a.Params)
	})
}

// equivalent tells whether both mean the same; NULL is as good as nothing.
func (a Algorithm) equivalent(o Algorithm) bool {
	bare := func(p []byte) []byte {
		if bytes.Equal(p, null) {
			return nil
		}
		return p
	}
	return a.OID.Equal(o.OID) && bytes.Equal(bare(a.Params), bare(o.Params))
}

// String names the algorithm for people.
func (a Algorithm) String() string {
	m, err := a.method()
	if err != nil {
		return a.OID.String()
	}
	return m.String()
}

// Hash is the hash that the algorithm signs, 0 where it is unknown. SHA-1 is
// there for old documents: signatures with it are checked, never made.
func (a Algorithm) Hash() crypto.Hash {
	m, err := a.method()
	if err != nil {
		return 0
	}
	return m.hash
}

type kind uint8

const (
	kindPKCS1 kind = iota + 1
	kindPSS
	kindECDSA
	kindPlainECDSA // r‖s, BSI TR-03111
)

// method is what an Algorithm means.
type method struct {
	kind kind
	hash crypto.Hash
	mgf  crypto.Hash // PSS only
	salt int         // PSS only
}

func (m method) String() string {
	switch m.kind {
	case kindPKCS1:
		return "RSA PKCS#1 v1.5 with " + m.hash.String()
	case kindPSS:
		if m.mgf != 0 && m.mgf != m.hash {
			return "RSA-PSS with " + m.hash.String() + " and a mask from " + m.mgf.String()
		}
		return "RSA-PSS with " + m.hash.String()
	case kindECDSA:
		return "ECDSA with " + m.hash.String()
	}
	return "plain ECDSA with " + m.hash.String()
}

var hashOIDs = []struct {
	hash crypto.Hash
	oid  asn1.ObjectIdentifier
}{
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}},
	{crypto.SHA224, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}},
	{crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}},
	{crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}},
	{crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}},
}

// HashByOID gives the hash that an object identifier names: those that Doc
// 9303-12 §4.4.3 allows, and SHA-1, which old documents still carry.
func HashByOID(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	for _, h := range hashOIDs {
		if h.oid.Equal(oid) {
			return h.hash, true
		}
	}
	return 0, false
}

// HashOID is the inverse of HashByOID.
func HashOID(hash crypto.Hash) (asn1.ObjectIdentifier, bool) {
	for _, h := range hashOIDs {
		if h.hash == hash {
			return h.oid, true
		}
	}
	return nil, false
}

var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidPSS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidECKey   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

var methods = []struct {
	oid asn1.ObjectIdentifier
	method
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, method{kind: kindPKCS1, hash: crypto.SHA1}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 14}, method{kind: kindPKCS1, hash: crypto.SHA224}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, method{kind: kindPKCS1, hash: crypto.SHA256}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, method{kind: kindPKCS1, hash: crypto.SHA384}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, method{kind: kindPKCS1, hash: crypto.SHA512}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, method{kind: kindECDSA, hash: crypto.SHA1}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 1}, method{kind: kindECDSA, hash: crypto.SHA224}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, method{kind: kindECDSA, hash: crypto.SHA256}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, method{kind: kindECDSA, hash: crypto.SHA384}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, method{kind: kindECDSA, hash: crypto.SHA512}},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 1}, method{kind: kindPlainECDSA, hash: crypto.SHA1}},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 2}, method{kind: kindPlainECDSA, hash: crypto.SHA224}},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 3}, method{kind: kindPlainECDSA, hash: crypto.SHA256}},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 4}, method{kind: kindPlainECDSA, hash: crypto.SHA384}},
	{asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 5}, method{kind: kindPlainECDSA, hash: crypto.SHA512}},
}

func (a Algorithm) method() (method, error) {
	if a.OID.Equal(oidPSS) {
		return parsePSS(a.Params)
	}
	for _, m := range methods {
		if m.oid.Equal(a.OID) {
			return m.method, nil
		}
	}
	return method{}, fmt.Errorf("%w: signature algorithm %v", ErrUnsupported, a.OID)
}

func readHash(in *cryptobyte.String) (crypto.Hash, error) {
	a, err := ReadAlgorithm(in)
	if err != nil {
		return 0, err
	}
	for _, h := range hashOIDs {
		if h.oid.Equal(a.OID) && (a.Params == nil || bytes.Equal(a.Params, null)) {
			return h.hash, nil
		}
	}
	return 0, fmt.Errorf("%w: hash %v", ErrUnsupported, a.OID)
}

// parsePSS reads RSASSA-PSS-params (RFC 4055 §3.1); what is absent is SHA-1,
// MGF1 with SHA-1, 20 octets of salt, trailer 1.
func parsePSS(params []byte) (method, error) {
	m := method{kind: kindPSS, hash: crypto.SHA1, mgf: crypto.SHA1, salt: 20}
	if params == nil {
		return m, fmt.Errorf("%w: RSA-PSS without parameters", ErrUnsupported)
	}
	malformed := fmt.Errorf("%w RSA-PSS parameters", errMalformed)
	in, seq := cryptobyte.String(params), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return m, malformed
	}
	for tag := range cbasn1.Tag(4) {
		var field cryptobyte.String
		var present bool
		if !seq.ReadOptionalASN1(&field, &present, tag.ContextSpecific().Constructed()) {
			return m, malformed
		}
		if !present {
			continue
		}
		var err error
		switch tag {
		case 0:
			m.hash, err = readHash(&field)
		case 1:
			var mgf Algorithm
			if mgf, err = ReadAlgorithm(&field); err == nil {
				if !mgf.OID.Equal(oidMGF1) {
					return m, fmt.Errorf("%w: mask generation %v", ErrUnsupported, mgf.OID)
				}
				inner := cryptobyte.String(mgf.Params)
				m.mgf, err = readHash(&inner)
			}
		case 2:
			if !field.ReadASN1Integer(&m.salt) || m.salt < 0 || m.salt > 1024 {
				return m, malformed
			}
		case 3:
			var trailer int
			if !field.ReadASN1Integer(&trailer) || trailer != 1 {
				return m, malformed
			}
		}
		if err != nil {
			return m, err
		}
		if !field.Empty() {
			return m, malformed
		}
	}
	if !seq.Empty() {
		return m, malformed
	}
	return m, nil
}

// Verify checks a signature over message. The error is ErrSignature where it
// does not hold and ErrUnsupported where it could not be checked.
func Verify(a Algorithm, pub crypto.PublicKey, message, signature []byte) error {
	m, err := a.method()
	if err != nil {
		return err
	}
	h := m.hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	good := false
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("%w: RSA with %d bits", ErrUnsupported, key.N.BitLen())
		}
		switch m.kind {
		case kindPKCS1:
			good = verifyPKCS1(key, m.hash, digest, signature)
		case kindPSS:
			good = verifyPSS(key, m, digest, signature)
		default:
			return fmt.Errorf("%w: %s with an RSA key", ErrSignature, m)
		}
	case *curve.PublicKey:
		switch m.kind {
		case kindECDSA:
			good = curve.Verify(key, digest, signature)
		case kindPlainECDSA:
			good = curve.VerifyPlain(key, digest, signature)
		default:
			return fmt.Errorf("%w: %s with a key on a curve", ErrSignature, m)
		}
	default:
		return fmt.Errorf("%w: a key of type %T", ErrUnsupported, pub)
	}
	if !good {
		return fmt.Errorf("%w (%s)", ErrSignature, m)
	}
	return nil
}

// Scheme is a way to sign. The zero Scheme stands for the key's default.
type Scheme int

// The schemes of Doc 9303-12 §4.4 that chipid signs with. SHA-1 is not among
// them.
const (
	ECDSAWithSHA224 Scheme = iota + 1
	ECDSAWithSHA256
	ECDSAWithSHA384
	ECDSAWithSHA512
	RSAPSSWithSHA256
	RSAPSSWithSHA384
	RSAPSSWithSHA512
	RSAPKCS1WithSHA256
	RSAPKCS1WithSHA384
	RSAPKCS1WithSHA512
)

var schemes = [...]method{
	ECDSAWithSHA224:    {kind: kindECDSA, hash: crypto.SHA224},
	ECDSAWithSHA256:    {kind: kindECDSA, hash: crypto.SHA256},
	ECDSAWithSHA384:    {kind: kindECDSA, hash: crypto.SHA384},
	ECDSAWithSHA512:    {kind: kindECDSA, hash: crypto.SHA512},
	RSAPSSWithSHA256:   {kind: kindPSS, hash: crypto.SHA256},
	RSAPSSWithSHA384:   {kind: kindPSS, hash: crypto.SHA384},
	RSAPSSWithSHA512:   {kind: kindPSS, hash: crypto.SHA512},
	RSAPKCS1WithSHA256: {kind: kindPKCS1, hash: crypto.SHA256},
	RSAPKCS1WithSHA384: {kind: kindPKCS1, hash: crypto.SHA384},
	RSAPKCS1WithSHA512: {kind: kindPKCS1, hash: crypto.SHA512},
}

// Schemes lists all of them.
func Schemes() []Scheme {
	list := make([]Scheme, 0, len(schemes)-1)
	for s := range schemes[1:] {
		list = append(list, Scheme(s+1))
	}
	return list
}

func (s Scheme) valid() bool { return s > 0 && int(s) < len(schemes) }

func (s Scheme) String() string {
	if !s.valid() {
		return fmt.Sprintf("cert.Scheme(%d)", int(s))
	}
	return schemes[s].String()
}

// Hash is the hash of the scheme, 0 for the zero Scheme.
func (s Scheme) Hash() crypto.Hash {
	if !s.valid() {
		return 0
	}
	return schemes[s].hash
}

// DefaultScheme is the scheme for a key: ECDSA with a hash as strong as the
// curve (Doc 9303-12 §4.4.2), RSA-PSS with a hash as strong as the modulus. It
// is zero for a key that cannot sign.
func DefaultScheme(pub crypto.PublicKey) Scheme {
	switch key := pub.(type) {
	case *curve.PublicKey:
		switch bits := key.Curve.BitSize(); {
		case bits <= 256:
			return ECDSAWithSHA256
		case bits <= 384:
			return ECDSAWithSHA384
		}
		return ECDSAWithSHA512
	case *rsa.PublicKey:
		if key.N.BitLen() >= 4096 {
			return RSAPSSWithSHA512
		}
		return RSAPSSWithSHA256
	}
	return 0
}

// SchemeOf is the scheme that a signer wants: its own choice, where it has a
// method Scheme that makes one, else the default of its key.
func SchemeOf(signer crypto.Signer) Scheme {
	if chooser, ok := signer.(interface{ Scheme() Scheme }); ok && chooser.Scheme() != 0 {
		return chooser.Scheme()
	}
	return DefaultScheme(signer.Public())
}

// ParseScheme finds a scheme by its name, as String writes it.
func ParseScheme(name string) (Scheme, error) {
	msg := ""
	for _, s := range Schemes() {
		if s.String() == name {
			return s, nil
		}
		msg += "; " + s.String()
	}
	return 0, fmt.Errorf("there is no signature scheme %q; there are%s", name, msg[1:])
}

// Fits tells whether a key can sign with the scheme.
func (s Scheme) Fits(pub crypto.PublicKey) bool {
	switch pub.(type) {
	case *curve.PublicKey:
		return s.valid() && schemes[s].kind == kindECDSA
	case *rsa.PublicKey:
		return s.valid() && (schemes[s].kind == kindPKCS1 || schemes[s].kind == kindPSS)
	}
	return false
}

// Algorithm is the AlgorithmIdentifier of the scheme: parameters absent for
// ECDSA, NULL for PKCS#1, spelled out for PSS with a salt as long as the hash.
func (s Scheme) Algorithm() (Algorithm, error) {
	if !s.valid() {
		return Algorithm{}, fmt.Errorf("%w: %v", ErrUnsupported, s)
	}
	m := schemes[s]
	if m.kind == kindPSS {
		return pssAlgorithm(m.hash)
	}
	for _, row := range methods {
		if row.method == m {
			a := Algorithm{OID: row.oid}
			if m.kind == kindPKCS1 {
				a.Params = null
			}
			return a, nil
		}
	}
	return Algorithm{}, fmt.Errorf("%w: %v", ErrUnsupported, s)
}

func pssAlgorithm(hash crypto.Hash) (Algorithm, error) {
	var oid asn1.ObjectIdentifier
	for _, h := range hashOIDs {
		if h.hash == hash {
			oid = h.oid
		}
	}
	hashAlgorithm := Algorithm{OID: oid, Params: null}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), hashAlgorithm.AddTo)
		b.AddASN1(cbasn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidMGF1)
				hashAlgorithm.AddTo(b)
			})
		})
		b.AddASN1(cbasn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(hash.Size())) })
	})
	params, err := b.Bytes()
	return Algorithm{OID: oidPSS, Params: params}, err
}

// Sign signs a message. The zero scheme is the signer's (SchemeOf).
func Sign(rand io.Reader, signer crypto.Signer, scheme Scheme, message []byte) (Algorithm, []byte, error) {
	if scheme == 0 {
		scheme = SchemeOf(signer)
	}
	a, err := scheme.Algorithm()
	if err != nil {
		return a, nil, fmt.Errorf("sign: %w", err)
	}
	m := schemes[scheme]
	if !scheme.Fits(signer.Public()) {
		return a, nil, fmt.Errorf("sign: %s is not for a key of type %T", scheme, signer.Public())
	}
	h := m.hash.New()
	h.Write(message)
	var opts crypto.SignerOpts = m.hash
	if m.kind == kindPSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.hash}
	}
	signature, err := signer.Sign(rand, h.Sum(nil), opts)
	if err != nil {
		return a, nil, fmt.Errorf("sign with %s: %w", scheme, err)
	}
	return a, signature, nil
}
