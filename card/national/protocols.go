package national

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/curve"
	"chipid/pki/cvc"
	"chipid/pki/dh"
)

// Protocols are how a document is opened and proves itself, where that is to be
// otherwise than its profile has it: every kind of chip that a reader may meet
// can be built. The zero value changes nothing.
type Protocols struct {
	PACE   []PACE // empty: the profile's
	NoPACE bool   // no EF.CardAccess: BAC opens the chip, and nothing else

	ChipAuthentication   []ChipAuthentication // empty: the profile's
	NoChipAuthentication bool

	PIN, PUK string // empty: none

	// TrustPoints are the self-signed certificates of the CVCA, the newest first,
	// one or two: the chip then takes terminal authentication.
	TrustPoints []*cvc.Certificate
	// Protected are DG3 and DG4, which only terminals may read that the CVCA let in.
	Protected map[lds.File][]byte
}

// PACE is one offer of PACE.
type PACE struct {
	Mapping   lds.Mapping
	Cipher    iso7816.Cipher
	Parameter int    // of the standardised domain parameters
	Explicit  []byte // an AlgorithmIdentifier of the card's own, in their place
}

// ChipAuthentication is one key of chip authentication version 1: on a curve or
// in a group.
type ChipAuthentication struct {
	Cipher iso7816.Cipher
	Curve  *curve.Curve
	Group  *dh.Group
}

// ErrProtocols is wrapped by every error about protocols that no chip can have.
var ErrProtocols = errors.New("protocols of the chip")

// cipherNames are what the flags of a command call the ciphers.
var cipherNames = []struct {
	name   string
	cipher iso7816.Cipher
}{{"3des", iso7816.TripleDES}, {"aes128", iso7816.AES128}, {"aes192", iso7816.AES192}, {"aes256", iso7816.AES256}}

func cipherByName(name string) (iso7816.Cipher, error) {
	for _, c := range cipherNames {
		if strings.EqualFold(c.name, name) {
			return c.cipher, nil
		}
	}
	return 0, fmt.Errorf("%w: there is no cipher %q; there are 3des, aes128, aes192 and aes256", ErrProtocols, name)
}

// parametersByName finds standardised domain parameters: a curve's name, or the
// bits of a group of RFC 5114 and of its order (modp-2048-256), or their number in
// the table of Doc 9303-11 §9.5.1.
func parametersByName(name string) (lds.DomainParameters, int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		if p, ok := lds.StandardizedParameters(id); ok {
			return p, id, nil
		}
	}
	if id := slices.Index(groupNames(), strings.ToLower(name)); id >= 0 {
		if p, ok := lds.StandardizedParameters(id); ok {
			return p, id, nil
		}
	}
	if c, ok := curve.ByName(name); ok {
		if id, ok := c.DomainParameterID(); ok {
			return lds.DomainParameters{Curve: c}, id, nil
		}
		return lds.DomainParameters{Curve: c}, -1, nil
	}
	return lds.DomainParameters{}, 0, fmt.Errorf("%w: there is no curve or group %q; there are the curves of BSI TR-03110 by their names (P-256, brainpoolP256r1), %s, and their numbers",
		ErrProtocols, name, strings.Join(groupNames(), ", "))
}

// groupNames are what the groups of RFC 5114 are called here, by their number.
func groupNames() []string { return []string{"modp-1024-160", "modp-2048-224", "modp-2048-256"} }

var mappingNames = []struct {
	name    string
	mapping lds.Mapping
}{{"gm", lds.GenericMapping}, {"im", lds.IntegratedMapping}, {"cam", lds.ChipAuthenticationMapping}}

// ParsePACE reads an offer of PACE as commands write it: mapping, domain
// parameters, cipher (cam:brainpoolP256r1:aes128). explicit gives domain parameters
// of the card's own by the name of a file, which is what has a dot or a slash in
// it.
func ParsePACE(text string, explicit func(file string) ([]byte, error)) (PACE, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return PACE{}, fmt.Errorf("%w: PACE is written MAPPING:PARAMETERS:CIPHER, such as gm:brainpoolP256r1:aes128", ErrProtocols)
	}
	var p PACE
	for _, m := range mappingNames {
		if strings.EqualFold(m.name, parts[0]) {
			p.Mapping = m.mapping
		}
	}
	if p.Mapping == 0 {
		return PACE{}, fmt.Errorf("%w: there is no mapping %q; there are gm, im and cam", ErrProtocols, parts[0])
	}
	var err error
	if p.Cipher, err = cipherByName(parts[2]); err != nil {
		return PACE{}, err
	}
	if strings.ContainsAny(parts[1], `./\`) {
		raw, err := explicit(parts[1])
		if err != nil {
			return PACE{}, err
		}
		if p.Explicit, err = lds.ParametersAlgorithm(raw); err != nil {
			return PACE{}, fmt.Errorf("%w: %s: %w", ErrProtocols, parts[1], err)
		}
	} else if _, p.Parameter, err = parametersByName(parts[1]); err != nil {
		return PACE{}, err
	} else if p.Parameter < 0 {
		return PACE{}, fmt.Errorf("%w: %s is not among the standardised domain parameters of PACE", ErrProtocols, parts[1])
	}
	if _, err := p.offer(0); err != nil {
		return PACE{}, err
	}
	return p, nil
}

// ParseChipAuthentication reads a key of chip authentication as commands write
// it: curve or group, and cipher (brainpoolP256r1:aes128, modp-2048-256:3des).
func ParseChipAuthentication(text string) (ChipAuthentication, error) {
	name, cipher, ok := strings.Cut(text, ":")
	if !ok {
		return ChipAuthentication{}, fmt.Errorf("%w: a key of chip authentication is written CURVE:CIPHER or GROUP:CIPHER, such as brainpoolP256r1:aes128", ErrProtocols)
	}
	var ca ChipAuthentication
	parameters, _, err := parametersByName(name)
	if err != nil {
		return ca, err
	}
	ca.Curve, ca.Group = parameters.Curve, parameters.Group
	ca.Cipher, err = cipherByName(cipher)
	return ca, err
}

// firstOwnID numbers domain parameters of the card's own: those up to 31 are the
// table's (Doc 9303-11 §9.5.1).
const firstOwnID = 32

// offer makes the PACEInfo; number is that of parameters of the card's own.
func (p PACE) offer(number int) (pace.Offer, error) {
	id := p.Parameter
	if p.Explicit != nil {
		id = firstOwnID + number
	}
	// The kind of group is that of the parameters.
	for _, agreement := range []lds.KeyAgreement{lds.ECDH, lds.DH} {
		o := pace.Offer{Info: lds.PACEInfo{Protocol: lds.OIDPACE(agreement, p.Mapping, p.Cipher), Version: 2, ParameterID: id, HasParameterID: true}, Explicit: p.Explicit}
		err := o.Supported()
		if err == nil && p.Mapping == lds.ChipAuthenticationMapping && p.Explicit != nil {
			return o, fmt.Errorf("%w: the chip holds a key for the chip authentication mapping on a named curve only", ErrProtocols)
		}
		if err == nil {
			return o, nil
		}
		if agreement == lds.DH || p.agreement() == agreement {
			return o, fmt.Errorf("%w: %w", ErrProtocols, err)
		}
	}
	return pace.Offer{}, ErrProtocols // the loop has returned
}

// agreement is the kind of group, 0 where the parameters cannot be read.
func (p PACE) agreement() lds.KeyAgreement {
	if p.Explicit != nil {
		parameters, err := lds.ParseUnsignedParameters(p.Explicit)
		if err != nil {
			return lds.ECDH // either says why not
		}
		return parameters.Agreement()
	}
	parameters, _ := lds.StandardizedParameters(p.Parameter)
	return parameters.Agreement()
}

// change gives the profile's EF.CardAccess as it is to be, nil where there is to
// be none, and what it offers.
func (p Protocols) change(profile Chip) ([]byte, lds.SecurityInfos, error) {
	infos, err := lds.DecodeCardAccess(profile.CardAccess)
	if err != nil {
		return nil, lds.SecurityInfos{}, err
	}
	if p.NoPACE && p.PIN != "" {
		return nil, infos, fmt.Errorf("%w: a PIN opens a chip by PACE, and there is to be none", ErrProtocols)
	}
	if len(p.PACE) == 0 && !p.NoPACE && len(p.ChipAuthentication) == 0 && !p.NoChipAuthentication && len(p.TrustPoints) == 0 {
		return profile.CardAccess, infos, nil
	}
	if len(p.PACE) > 0 && p.NoPACE {
		return nil, infos, fmt.Errorf("%w: PACE and no PACE", ErrProtocols)
	}
	if len(p.PACE) > 0 || p.NoPACE {
		infos.PACE, infos.PACEDomainParameters = nil, nil
	}
	for n, one := range p.PACE {
		o, err := one.offer(n)
		if err != nil {
			return nil, infos, err
		}
		if slices.ContainsFunc(infos.PACE, func(i lds.PACEInfo) bool {
			return i.Protocol.Equal(o.Info.Protocol) && i.ParameterID == o.Info.ParameterID
		}) {
			return nil, infos, fmt.Errorf("%w: %s over the same parameters twice", ErrProtocols, o.Name())
		}
		infos.PACE = append(infos.PACE, o.Info)
		if one.Explicit != nil {
			infos.PACEDomainParameters = append(infos.PACEDomainParameters, lds.PACEDomainParameterInfo{
				Protocol:   o.Info.Protocol[:len(o.Info.Protocol)-1],
				Parameters: one.Explicit, ParameterID: o.Info.ParameterID, HasParameterID: true,
			})
		}
	}
	if len(p.ChipAuthentication) > 0 || p.NoChipAuthentication {
		infos.ChipAuthentication = nil
	}
	if p.NoChipAuthentication {
		infos.TerminalAuthentication = nil // it needs a chip that has proved itself
	}
	if len(p.TrustPoints) > 0 {
		infos.TerminalAuthentication = []lds.TerminalAuthenticationInfo{{Version: 1}}
	}
	if p.NoPACE {
		return nil, infos, nil
	}
	raw, err := lds.EncodeCardAccess(infos)
	return raw, infos, err
}

// setChipAuthentication makes the keys of chip authentication, tells DG14 of them
// and gives the chip their secret halves.
func setChipAuthentication(secrets *perso.Secrets, infos *lds.SecurityInfos, profile Chip, o BuildOptions) error {
	p := o.Protocols
	if p.NoChipAuthentication {
		if len(p.ChipAuthentication) > 0 {
			return fmt.Errorf("%w: chip authentication and none", ErrProtocols)
		}
		return nil
	}
	if len(p.ChipAuthentication) == 0 {
		key, err := curve.GenerateKey(profile.Curve, o.Rand)
		if err != nil {
			return fmt.Errorf("make the key of chip authentication: %w", err)
		}
		public, err := lds.NewChipAuthenticationPublicKeyInfo(key.PublicKey(), nil)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(infos.ChipAuthentication, func(i lds.ChipAuthenticationInfo) bool {
			return i.Protocol.Equal(profile.ChipAuthentication.Protocol)
		}) {
			infos.ChipAuthentication = append(infos.ChipAuthentication, profile.ChipAuthentication)
		}
		infos.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{public}
		secrets.ChipAuthentication = key
		return nil
	}
	for n, ca := range p.ChipAuthentication {
		var id *big.Int // where there is a choice, keys have numbers (Doc 9303-11 §9.2.5)
		if len(p.ChipAuthentication) > 1 {
			id = big.NewInt(int64(n + 1))
		}
		key, public, err := ca.key(id, o.Rand)
		if err != nil {
			return err
		}
		infos.ChipAuthenticationPublicKeys = append(infos.ChipAuthenticationPublicKeys, public)
		infos.ChipAuthentication = append(infos.ChipAuthentication, lds.ChipAuthenticationInfo{
			Protocol: lds.OIDChipAuthentication(public.Agreement(), ca.Cipher), Version: 1, KeyID: id,
		})
		secrets.Keys = append(secrets.Keys, key)
	}
	return nil
}

func (ca ChipAuthentication) key(id *big.Int, rand io.Reader) (perso.ChipKey, lds.ChipAuthenticationPublicKeyInfo, error) {
	switch {
	case ca.Curve != nil:
		key, err := curve.GenerateKey(ca.Curve, rand)
		if err != nil {
			return perso.ChipKey{}, lds.ChipAuthenticationPublicKeyInfo{}, fmt.Errorf("make a key of chip authentication: %w", err)
		}
		public, err := lds.NewChipAuthenticationPublicKeyInfo(key.PublicKey(), id)
		return perso.ChipKey{Private: key, ID: id}, public, err
	case ca.Group != nil:
		key, err := dh.GenerateKey(ca.Group, rand)
		if err != nil {
			return perso.ChipKey{}, lds.ChipAuthenticationPublicKeyInfo{}, fmt.Errorf("make a key of chip authentication: %w", err)
		}
		return perso.ChipKey{Private: key, ID: id}, lds.NewDHChipAuthenticationPublicKeyInfo(key.PublicKey(), id), nil
	}
	return perso.ChipKey{}, lds.ChipAuthenticationPublicKeyInfo{}, fmt.Errorf("%w: a key of chip authentication on no curve and in no group", ErrProtocols)
}

// setCardSecurity makes the keys that the chip authentication mapping of PACE
// proves, one a curve, and signs them in EF.CardSecurity. The number of a key is
// that of the domain parameters (Doc 9303-11 §9.2.1).
func setCardSecurity(doc *lds.Document, secrets *perso.Secrets, access lds.SecurityInfos, o BuildOptions) error {
	signed := access
	for _, info := range access.PACE {
		id := big.NewInt(int64(info.ParameterID))
		if info.Mapping() != lds.ChipAuthenticationMapping || slices.ContainsFunc(signed.ChipAuthenticationPublicKeys, func(k lds.ChipAuthenticationPublicKeyInfo) bool {
			return k.KeyID.Cmp(id) == 0
		}) {
			continue
		}
		c, ok := curve.ByDomainParameterID(info.ParameterID)
		if !ok {
			return fmt.Errorf("%w: %s over parameters %d", ErrProtocols, info.Name(), info.ParameterID)
		}
		key, public, err := ChipAuthentication{Curve: c}.key(id, o.Rand)
		if err != nil {
			return err
		}
		signed.ChipAuthenticationPublicKeys = append(signed.ChipAuthenticationPublicKeys, public)
		secrets.Keys = append(secrets.Keys, key)
	}
	if len(signed.ChipAuthenticationPublicKeys) == 0 {
		return nil
	}
	raw, err := passiveauth.IssueCardSecurity(o.Rand, signed, o.Certificate, o.Signer, o.Now)
	if err != nil {
		return err
	}
	doc.Set(lds.EFCardSecurity, raw)
	return nil
}

// setProtected gives the chip its trust points and what they guard.
func setProtected(doc *lds.Document, secrets *perso.Secrets, o BuildOptions) error {
	p := o.Protocols
	for f, raw := range p.Protected {
		if f != lds.DG3 && f != lds.DG4 {
			return fmt.Errorf("%w: terminal authentication guards DG3 and DG4, not %s", ErrProtocols, f)
		}
		if len(p.TrustPoints) == 0 {
			return fmt.Errorf("%w: %s without the certificate of a CVCA: no terminal could ever read it", ErrProtocols, f)
		}
		doc.Set(f, raw)
	}
	if len(p.TrustPoints) == 0 {
		return nil
	}
	var names []string
	for _, c := range p.TrustPoints {
		if _, err := cvc.NewPoint(c); err != nil {
			return fmt.Errorf("%w: %s is no CVCA: %w", ErrProtocols, c.CHR, err)
		}
		names = append(names, string(c.CHR))
	}
	raw, err := lds.EncodeCVCA(lds.CVCA{References: names})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocols, err)
	}
	doc.Set(lds.EFCVCA, raw)
	secrets.TrustPoints, secrets.Date = p.TrustPoints, cvc.DateOf(o.Now)
	return nil
}
