package packet

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxSigned bounds a signed manifest or receipt.
const MaxSigned = 1024

// Signing domains: what is put before the body when it is signed. They end in
// an octet that no body begins with, and none is the beginning of another.
const (
	manifestDomain = "chipid packet manifest 1\x00"
	receiptDomain  = "chipid hub receipt 1\x00"
)

// Manifest is what a station says about a packet, and signs.
type Manifest struct {
	PacketID  string
	Station   string
	Sequence  uint64 // counts the station's packets from 1, without gaps
	SHA256    [sha256.Size]byte
	Size      int64
	CreatedAt time.Time // by the station's clock
}

// Receipt is what the hub says about a packet that it has on disk, and signs.
type Receipt struct {
	PacketID   string
	Station    string
	Sequence   uint64
	SHA256     [sha256.Size]byte
	Size       int64
	ReceivedAt time.Time // by the hub's clock
}

// statement is the signed form that manifest and receipt share; the domain
// tells them apart.
type statement struct {
	Version  int               `cbor:"1,keyasint"`
	PacketID string            `cbor:"2,keyasint"`
	Station  string            `cbor:"3,keyasint"`
	Sequence uint64            `cbor:"4,keyasint"`
	SHA256   [sha256.Size]byte `cbor:"5,keyasint"`
	Size     int64             `cbor:"6,keyasint"`
	Millis   int64             `cbor:"7,keyasint"` // since 1970 in UTC
}

// envelope is a body and its signature, on the wire and on disk.
type envelope struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte
}

func (s statement) check() error {
	switch {
	case s.Version != version:
		return fmt.Errorf("format %d; this program knows format %d", s.Version, version)
	case !ValidID(s.PacketID):
		return errors.New("the packet id is not 32 hexadecimal digits")
	case !ValidStation(s.Station):
		return errors.New("the station's name is not valid")
	case s.Sequence == 0 || s.Sequence > 1<<62:
		return fmt.Errorf("sequence number %d is out of range", s.Sequence)
	case s.Size <= 0 || s.Size > MaxSealed:
		return fmt.Errorf("a packet of %d octets; 1 to %d are allowed", s.Size, MaxSealed)
	}
	return nil
}

func (s statement) sign(domain string, key crypto.Signer) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return nil, fmt.Errorf("the key is %T; Ed25519 is needed", key.Public())
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	body, err := canonical.Marshal(s)
	if err != nil {
		return nil, err
	}
	// Pure Ed25519 (RFC 8032) takes the message itself and no randomness, so
	// signing the same statement again gives the same octets.
	signature, err := key.Sign(nil, append([]byte(domain), body...), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(envelope{Body: body, Signature: signature})
}

// open checks form, then signature if there is a key to check it with.
func open(raw []byte, domain string, key ed25519.PublicKey) (s statement, err error) {
	if len(raw) > MaxSigned {
		return s, fmt.Errorf("%d octets; at most %d are allowed", len(raw), MaxSigned)
	}
	var e envelope
	if err := decodeExact(raw, &e); err != nil {
		return s, err
	}
	if key != nil && (len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(domain), e.Body...), e.Signature)) {
		return s, ErrSignature
	}
	if len(e.Signature) != ed25519.SignatureSize {
		return s, ErrSignature
	}
	if err := decodeExact(e.Body, &s); err != nil {
		return s, err
	}
	return s, s.check()
}

// ErrSignature is in the error where a manifest or a receipt was signed with
// another key, for another purpose, or was altered.
var ErrSignature = errors.New("the signature does not hold")

// SignManifest gives the signed form of m. CreatedAt is kept to the
// millisecond. The same manifest signed again gives the same octets.
func SignManifest(m Manifest, key crypto.Signer) ([]byte, error) {
	raw, err := statement{
		Version: version, PacketID: m.PacketID, Station: m.Station, Sequence: m.Sequence,
		SHA256: m.SHA256, Size: m.Size, Millis: m.CreatedAt.UnixMilli(),
	}.sign(manifestDomain, key)
	if err != nil {
		return nil, fmt.Errorf("sign the manifest of packet %s: %w", m.PacketID, err)
	}
	return raw, nil
}

// VerifyManifest checks a signed manifest against the station's key and gives
// what it says.
func VerifyManifest(raw []byte, key ed25519.PublicKey) (Manifest, error) {
	if key == nil {
		return Manifest{}, errors.New("verify a manifest: there is no key to verify it with")
	}
	s, err := open(raw, manifestDomain, key)
	if err != nil {
		return Manifest{}, fmt.Errorf("verify a manifest: %w", err)
	}
	return s.manifest(), nil
}

// ReadManifest gives what a signed manifest says without knowing whether it is
// true. Good for telling people apart who mistake each other's packets; not
// for deciding anything.
func ReadManifest(raw []byte) (Manifest, error) {
	s, err := open(raw, manifestDomain, nil)
	if err != nil {
		return Manifest{}, fmt.Errorf("read a manifest: %w", err)
	}
	return s.manifest(), nil
}

func (s statement) manifest() Manifest {
	return Manifest{
		PacketID: s.PacketID, Station: s.Station, Sequence: s.Sequence,
		SHA256: s.SHA256, Size: s.Size, CreatedAt: time.UnixMilli(s.Millis).UTC(),
	}
}

// SignReceipt gives the signed form of r.
func SignReceipt(r Receipt, key crypto.Signer) ([]byte, error) {
	raw, err := statement{
		Version: version, PacketID: r.PacketID, Station: r.Station, Sequence: r.Sequence,
		SHA256: r.SHA256, Size: r.Size, Millis: r.ReceivedAt.UnixMilli(),
	}.sign(receiptDomain, key)
	if err != nil {
		return nil, fmt.Errorf("sign the receipt of packet %s: %w", r.PacketID, err)
	}
	return raw, nil
}

// VerifyReceipt checks that raw is the hub's receipt for exactly the packet
// that m describes.
func VerifyReceipt(raw []byte, key ed25519.PublicKey, m Manifest) (Receipt, error) {
	if key == nil {
		return Receipt{}, errors.New("verify a receipt: the hub's key is not known")
	}
	s, err := open(raw, receiptDomain, key)
	if err != nil {
		return Receipt{}, fmt.Errorf("verify the receipt of packet %s: %w", m.PacketID, err)
	}
	if s.PacketID != m.PacketID || s.Station != m.Station || s.Sequence != m.Sequence || s.SHA256 != m.SHA256 || s.Size != m.Size {
		return Receipt{}, fmt.Errorf("verify the receipt of packet %s: it is for another packet", m.PacketID)
	}
	return Receipt{
		PacketID: s.PacketID, Station: s.Station, Sequence: s.Sequence,
		SHA256: s.SHA256, Size: s.Size, ReceivedAt: time.UnixMilli(s.Millis).UTC(),
	}, nil
}

// UploadName is what the upload of a packet is called on the hub. It follows
// from the signed manifest alone: a station that broke off, crashed or lost
// its notes asks for the same name again and finds what is already there.
func UploadName(signedManifest []byte) string {
	h := sha256.New()
	io.WriteString(h, "chipid upload 1\x00")
	h.Write(signedManifest)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
