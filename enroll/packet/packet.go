// Package packet is what leaves a station: one application's record with its
// photo and evidence, sealed so that only the centre can read it, and a
// manifest signed so that the centre knows whose it is before it takes a byte.
//
//	Content   the record and its blobs, as one bounded CBOR map
//	   │      Seal: age, hybrid post-quantum recipient (ML-KEM-768 with X25519)
//	sealed    what is stored at the station, carried, and kept at the hub
//	   │      SHA-256 and size go into
//	Manifest  packet id, station, sequence, digest, size, time; Ed25519 by the station
//	   │      the hub stores the sealed octets, then answers with
//	Receipt   the same facts and the time of storing; Ed25519 by the hub
//
// The hub needs only the manifest to decide whether it wants a packet, and the
// station needs only the receipt to know that the packet is safe. Everything
// signed is deterministic CBOR (RFC 8949 section 4.2.1) in one encoding and no
// other, so that equal means octet for octet equal, and each kind is signed
// under its own domain, so that a manifest can never pass for a receipt.
//
// A sealed packet names its packet id and station inside too. A station that
// gets hold of another's sealed octets can sign a manifest over them, but the
// name within betrays it.
package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
)

// Bounds of a packet. A record with photo and evidence has about 2 MB; ten
// fingers and two irises as raw pictures stay below 16 MB.
const (
	MaxSealed = 64 << 20 // sealed octets
	maxRecord = 1 << 20
	maxBlobs  = 16
	maxBlob   = 48 << 20
	maxPlain  = MaxSealed - 1<<20 // leaves room for age's header and chunk tags
	version   = 1
)

// Names of blobs that the hub knows.
const (
	Photo    = "photo"
	Evidence = "evidence"
)

// Blob is a named picture or other binary part of a record.
type Blob struct {
	Name string `cbor:"1,keyasint"` // a–z, 0–9, dot and dash
	Data []byte `cbor:"2,keyasint"`
}

// Content is what is sealed.
type Content struct {
	PacketID    string `cbor:"2,keyasint"`
	Station     string `cbor:"3,keyasint"`
	Application string `cbor:"4,keyasint"` // the record's id at the station
	Record      []byte `cbor:"5,keyasint"` // the record as the station wrote it
	Blobs       []Blob `cbor:"6,keyasint"` // in order of their names
}

type versioned struct {
	Version int `cbor:"1,keyasint"`
	Content
}

// NewID draws a packet id: 128 random bits, so that two stations whose clocks
// agree to the nanosecond still never meet.
func NewID(rand io.Reader) (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return "", fmt.Errorf("draw a packet id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// ValidID tells whether id has the form that NewID gives.
func ValidID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// validName bounds the names of stations, records and blobs: they end up in
// file names, database keys and log lines.
func validName(s string, max int) bool {
	if s == "" || len(s) > max || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ValidStation tells whether id can name a station.
func ValidStation(id string) bool { return validName(id, 64) }

// Blob gives the data of the named blob, or nil.
func (c *Content) Blob(name string) []byte {
	for _, b := range c.Blobs {
		if b.Name == name {
			return b.Data
		}
	}
	return nil
}

func (c *Content) check() error {
	switch {
	case !ValidID(c.PacketID):
		return errors.New("the packet id is not 32 hexadecimal digits")
	case !ValidStation(c.Station):
		return errors.New("the station's name is empty, too long or has characters other than letters, digits, dot, dash and underscore")
	case !validName(c.Application, 64):
		return errors.New("the record's id is empty, too long or has characters other than letters, digits, dot, dash and underscore")
	case len(c.Record) == 0 || len(c.Record) > maxRecord:
		return fmt.Errorf("the record has %d octets; 1 to %d are allowed", len(c.Record), maxRecord)
	case len(c.Blobs) > maxBlobs:
		return fmt.Errorf("%d blobs; at most %d are allowed", len(c.Blobs), maxBlobs)
	}
	last := ""
	for _, b := range c.Blobs {
		switch {
		case !validName(b.Name, 32):
			return errors.New("a blob's name is empty, too long or has characters other than letters, digits, dot, dash and underscore")
		case b.Name <= last:
			return fmt.Errorf("blob %s is there twice or out of order", b.Name)
		case len(b.Data) == 0 || len(b.Data) > maxBlob:
			return fmt.Errorf("blob %s has %d octets; 1 to %d are allowed", b.Name, len(b.Data), maxBlob)
		}
		last = b.Name
	}
	return nil
}

// Seal encrypts content to the centre. The blobs may be in any order. Sealing
// twice gives different octets: seal once, store, and send what is stored.
// (age draws its keys from crypto/rand and takes no other source.)
//
// A recipient without a post-quantum half is refused: what is recorded from
// the wire today must stay closed when the classical half falls.
func Seal(content Content, to age.Recipient) ([]byte, error) {
	if _, ok := to.(*age.HybridRecipient); !ok {
		return nil, fmt.Errorf("seal a packet: the centre's key is %T; a hybrid post-quantum one (age1pq1…) is needed", to)
	}
	content.Blobs = slices.Clone(content.Blobs)
	slices.SortFunc(content.Blobs, func(a, b Blob) int { return strings.Compare(a.Name, b.Name) })
	if err := content.check(); err != nil {
		return nil, fmt.Errorf("seal a packet: %w", err)
	}
	plain, err := canonical.Marshal(versioned{Version: version, Content: content})
	if err != nil {
		return nil, fmt.Errorf("seal a packet: %w", err)
	}
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("seal a packet: record and blobs have %d octets together; at most %d are allowed", len(plain), maxPlain)
	}
	var sealed bytes.Buffer
	sealed.Grow(len(plain) + len(plain)/1024 + 4096)
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, fmt.Errorf("seal a packet: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal a packet: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal a packet: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open decrypts what Seal made. It reads no more than a packet can have.
func Open(sealed io.Reader, identity age.Identity) (*Content, error) {
	r, err := age.Decrypt(io.LimitReader(sealed, MaxSealed), identity)
	if err != nil {
		var other *age.NoIdentityMatchError
		if errors.As(err, &other) {
			return nil, errors.New("open a packet: it is sealed to another centre's key")
		}
		return nil, fmt.Errorf("open a packet: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("open a packet: %w", err)
	}
	content, err := decodeContent(plain)
	if err != nil {
		return nil, fmt.Errorf("open a packet: %w", err)
	}
	return content, nil
}

func decodeContent(plain []byte) (*Content, error) {
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("more than %d octets within", maxPlain)
	}
	var v versioned
	if err := decodeExact(plain, &v); err != nil {
		return nil, err
	}
	if v.Version != version {
		return nil, fmt.Errorf("packet format %d; this program knows format %d", v.Version, version)
	}
	if err := v.Content.check(); err != nil {
		return nil, err
	}
	return &v.Content, nil
}

var (
	canonical = must(cbor.CoreDetEncOptions().EncMode())
	strict    = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		// A struct's field matches only its own key.
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode())
)

// must is for modes made of constants alone: it fails at the first run or never.
func must[T any](mode T, err error) T {
	if err != nil {
		panic(err)
	}
	return mode
}

// decodeExact decodes raw into v and refuses every encoding of the same values
// but the one that canonical gives.
func decodeExact(raw []byte, v any) error {
	if err := strict.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("malformed: %w", err)
	}
	again, err := canonical.Marshal(v)
	if err != nil {
		return fmt.Errorf("malformed: %w", err)
	}
	if !bytes.Equal(raw, again) {
		return errors.New("malformed: not in the one canonical encoding")
	}
	return nil
}
