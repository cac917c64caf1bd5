//go:build !cgo

package keystore

import (
	"crypto"
	"fmt"
	"sync"
)

// HasTokens tells whether this program can use PKCS#11 tokens.
const HasTokens = false

// token stands in for PKCS#11 in builds without cgo: there is none.
type token struct{}

func newToken(uri *TokenURI, _ *sync.RWMutex, _ func() ([]byte, error)) (*token, error) {
	return nil, fmt.Errorf("open token %s: %w", uri.name(), ErrNotBuilt)
}

func (*token) open(*TokenURI) (crypto.Signer, error)           { return nil, ErrNotBuilt }
func (*token) generate(*TokenURI, Kind) (crypto.Signer, error) { return nil, ErrNotBuilt }
func (*token) close()                                          {}
