package pace

import (
	"crypto/cipher"
	"encoding/asn1"
	"fmt"
	"slices"

	"chipid/card/iso7816"
	"chipid/card/kdf"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Offer is one way to run PACE that a chip offers: a protocol and where to find
// the domain parameters for it. One over standardised parameters needs its Info
// only.
type Offer struct {
	Info lds.PACEInfo

	// Explicit are the chip's own domain parameters, an AlgorithmIdentifier;
	// nil: Info.ParameterID is a number of the standardised ones.
	Explicit []byte

	// Ambiguous says that the chip has more than one set of domain parameters,
	// so that MSE:Set AT must name the choice (Doc 9303-11 §4.4.4.1).
	Ambiguous bool

	judge func() (lds.DomainParameters, error) // of Explicit, once; nil: whenever asked
}

// Offers lists what EF.CardAccess offers, in its order, what this package does
// not speak included: see Supported. Explicit parameters are judged when they are
// first needed, once for all the offers over them.
func Offers(infos lds.SecurityInfos) []Offer {
	var offers []Offer
	sets := map[string]bool{}
	judges := map[string]func() (lds.DomainParameters, error){}
	for _, info := range infos.PACE {
		o := Offer{Info: info, Explicit: explicit(infos.PACEDomainParameters, info)}
		if o.Explicit != nil {
			o.judge = judges[string(o.Explicit)]
			if o.judge == nil {
				o.judge = judgeOnce(o.Explicit, len(judges))
				judges[string(o.Explicit)] = o.judge
			}
		}
		sets[fmt.Sprintf("%t %d %x", info.HasParameterID, info.ParameterID, o.Explicit)] = true
		offers = append(offers, o)
	}
	for n := range offers {
		offers[n].Ambiguous = len(sets) > 1 && offers[n].Info.HasParameterID
	}
	return offers
}

// explicit finds the domain parameters that a PACEInfo without a standardised
// identifier means: those of its kind with its identifier, or the only ones of
// its kind where there is no identifier (Doc 9303-11 §9.2.1, §9.2.2).
func explicit(sets []lds.PACEDomainParameterInfo, info lds.PACEInfo) []byte {
	if info.HasParameterID && lds.IsStandardizedID(info.ParameterID) {
		return nil
	}
	kind := slices.DeleteFunc(slices.Clone(sets), func(p lds.PACEDomainParameterInfo) bool { return p.Agreement() != info.Agreement() })
	for _, p := range kind {
		if info.HasParameterID && p.HasParameterID && p.ParameterID == info.ParameterID || len(kind) == 1 && !(info.HasParameterID && p.HasParameterID) {
			return p.Parameters
		}
	}
	return nil
}

// Name is the protocol's name, such as PACE-ECDH-GM-AES-CBC-CMAC-128.
func (o Offer) Name() string { return o.Info.Name() }

// Weak tells whether the offer is over the standardised domain parameters that
// give less than 112 bits of security (NIST SP 800-57 part 1, table 2): the group
// of 1024 bits and the curves of 192. They are the standard's, and so are taken, if
// there is nothing better; a card's own of that strength are not: see explicit.go.
func (o Offer) Weak() bool {
	if o.Explicit != nil || !o.Info.HasParameterID {
		return false
	}
	switch o.Info.ParameterID { // Doc 9303-11 §9.5.1
	case modp1024, nistP192, brainpoolP192r1:
		return true
	}
	return false
}

const (
	modp1024        = 0
	nistP192        = 8
	brainpoolP192r1 = 9
)

// Supported tells whether NewTerminal and NewChip take this offer, and if not,
// why: an error that wraps ErrUnsupported.
func (o Offer) Supported() error {
	_, err := newSuite(o)
	return err
}

// parameters finds the group of an offer; explicit.go says which are taken.
func (o Offer) parameters() (lds.DomainParameters, error) {
	var p lds.DomainParameters
	switch {
	case o.Explicit != nil:
		var err error
		if p, err = o.judged(); err != nil {
			return p, fmt.Errorf("%w: %s over explicit domain parameters: %w", ErrUnsupported, o.Name(), err)
		}
	case !o.Info.HasParameterID:
		return p, fmt.Errorf("%w: %s without domain parameters", ErrUnsupported, o.Name())
	default:
		var ok bool
		if p, ok = lds.StandardizedParameters(o.Info.ParameterID); !ok {
			return p, fmt.Errorf("%w: %s over domain parameters %d", ErrUnsupported, o.Name(), o.Info.ParameterID)
		}
	}
	if p.Agreement() != o.Info.Agreement() {
		return p, fmt.Errorf("%w: %s over domain parameters for %s", ErrUnsupported, o.Name(), p.Agreement())
	}
	return p, nil
}

// suite is one variant of PACE with its domain parameters.
type suite struct {
	offer   Offer
	cipher  iso7816.Cipher
	mapping lds.Mapping
	group   group
	oid     []byte // DER, as it enters MSE:Set AT and the tokens
}

func newSuite(o Offer) (suite, error) {
	if o.Info.Mapping() == 0 || o.Info.Cipher() == 0 {
		return suite{}, fmt.Errorf("%w: %s", ErrUnsupported, o.Name())
	}
	if o.Info.Version != 2 {
		return suite{}, fmt.Errorf("%w: version %d of %s", ErrUnsupported, o.Info.Version, o.Name())
	}
	parameters, err := o.parameters()
	if err != nil {
		return suite{}, err
	}
	s := suite{offer: o, cipher: o.Info.Cipher(), mapping: o.Info.Mapping(), group: newGroup(parameters)}
	if s.mapping == lds.IntegratedMapping && !s.group.canMap() {
		return suite{}, fmt.Errorf("%w: %s over %s, which has no integrated mapping", ErrUnsupported, o.Name(), parameters.Curve)
	}
	if s.mapping == lds.ChipAuthenticationMapping && !o.Info.HasParameterID {
		return suite{}, fmt.Errorf("%w: %s names no key", ErrUnsupported, o.Name())
	}
	if s.mapping == lds.ChipAuthenticationMapping && o.Explicit != nil {
		return suite{}, fmt.Errorf("%w: %s over domain parameters of the card's own, which its key need not share", ErrUnsupported, o.Name())
	}
	if s.oid, err = asn1.Marshal(o.Info.Protocol); err != nil {
		return suite{}, fmt.Errorf("%w: %s: %w", ErrUnsupported, o.Name(), err)
	}
	return s, nil
}

// NonceSize is the length of the nonce s that this chip draws for the generic
// mapping. Others draw any whole number of blocks.
const NonceSize = 16

// maxNonce bounds what a terminal takes.
const maxNonce = 64

// nonceSize is what the chip draws. The integrated mapping wants as many whole
// blocks as a key has room for (Doc 9303-11 §4.4.3.3).
func (s suite) nonceSize() int {
	if s.mapping == lds.IntegratedMapping {
		return (s.cipher.KeySize() + NonceSize - 1) / NonceSize * NonceSize
	}
	return NonceSize
}

func (s suite) checkNonce(n int) error {
	ok := n >= NonceSize && n <= maxNonce && n%s.cipher.BlockSize() == 0
	if s.mapping == lds.IntegratedMapping {
		ok = n == s.nonceSize()
	}
	if !ok {
		return fmt.Errorf("%w: encrypted nonce of %d octets", ErrProtocol, n)
	}
	return nil
}

// passwordCipher is the cipher under K_π that hides the nonce: CBC with a zero
// IV (Doc 9303-11 §4.4.3.3).
func (s suite) passwordCipher(pw Password) (cipher.Block, error) {
	return s.cipher.Block(kdf.Derive(pw.K, kdf.CounterPACE, s.cipher))
}

// agree computes the session keys with the other side's ephemeral key, after
// the checks of Doc 9303-11 §4.4.1 step 3: a member of the group, and not our
// own sent back.
func (s suite) agree(own keyPair, peer []byte) (iso7816.SessionKeys, element, error) {
	public, err := s.group.parse(peer)
	if err != nil {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: ephemeral key: %w", ErrProtocol, err)
	}
	if public.equal(own.public) {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: the ephemeral key is our own, sent back", ErrProtocol)
	}
	shared, err := public.multiply(own.secret)
	if err != nil {
		return iso7816.SessionKeys{}, nil, fmt.Errorf("%w: ephemeral key: %w", ErrProtocol, err)
	}
	return kdf.SessionKeys(shared.secret(), s.cipher), public, nil
}

// token is the MAC over the receiver's public key (Doc 9303-11 §4.4.3.4):
// each side authenticates what it got.
func (s suite) token(keys iso7816.SessionKeys, public element) ([]byte, error) {
	return s.cipher.MAC(keys.MAC, s.tokenInput(public))
}

func (s suite) verifyToken(keys iso7816.SessionKeys, public element, token []byte) error {
	ok, err := s.cipher.VerifyMAC(keys.MAC, s.tokenInput(public), token)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: wrong token", ErrAuthentication)
	}
	return nil
}

// tokenInput is the public key as a data object with the protocol's identifier
// and the public value alone (Doc 9303-11 §9.4.5).
func (s suite) tokenInput(public element) []byte {
	return tlv.Encode(0x7F49, s.oid, tlv.Encode(s.group.tag(), public.encode()))
}
