package cms

import (
	"crypto"
	_ "crypto/sha1" // link the hashes that digestAlgorithms names
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// digests are the hashes that Doc 9303-12 section 4.4.3 allows, and SHA-1,
// which old documents still carry.
var digests = []struct {
	hash crypto.Hash
	oid  asn1.ObjectIdentifier
}{
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}},
	{crypto.SHA224, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}},
	{crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}},
	{crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}},
	{crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}},
}

// HashByOID gives the hash that a DigestAlgorithm names.
func HashByOID(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	for _, d := range digests {
		if d.oid.Equal(oid) {
			return d.hash, true
		}
	}
	return 0, false
}

// AddDigestAlgorithm appends the AlgorithmIdentifier of a hash. Its parameters
// are absent, as Doc 9303-10 section 4.6.2.2 and RFC 5754 section 2 ask of
// issuers; readers take a NULL as well.
func AddDigestAlgorithm(b *cryptobyte.Builder, hash crypto.Hash) {
	for _, d := range digests {
		if d.hash == hash {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(d.oid) })
			return
		}
	}
	b.SetError(fmt.Errorf("no object identifier is known for the hash %v", hash))
}

// ReadDigestAlgorithm reads the AlgorithmIdentifier of a hash, with parameters
// absent or NULL.
func ReadDigestAlgorithm(s *cryptobyte.String) (crypto.Hash, error) {
	var seq, params cryptobyte.String
	var oid asn1.ObjectIdentifier
	var hasNull bool
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) ||
		!seq.ReadOptionalASN1(&params, &hasNull, cbasn1.NULL) || len(params) > 0 || !seq.Empty() {
		return 0, fmt.Errorf("malformed digest algorithm")
	}
	hash, ok := HashByOID(oid)
	if !ok {
		return 0, fmt.Errorf("unknown digest algorithm %v", oid)
	}
	return hash, nil
}
