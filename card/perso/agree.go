package perso

import (
	"crypto"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/pki/curve"
)

// agree refuses secrets that are not this document's: a chip whose password
// does not open it, or which fails its own proof, is found out here and not
// after the card is printed. It gives the hash of active authentication.
func agree(doc *lds.Document, secrets Secrets) (hash byte, err error) {
	if err := agreeMRZ(doc, secrets); err != nil {
		return 0, err
	}
	infos, err := securityInfos(doc)
	if err != nil {
		return 0, err
	}
	access, err := cardAccess(doc)
	if err != nil {
		return 0, err
	}
	if err := agreeChipAuthentication(infos, access, secrets); err != nil {
		return 0, err
	}
	if err := agreeMapping(infos, access); err != nil {
		return 0, err
	}
	if err := agreeActiveAuthentication(doc, secrets); err != nil {
		return 0, err
	}
	return activeAuthenticationHash(infos, secrets)
}

func agreeMRZ(doc *lds.Document, secrets Secrets) error {
	dg1, _ := doc.Get(lds.DG1)
	info, err := lds.DecodeDG1(dg1)
	if err != nil && !errors.Is(err, mrz.ErrCheckDigit) {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	trim := func(s string) string { return strings.TrimRight(s, "<") }
	for _, field := range []struct{ name, ours, theirs string }{
		{"document number", trim(secrets.DocumentNumber), trim(info.DocumentNumber)},
		{"date of birth", secrets.DateOfBirth, info.DateOfBirth},
		{"date of expiry", secrets.DateOfExpiry, info.DateOfExpiry},
	} {
		if field.ours != field.theirs {
			return fmt.Errorf("%w: the %s of the MRZ password is not the one in DG1; document and secrets are of two cards", ErrUnfit, field.name)
		}
	}
	return nil
}

func securityInfos(doc *lds.Document) (lds.SecurityInfos, error) {
	raw, ok := doc.Get(lds.DG14)
	if !ok {
		return lds.SecurityInfos{}, nil
	}
	infos, err := lds.DecodeDG14(raw)
	if err != nil {
		return lds.SecurityInfos{}, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	return infos, nil
}

func cardAccess(doc *lds.Document) (lds.SecurityInfos, error) {
	raw, ok := doc.Get(lds.EFCardAccess)
	if !ok {
		return lds.SecurityInfos{}, nil
	}
	infos, err := lds.DecodeCardAccess(raw)
	if err != nil {
		return lds.SecurityInfos{}, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	return infos, nil
}

// agreeChipAuthentication looks for the secret keys' public halves in DG14. A
// key for the chip authentication mapping alone stands in EF.CardSecurity and
// not in DG14; its number is that of PACE's parameters.
func agreeChipAuthentication(infos, access lds.SecurityInfos, secrets Secrets) error {
	keys := secrets.Keys
	if secrets.ChipAuthentication != nil {
		keys = append([]ChipKey{{secrets.ChipAuthentication, secrets.KeyID}}, keys...)
	}
	if len(keys) == 0 && len(infos.ChipAuthenticationPublicKeys) > 0 {
		return fmt.Errorf("%w: DG14 promises chip authentication and the secrets have no key for it", ErrUnfit)
	}
	for _, k := range keys {
		if !promised(k, infos.ChipAuthenticationPublicKeys) && !mapsWith(k, access) {
			return fmt.Errorf("%w: the key of chip authentication is not one of DG14's; document and secrets are of two cards", ErrUnfit)
		}
	}
	for _, public := range infos.ChipAuthenticationPublicKeys {
		if !slices.ContainsFunc(keys, func(k ChipKey) bool { return promised(k, []lds.ChipAuthenticationPublicKeyInfo{public}) }) {
			return fmt.Errorf("%w: DG14 promises a key of chip authentication that the secrets do not have", ErrUnfit)
		}
	}
	for _, info := range access.PACE {
		if info.Mapping() == lds.ChipAuthenticationMapping && !slices.ContainsFunc(keys, func(k ChipKey) bool { return mapsWith(k, lds.SecurityInfos{PACE: []lds.PACEInfo{info}}) }) {
			return fmt.Errorf("%w: EF.CardAccess promises %s and the secrets have no key with its number", ErrUnfit, info.Name())
		}
	}
	return nil
}

// agreeMapping wants each offer of the chip authentication mapping once more in
// DG14, as Doc 9303-11 §9.2.8 has all of EF.CardAccess there. The mapping may be the only proof of the
// chip, and EF.CardAccess is unsigned: a copy would leave the offer out, and look
// like a document that proves nothing.
func agreeMapping(infos, access lds.SecurityInfos) error {
	for _, info := range access.PACE {
		if info.Mapping() == lds.ChipAuthenticationMapping && !slices.ContainsFunc(infos.PACE, func(i lds.PACEInfo) bool {
			return i.Protocol.Equal(info.Protocol) && i.HasParameterID == info.HasParameterID && i.ParameterID == info.ParameterID
		}) {
			return fmt.Errorf("%w: EF.CardAccess offers %s and the signed DG14 does not repeat it, so that a copy could hide it", ErrUnfit, info.Name())
		}
	}
	return nil
}

func promised(k ChipKey, public []lds.ChipAuthenticationPublicKeyInfo) bool {
	for _, p := range public {
		sameID := p.KeyID == nil && k.ID == nil || p.KeyID != nil && k.ID != nil && p.KeyID.Cmp(k.ID) == 0
		if !sameID {
			continue
		}
		key, err := p.PublicKey()
		if own, ok := k.Private.Public().(interface{ Equal(crypto.PublicKey) bool }); err == nil && ok && own.Equal(key) {
			return true
		}
	}
	return false
}

// mapsWith tells whether PACE offers to prove a key.
func mapsWith(k ChipKey, access lds.SecurityInfos) bool {
	key, ok := k.Private.(*curve.PrivateKey)
	if !ok || k.ID == nil {
		return false
	}
	for _, info := range access.PACE {
		if p, ok := lds.StandardizedParameters(info.ParameterID); info.Mapping() == lds.ChipAuthenticationMapping && info.HasParameterID && ok &&
			p.Curve == key.Curve() && k.ID.Cmp(big.NewInt(int64(info.ParameterID))) == 0 {
			return true
		}
	}
	return false
}

func agreeActiveAuthentication(doc *lds.Document, secrets Secrets) error {
	raw, promised := doc.Get(lds.DG15)
	switch {
	case promised && secrets.ActiveAuthentication == nil:
		return fmt.Errorf("%w: DG15 promises active authentication and the secrets have no key for it", ErrUnfit)
	case !promised && secrets.ActiveAuthentication != nil:
		return fmt.Errorf("%w: there is a key of active authentication and no DG15 for it", ErrUnfit)
	case !promised:
		return nil
	}
	public, err := lds.DecodeDG15(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	if key, ok := secrets.ActiveAuthentication.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(public) {
		return fmt.Errorf("%w: the key of active authentication is not DG15's; document and secrets are of two cards", ErrUnfit)
	}
	return nil
}

// activeAuthenticationHash is the hash the chip has to sign with: for ECDSA the
// one that DG14 announces (Doc 9303-11 §6.1.2.2), for RSA chipid's choice.
func activeAuthenticationHash(infos lds.SecurityInfos, secrets Secrets) (byte, error) {
	if _, ok := secrets.ActiveAuthentication.(*curve.PrivateKey); !ok {
		return HashSHA256, nil
	}
	if len(infos.ActiveAuthentication) != 1 {
		return 0, fmt.Errorf("%w: DG14 does not say which hash active authentication signs with", ErrUnfit)
	}
	h, ok := infos.ActiveAuthentication[0].Hash()
	if !ok {
		return 0, fmt.Errorf("%w: DG14 names an algorithm of active authentication that is not known", ErrUnfit)
	}
	for number, known := range map[byte]crypto.Hash{
		HashSHA1: crypto.SHA1, HashSHA224: crypto.SHA224, HashSHA256: crypto.SHA256,
		HashSHA384: crypto.SHA384, HashSHA512: crypto.SHA512,
	} {
		if h == known {
			return number, nil
		}
	}
	return 0, fmt.Errorf("%w: the chip cannot sign with %s", ErrUnfit, h)
}
