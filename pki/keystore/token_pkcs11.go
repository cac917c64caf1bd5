//go:build cgo

package keystore

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/pki/cert"
	"chipid/pki/curve"
)

// HasTokens tells whether this program can use PKCS#11 tokens.
const HasTokens = true

// maxSessions bounds the pool of sessions with one token: enough to keep a
// network HSM busy, few enough for a USB stick.
const maxSessions = 8

// token is a pool of sessions with one token. A PKCS#11 session does one thing
// at a time, so each signature has one to itself. When the token goes away all
// sessions are dead; the next use looks for it again.
type token struct {
	uri *TokenURI
	pin func() ([]byte, error)

	free chan struct{} // one for each session that may be open

	// calls is held for reading by calls into the library, and for writing
	// while it is started again, which would pull it from under them. All
	// tokens of one library share it.
	calls *sync.RWMutex

	mu      sync.Mutex // guards what follows
	module  *pkcs11.Ctx
	slot    uint
	joined  uint // which time the token was found; 0 before the first
	present bool
	idle    []pkcs11.SessionHandle
	refused [sha256.Size]byte // the PIN that must not be offered again
}

func newToken(uri *TokenURI, calls *sync.RWMutex, pin func() ([]byte, error)) (*token, error) {
	module := pkcs11.New(uri.ModulePath)
	if module == nil {
		return nil, fmt.Errorf("open token %s: %w: %s is not there or is no PKCS#11 library for this machine", uri.name(), ErrModule, uri.ModulePath)
	}
	t := &token{uri: uri, pin: pin, calls: calls, module: module, free: make(chan struct{}, maxSessions)}
	for range maxSessions {
		t.free <- struct{}{}
	}
	if err := initialize(module); err != nil {
		return nil, fmt.Errorf("open token %s: %w: %s: %w", uri.name(), ErrModule, uri.ModulePath, err)
	}
	return t, nil
}

// initialize starts the library. It is one in the whole process: where another
// token's use of it has started it, that is as good.
func initialize(module *pkcs11.Ctx) error {
	if err := module.Initialize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return err
	}
	return nil
}

func is(err error, codes ...uint) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return false
	}
	for _, c := range codes {
		if uint(code) == c {
			return true
		}
	}
	return false
}

// isGone tells whether an error means that the token, or what we knew of it,
// is no more. Libraries differ in what they say.
func isGone(err error) bool {
	return is(err, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
		pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED)
}

// with runs use in a session. Where the token has gone, it is looked for once
// more: somebody may have put it back meanwhile.
func (t *token) with(use func(s pkcs11.SessionHandle, joined uint) error) error {
	<-t.free
	defer func() { t.free <- struct{}{} }()
	var first error
	for try := range 2 {
		s, joined, err := t.session()
		if err != nil {
			if first != nil {
				return fmt.Errorf("token %s: %w (%w); put it back and go on, what was done before stands", t.uri.name(), ErrTokenRemoved, err)
			}
			return fmt.Errorf("token %s: %w", t.uri.name(), err)
		}
		t.calls.RLock()
		err = use(s, joined)
		t.calls.RUnlock()
		// Some libraries do not say that a token is gone, only that it is empty.
		if emptied := errors.Is(err, ErrNoKey) && try == 0; !isGone(err) && !emptied {
			t.putBack(s, joined)
			if err != nil {
				return fmt.Errorf("token %s: %w", t.uri.name(), err)
			}
			return nil
		}
		t.lost(joined)
		first = err
	}
	return fmt.Errorf("token %s: %w, or fails: %w", t.uri.name(), ErrTokenRemoved, first)
}

// session gives an idle or a new session, logged in.
func (t *token) session() (s pkcs11.SessionHandle, joined uint, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); t.present && n > 0 {
		s, t.idle = t.idle[n-1], t.idle[:n-1]
		return s, t.joined, nil
	}
	s, err = t.newSession()
	if err != nil && !t.present && !errors.Is(err, ErrWrongPIN) && !errors.Is(err, ErrPINLocked) {
		// Some libraries see a token that came back only from a new start.
		if err = t.restart(); err == nil {
			s, err = t.newSession()
		}
	}
	return s, t.joined, err
}

// newSession opens a session with the token, which it looks for where it is
// not known to be there.
func (t *token) newSession() (pkcs11.SessionHandle, error) {
	t.calls.RLock()
	defer t.calls.RUnlock()
	if t.present {
		s, err := t.openSession()
		if !isGone(err) {
			return s, err
		}
		t.forget()
	}
	s, err := t.join()
	if err != nil {
		return 0, err
	}
	t.joined++
	t.present = true
	return s, nil
}

// restart finalizes and initializes the library. It kills every session that
// this process has through it; their owners find that out and come back.
func (t *token) restart() error {
	t.calls.Lock()
	defer t.calls.Unlock()
	if err := t.module.Finalize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	if err := initialize(t.module); err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	return nil
}

// join finds the token's slot and opens a first session.
func (t *token) join() (pkcs11.SessionHandle, error) {
	slots, err := t.module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("list the slots: %w", err)
	}
	found := 0
	var info pkcs11.TokenInfo
	for _, slot := range slots {
		i, err := t.module.GetTokenInfo(slot)
		if err != nil {
			continue // pulled out just now
		}
		if t.uri.matches(i) {
			found++
			t.slot, info = slot, i
		}
	}
	switch {
	case found == 0:
		return 0, fmt.Errorf("%w: none of %d slots of %s holds it", ErrTokenMissing, len(slots), t.uri.ModulePath)
	case found > 1:
		return 0, fmt.Errorf("%d tokens are of that name; tell them apart with serial=NUMBER in the URI", found)
	case info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return 0, fmt.Errorf("%w; its security officer can unlock it", ErrPINLocked)
	}
	return t.openSession()
}

func (u *TokenURI) matches(i pkcs11.TokenInfo) bool {
	for _, pair := range [][2]string{{u.Token, i.Label}, {u.Manufacturer, i.ManufacturerID}, {u.Model, i.Model}, {u.Serial, i.SerialNumber}} {
		if pair[0] != "" && pair[0] != strings.TrimRight(pair[1], " \x00") {
			return false
		}
	}
	return true
}

// openSession opens a session with the slot and logs in. A login holds for all
// sessions of the process, so most find it done.
func (t *token) openSession() (pkcs11.SessionHandle, error) {
	s, err := t.module.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return 0, fmt.Errorf("open a session: %w", err)
	}
	if err := t.login(s); err != nil {
		// The session is of no use; whether it closes does not matter.
		_ = t.module.CloseSession(s)
		return 0, err
	}
	return s, nil
}

func (t *token) login(s pkcs11.SessionHandle) error {
	if info, err := t.module.GetSessionInfo(s); err == nil && (info.State == pkcs11.CKS_RW_USER_FUNCTIONS || info.State == pkcs11.CKS_RO_USER_FUNCTIONS) {
		return nil
	}
	pin, err := t.pin()
	if err != nil {
		return err
	}
	if sha256.Sum256(pin) == t.refused {
		return fmt.Errorf("%w: the token has refused this PIN before, and it is not offered again", ErrWrongPIN)
	}
	switch err := t.module.Login(s, pkcs11.CKU_USER, string(pin)); {
	case err == nil, is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case is(err, pkcs11.CKR_PIN_LOCKED):
		return fmt.Errorf("%w; its security officer can unlock it", ErrPINLocked)
	case is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE):
		t.refused = sha256.Sum256(pin)
		if info, err := t.module.GetTokenInfo(t.slot); err == nil {
			switch {
			case info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
				return fmt.Errorf("%w, and %w now", ErrWrongPIN, ErrPINLocked)
			case info.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
				return fmt.Errorf("%w; one try is left before it locks", ErrWrongPIN)
			}
		}
		return ErrWrongPIN
	default:
		return fmt.Errorf("log in: %w", err)
	}
}

func (t *token) putBack(s pkcs11.SessionHandle, joined uint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.present && joined == t.joined {
		t.idle = append(t.idle, s)
	}
}

// lost gives all sessions up that are as old as the one that failed.
func (t *token) lost(joined uint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if joined == t.joined {
		t.forget()
	}
}

func (t *token) forget() {
	for _, s := range t.idle {
		// Dead most likely; where the token is well, it gets its session back.
		_ = t.module.CloseSession(s)
	}
	t.present, t.idle = false, nil
}

func (t *token) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// The library stays: it is one in the process, and may serve others.
	t.forget()
}

// find gives the one object of a class that a URI names.
func (t *token) find(s pkcs11.SessionHandle, class uint, u *TokenURI) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	if u.Object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object))
	}
	if u.ID != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(u.ID)))
	}
	if err := t.module.FindObjectsInit(s, template); err != nil {
		return 0, fmt.Errorf("look for the key: %w", err)
	}
	found, _, err := t.module.FindObjects(s, 2)
	if end := t.module.FindObjectsFinal(s); err == nil {
		err = end
	}
	if err != nil {
		return 0, fmt.Errorf("look for the key: %w", err)
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: %s", ErrNoKey, u.key())
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("several keys are %s; tell them apart with object= and id= in the URI", u.key())
}

func (u *TokenURI) key() string {
	if u.Object != "" {
		return fmt.Sprintf("%q", u.Object)
	}
	return fmt.Sprintf("of id %X", u.ID)
}

// open finds a key and reads its public half.
func (t *token) open(u *TokenURI) (crypto.Signer, error) {
	if u.Object == "" && u.ID == "" {
		return nil, fmt.Errorf("token %s: the URI names no key: give object=LABEL or id=%%XX", u.name())
	}
	key := &tokenKey{token: t, uri: u}
	err := t.with(func(s pkcs11.SessionHandle, joined uint) error {
		private, err := t.find(s, pkcs11.CKO_PRIVATE_KEY, u)
		if err != nil {
			return err
		}
		key.handle, key.joined = private, joined
		key.public, err = t.publicKey(s, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the key: %w", err)
	}
	return key, nil
}

func (t *token) publicKey(s pkcs11.SessionHandle, u *TokenURI) (crypto.PublicKey, error) {
	object, err := t.find(s, pkcs11.CKO_PUBLIC_KEY, u)
	if err != nil {
		return nil, fmt.Errorf("the public half: %w", err)
	}
	kind, err := t.module.GetAttributeValue(s, object, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil)})
	if err != nil {
		return nil, fmt.Errorf("read the public half: %w", err)
	}
	types, parse := []uint{pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT}, parseECPublic
	switch {
	case bytes.Equal(kind[0].Value, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_RSA)).Value):
		types, parse = []uint{pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT}, parseRSAPublic
	case !bytes.Equal(kind[0].Value, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_EC)).Value):
		return nil, errors.New("the key is neither RSA nor on a curve")
	}
	values, err := t.module.GetAttributeValue(s, object, []*pkcs11.Attribute{pkcs11.NewAttribute(types[0], nil), pkcs11.NewAttribute(types[1], nil)})
	if err != nil {
		return nil, fmt.Errorf("read the public half: %w", err)
	}
	public, err := parse(values[0].Value, values[1].Value)
	if err != nil {
		return nil, fmt.Errorf("the token gives a public half that cannot be used: %w", err)
	}
	return public, nil
}

// parseECPublic reads CKA_EC_PARAMS and CKA_EC_POINT. The point is a DER OCTET
// STRING (PKCS#11 section 2.3.3 of the mechanisms); some tokens give it bare.
func parseECPublic(params, point []byte) (crypto.PublicKey, error) {
	c, _, err := curve.ParseParameters(params)
	if err != nil {
		return nil, err
	}
	in, inner := cryptobyte.String(point), cryptobyte.String(nil)
	if in.ReadASN1(&inner, cbasn1.OCTET_STRING) && in.Empty() {
		point = inner
	}
	return c.ParsePublicKey(point)
}

func parseRSAPublic(modulus, exponent []byte) (crypto.PublicKey, error) {
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if !e.IsInt64() {
		return nil, errors.New("the RSA exponent is too large")
	}
	// Through the one reader of keys, which knows what is out of bounds.
	spki, err := cert.MarshalPublicKey(&rsa.PublicKey{N: n, E: int(e.Int64())}, false)
	if err != nil {
		return nil, err
	}
	return cert.ParsePublicKey(spki)
}

// generate makes a key pair that stays in the token.
func (t *token) generate(u *TokenURI, kind Kind) (crypto.Signer, error) {
	err := t.with(func(s pkcs11.SessionHandle, _ uint) error {
		if _, err := t.find(s, pkcs11.CKO_PRIVATE_KEY, &TokenURI{Object: u.Object}); !errors.Is(err, ErrNoKey) {
			if err == nil {
				err = fmt.Errorf("it holds a key %s already: %w", u.key(), fs.ErrExist)
			}
			return err
		}
		id := []byte(u.ID)
		if len(id) == 0 {
			id = []byte(u.Object)
		}
		both := []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id),
		}
		private := append(both[:len(both):len(both)],
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
			pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
			pkcs11.NewAttribute(pkcs11.CKA_SIGN, true))
		public := append(both[:len(both):len(both)], pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true))
		mechanism := uint(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN)
		if kind.Curve != nil {
			params, err := ecParameters(kind.Curve)
			if err != nil {
				return err
			}
			mechanism = pkcs11.CKM_EC_KEY_PAIR_GEN
			public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, params))
		} else {
			public = append(public,
				pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, kind.RSABits),
				pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
		}
		if _, _, err := t.module.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, private); err != nil {
			return fmt.Errorf("generate a key on %s: %w", kind, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	key, err := t.open(u)
	if err != nil {
		return nil, fmt.Errorf("the key that was just generated: %w", err)
	}
	if public, ok := key.Public().(*curve.PublicKey); ok != (kind.Curve != nil) || ok && !public.Curve.Equal(kind.Curve) {
		return nil, fmt.Errorf("token %s: asked for a key on %s, it made another", u.name(), kind)
	}
	return key, nil
}

func ecParameters(c *curve.Curve) ([]byte, error) {
	if c.OID() == nil {
		return c.ExplicitParameters(), nil
	}
	return asn1.Marshal(c.OID())
}

// tokenKey is a key in a token.
type tokenKey struct {
	token  *token
	uri    *TokenURI
	public crypto.PublicKey

	mu     sync.Mutex
	handle pkcs11.ObjectHandle
	joined uint // when handle was found
}

func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// Sign signs in the token: ECDSA, RSA PKCS#1 v1.5 or, with *rsa.PSSOptions,
// RSA-PSS. Randomness is the token's. What the token gives is not believed:
// every issuing function verifies what it made before it gives it out.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	mechanism, input, err := k.mechanism(digest, opts)
	if err != nil {
		return nil, fmt.Errorf("sign with %s in token %s: %w", k.uri.key(), k.uri.name(), err)
	}
	var signature []byte
	err = k.token.with(func(s pkcs11.SessionHandle, joined uint) error {
		handle, err := k.find(s, joined)
		if err != nil {
			return err
		}
		if err := k.token.module.SignInit(s, []*pkcs11.Mechanism{mechanism}, handle); err != nil {
			return err
		}
		signature, err = k.token.module.Sign(s, input)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", k.uri.key(), err)
	}
	if public, ok := k.public.(*curve.PublicKey); ok {
		if signature, err = encodeECDSA(public.Curve, signature); err != nil {
			return nil, fmt.Errorf("sign with %s in token %s: %w", k.uri.key(), k.uri.name(), err)
		}
	}
	return signature, nil
}

// find gives the key's handle, which holds for all sessions until the token
// goes away.
func (k *tokenKey) find(s pkcs11.SessionHandle, joined uint) (pkcs11.ObjectHandle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.joined == joined {
		return k.handle, nil
	}
	handle, err := k.token.find(s, pkcs11.CKO_PRIVATE_KEY, k.uri)
	if err != nil {
		return 0, err
	}
	public, err := k.token.publicKey(s, k.uri)
	if err != nil {
		return 0, err
	}
	if same, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(k.public) {
		return 0, fmt.Errorf("%w: what is called %s there now is another key", ErrNoKey, k.uri.key())
	}
	k.handle, k.joined = handle, joined
	return handle, nil
}

// pssHashes are the hashes with their names for RSA-PSS.
var pssHashes = map[crypto.Hash][2]uint{
	crypto.SHA224: {pkcs11.CKM_SHA224, pkcs11.CKG_MGF1_SHA224},
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// mechanism says how to sign a digest, and what goes to the token.
func (k *tokenKey) mechanism(digest []byte, opts crypto.SignerOpts) (*pkcs11.Mechanism, []byte, error) {
	var hash crypto.Hash
	if opts != nil {
		hash = opts.HashFunc()
	}
	if hash != 0 && len(digest) != hash.Size() {
		return nil, nil, fmt.Errorf("the digest has %d octets, %v has %d", len(digest), hash, hash.Size())
	}
	if public, ok := k.public.(*curve.PublicKey); ok {
		// ECDSA takes the leftmost bits of the digest (SEC 1 section 4.1.3);
		// not every token does that by itself. Orders are of whole octets but
		// for P-521's, which no digest exceeds.
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), digest[:min(len(digest), public.Curve.OrderSize())], nil
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		names, ok := pssHashes[hash]
		if !ok {
			return nil, nil, fmt.Errorf("no RSA-PSS with %v", hash)
		}
		salt := pss.SaltLength
		if salt == rsa.PSSSaltLengthEqualsHash || salt == rsa.PSSSaltLengthAuto {
			salt = hash.Size()
		}
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(names[0], names[1], uint(salt))), digest, nil
	}
	oid, ok := cert.HashOID(hash)
	if !ok {
		return nil, nil, fmt.Errorf("no RSA signature with %v", hash)
	}
	// DigestInfo, RFC 8017 section 9.2.
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		cert.Algorithm{OID: oid, Params: []byte{0x05, 0x00}}.AddTo(b)
		b.AddASN1OctetString(digest)
	})
	info, err := b.Bytes()
	return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), info, err
}

// encodeECDSA turns a token's r‖s into SEQUENCE { r, s }.
func encodeECDSA(c *curve.Curve, signature []byte) ([]byte, error) {
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	if len(signature)%2 != 0 || half > c.OrderSize() || r.Sign() == 0 || s.Sign() == 0 {
		return nil, fmt.Errorf("the token gave %d octets that are no signature on %s", len(signature), c)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	return b.Bytes()
}
