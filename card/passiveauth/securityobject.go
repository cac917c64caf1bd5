package passiveauth

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/lds"
	"chipid/pki/cms"
)

// SecurityObject is the LDSSecurityObject of Doc 9303-10 §4.6.2.3, what EF.SOD
// signs:
//
//	LDSSecurityObject ::= SEQUENCE {
//	    version              INTEGER { v0(0), v1(1) },
//	    hashAlgorithm        AlgorithmIdentifier,
//	    dataGroupHashValues  SEQUENCE SIZE (2..ub-DataGroups) OF SEQUENCE {
//	        dataGroupNumber     INTEGER,
//	        dataGroupHashValue  OCTET STRING },
//	    ldsVersionInfo       SEQUENCE {            -- v1 only
//	        ldsVersion     PrintableString,
//	        unicodeVersion PrintableString } OPTIONAL }
type SecurityObject struct {
	Hash crypto.Hash
	// Hashes by number of the data group.
	Hashes map[int][]byte
	// The versions of the logical data structure ("0108") and of Unicode
	// ("040000"), which version 1 of the object signs; empty in version 0,
	// where only the unsigned EF.COM tells them.
	LDSVersion, UnicodeVersion string
}

// ErrSecurityObject says that a signed content is no LDSSecurityObject.
var ErrSecurityObject = errors.New("passive authentication: not a security object")

func securityObjectError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSecurityObject, fmt.Sprintf(format, args...))
}

const (
	lastDataGroup = 16
	// fewestHashes: DG1 and DG2 are mandatory.
	fewestHashes = 2
)

// Version of the object: 1 where it carries versions, else 0.
func (o SecurityObject) Version() int {
	if o.LDSVersion != "" || o.UnicodeVersion != "" {
		return 1
	}
	return 0
}

// DataGroups lists the numbers, in order.
func (o SecurityObject) DataGroups() []int {
	var numbers []int
	for n := range o.Hashes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// NewSecurityObject hashes the data groups of a document.
func NewSecurityObject(doc *lds.Document, hash crypto.Hash) (SecurityObject, error) {
	if !hash.Available() {
		return SecurityObject{}, fmt.Errorf("passive authentication: the hash %s is not available", hash)
	}
	o := SecurityObject{Hash: hash, Hashes: make(map[int][]byte)}
	for _, n := range doc.DataGroups() {
		raw, _ := doc.Get(lds.File(n))
		h := hash.New()
		h.Write(raw)
		o.Hashes[n] = h.Sum(nil)
	}
	return o, nil
}

// Encode writes the object in DER.
func (o SecurityObject) Encode() ([]byte, error) {
	if len(o.Hashes) < fewestHashes {
		return nil, securityObjectError("%d data groups; DG1 and DG2 are the least", len(o.Hashes))
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(o.Version()))
		cms.AddDigestAlgorithm(b, o.Hash)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, n := range o.DataGroups() {
				if n < 1 || n > lastDataGroup || len(o.Hashes[n]) != o.Hash.Size() {
					b.SetError(securityObjectError("data group %d with a hash of %d octets", n, len(o.Hashes[n])))
					return
				}
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(int64(n))
					b.AddASN1OctetString(o.Hashes[n])
				})
			}
		})
		if o.Version() == 1 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, version := range []string{o.LDSVersion, o.UnicodeVersion} {
					b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(version)) })
				}
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode the security object: %w", err)
	}
	return der, nil
}

// ParseSecurityObject reads an object. It refuses two hashes for one data
// group and hashes of a length that their algorithm cannot have: each would let
// a reader and a judge see different things.
func ParseSecurityObject(der []byte) (SecurityObject, error) {
	input := cryptobyte.String(der)
	var body, list cryptobyte.String
	var version int
	if !input.ReadASN1(&body, cbasn1.SEQUENCE) || !input.Empty() || !body.ReadASN1Integer(&version) {
		return SecurityObject{}, securityObjectError("it is not one SEQUENCE with a version")
	}
	if version != 0 && version != 1 {
		return SecurityObject{}, securityObjectError("version %d is unknown", version)
	}
	hash, err := cms.ReadDigestAlgorithm(&body)
	if err != nil {
		return SecurityObject{}, fmt.Errorf("%w: %w", ErrSecurityObject, err)
	}
	o := SecurityObject{Hash: hash, Hashes: make(map[int][]byte)}
	if !body.ReadASN1(&list, cbasn1.SEQUENCE) {
		return SecurityObject{}, securityObjectError("it has no list of hashes")
	}
	for !list.Empty() {
		var entry, value cryptobyte.String
		var n int
		if !list.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1Integer(&n) ||
			!entry.ReadASN1(&value, cbasn1.OCTET_STRING) || !entry.Empty() {
			return SecurityObject{}, securityObjectError("a hash is malformed")
		}
		if n < 1 || n > lastDataGroup {
			return SecurityObject{}, securityObjectError("there is no data group %d", n)
		}
		if _, twice := o.Hashes[n]; twice {
			return SecurityObject{}, securityObjectError("data group %d has two hashes", n)
		}
		if len(value) != hash.Size() {
			return SecurityObject{}, securityObjectError("the hash of data group %d has %d octets, %s has %d", n, len(value), hash, hash.Size())
		}
		o.Hashes[n] = slices.Clone([]byte(value))
	}
	if len(o.Hashes) == 0 {
		return SecurityObject{}, securityObjectError("it has no hashes")
	}
	if body.Empty() {
		// Version 1 wants the versions, yet its signature is as good without.
		return o, nil
	}
	var versions, ldsVersion, unicodeVersion cryptobyte.String
	if !body.ReadASN1(&versions, cbasn1.SEQUENCE) || !body.Empty() ||
		!versions.ReadASN1(&ldsVersion, cbasn1.PrintableString) ||
		!versions.ReadASN1(&unicodeVersion, cbasn1.PrintableString) || !versions.Empty() {
		return SecurityObject{}, securityObjectError("its versions are malformed")
	}
	const maxVersion = 16 // "0108" and "040000" in practice
	if len(ldsVersion) > maxVersion || len(unicodeVersion) > maxVersion {
		return SecurityObject{}, securityObjectError("its versions are too long")
	}
	o.LDSVersion, o.UnicodeVersion = string(ldsVersion), string(unicodeVersion)
	return o, nil
}
