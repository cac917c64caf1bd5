package keystore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// TokenURI is a PKCS#11 URI (RFC 7512): it names a token and a key in it, the
// library that speaks to the token, and where the PIN is found.
//
//	pkcs11:token=CSCA;object=csca-0001?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/csca.pin
//
// module-path is taken among the path attributes too, where many write it.
type TokenURI struct {
	Token, Manufacturer, Model, Serial string // what is empty matches any
	Object                             string // CKA_LABEL of the key
	ID                                 string // CKA_ID of the key, raw octets
	ModulePath                         string
	PINSource                          string // a path; empty asks
}

const maxPlace = 4096

// uriAttributes are the attributes that are understood, with their names as
// RFC 7512 section 2.3 has them.
var uriAttributes = []struct {
	name   string
	query  bool // stands behind the question mark
	either bool // or before it
	field  func(u *TokenURI) *string
}{
	{"token", false, false, func(u *TokenURI) *string { return &u.Token }},
	{"manufacturer", false, false, func(u *TokenURI) *string { return &u.Manufacturer }},
	{"model", false, false, func(u *TokenURI) *string { return &u.Model }},
	{"serial", false, false, func(u *TokenURI) *string { return &u.Serial }},
	{"object", false, false, func(u *TokenURI) *string { return &u.Object }},
	{"id", false, false, func(u *TokenURI) *string { return &u.ID }},
	{"module-path", true, true, func(u *TokenURI) *string { return &u.ModulePath }},
	{"pin-source", true, false, func(u *TokenURI) *string { return &u.PINSource }},
}

// ParsePlace reads the place of a private key: a path, file:PATH, or a PKCS#11
// URI. uri is nil where the key is in a file.
func ParsePlace(place string) (path string, uri *TokenURI, err error) {
	scheme, rest, ok := strings.Cut(place, ":")
	switch {
	case !ok || len(scheme) < 2 || strings.ContainsAny(scheme, `/\.`):
		return place, nil, nil // C:\keys and /tmp/a:b are paths, not URIs
	case scheme == "file":
		return rest, nil, nil
	case scheme != "pkcs11":
		return "", nil, fmt.Errorf("the key %s: keys are found by a path, file:PATH or pkcs11:…, not by %q", place, scheme+":")
	}
	uri, err = parseTokenURI(rest)
	if err != nil {
		return "", nil, fmt.Errorf("the PKCS#11 URI of a key: %w", err)
	}
	return "", uri, nil
}

func parseTokenURI(s string) (*TokenURI, error) {
	if len(s) > maxPlace {
		return nil, fmt.Errorf("it has more than %d octets", maxPlace)
	}
	u := new(TokenURI)
	path, query, _ := strings.Cut(s, "?")
	seen := map[string]bool{}
	for i, part := range []string{path, query} {
		isQuery := i == 1
		for attribute := range strings.SplitSeq(part, map[bool]string{false: ";", true: "&"}[isQuery]) {
			if attribute == "" {
				continue
			}
			name, encoded, ok := strings.Cut(attribute, "=")
			value, err := url.PathUnescape(encoded)
			if !ok || err != nil {
				return nil, fmt.Errorf("the attribute %q is malformed; %%XX stands for an octet", name)
			}
			if seen[name] {
				return nil, fmt.Errorf("the attribute %q is there twice", name)
			}
			seen[name] = true
			if err := u.set(name, value, isQuery); err != nil {
				return nil, err
			}
		}
	}
	if u.Token == "" && u.Serial == "" {
		return nil, errors.New("it names no token: give token=LABEL or serial=NUMBER")
	}
	if u.ModulePath == "" {
		return nil, errors.New("module-path is missing: the PKCS#11 library of the token, such as module-path=/usr/lib/softhsm/libsofthsm2.so")
	}
	return u, nil
}

func (u *TokenURI) set(name, value string, isQuery bool) error {
	for _, a := range uriAttributes {
		if a.name == name && (a.query == isQuery || a.either) {
			if strings.ContainsRune(value, 0) {
				return fmt.Errorf("the attribute %q holds a zero octet", name)
			}
			*a.field(u) = value
			return nil
		}
	}
	switch {
	case name == "type" && !isQuery:
		if value != "private" {
			return fmt.Errorf("type=%s: only private keys are wanted", value)
		}
		return nil
	case name == "pin-value":
		// It would stand in shell histories, process lists and authority.json.
		return errors.New("pin-value would show the PIN to everybody: put it into a file and name that with pin-source")
	case isQuery:
		return nil // RFC 7512 section 2.4: unknown ones are ignored here
	}
	// and match nothing there: section 2.3.
	return fmt.Errorf("the attribute %q is not supported", name)
}

// WithObject names another key in the same token.
func (u TokenURI) WithObject(label string) *TokenURI {
	u.Object, u.ID = label, ""
	return &u
}

// String is the URI. It holds no secret.
func (u *TokenURI) String() string {
	var path, query []string
	for _, a := range uriAttributes {
		value := *a.field(u)
		if value == "" {
			continue
		}
		pair := a.name + "=" + escape(value, a.query)
		if a.query {
			query = append(query, pair)
		} else {
			path = append(path, pair)
		}
	}
	s := "pkcs11:" + strings.Join(path, ";")
	if query != nil {
		s += "?" + strings.Join(query, "&")
	}
	return s
}

// escape writes all but unreserved octets, and slashes behind the question
// mark, as %XX.
func escape(s string, slashes bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || slashes && c == '/' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
