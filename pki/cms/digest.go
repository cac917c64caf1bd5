package cms

import (
	"bytes"
	"crypto"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"chipid/pki/cert"
)

// AddDigestAlgorithm appends the AlgorithmIdentifier of a hash. Its parameters
// are absent, as Doc 9303-10 section 4.6.2.2 and RFC 5754 section 2 ask of
// issuers; readers take a NULL as well.
func AddDigestAlgorithm(b *cryptobyte.Builder, hash crypto.Hash) {
	oid, ok := cert.HashOID(hash)
	if !ok {
		b.SetError(fmt.Errorf("no object identifier is known for the hash %v", hash))
		return
	}
	cert.Algorithm{OID: oid}.AddTo(b)
}

// ReadDigestAlgorithm reads the AlgorithmIdentifier of a hash, with parameters
// absent or NULL. A hash that is not known is cert.ErrUnsupported.
func ReadDigestAlgorithm(s *cryptobyte.String) (crypto.Hash, error) {
	algorithm, err := cert.ReadAlgorithm(s)
	if err != nil {
		return 0, fmt.Errorf("digest algorithm: %w", err)
	}
	if algorithm.Params != nil && !bytes.Equal(algorithm.Params, []byte{5, 0}) {
		return 0, fmt.Errorf("digest algorithm %v has parameters", algorithm.OID)
	}
	hash, ok := cert.HashByOID(algorithm.OID)
	if !ok {
		return 0, fmt.Errorf("unknown digest algorithm %v: %w", algorithm.OID, cert.ErrUnsupported)
	}
	return hash, nil
}
