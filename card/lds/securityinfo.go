package lds

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A SecurityInfo says which protocol the chip speaks and with what (Doc 9303-11
// §9.2, TR-03110-3 A.1.1):
//
//	SecurityInfos ::= SET OF SecurityInfo
//	SecurityInfo  ::= SEQUENCE {
//	    protocol      OBJECT IDENTIFIER,
//	    requiredData  ANY DEFINED BY protocol,
//	    optionalData  ANY DEFINED BY protocol OPTIONAL }
//
// EF.CardAccess is such a set as it stands, EF.DG14 one in a template; only the
// latter is signed.

// maxSecurityInfos bounds the set. The richest chips known have about fifteen.
const maxSecurityInfos = 64

var errSecurityInfos = fmt.Errorf("SecurityInfos: %w", ErrMalformed)

// SecurityInfos is the set, sorted by kind, each kind in the order of the file.
type SecurityInfos struct {
	PACE                         []PACEInfo
	PACEDomainParameters         []PACEDomainParameterInfo
	ChipAuthentication           []ChipAuthenticationInfo
	ChipAuthenticationPublicKeys []ChipAuthenticationPublicKeyInfo
	ActiveAuthentication         []ActiveAuthenticationInfo
	TerminalAuthentication       []TerminalAuthenticationInfo
	Other                        []OtherInfo

	original original // of EF.CardAccess or DG14
}

// PACEInfo offers PACE (Doc 9303-11 §9.2.1).
type PACEInfo struct {
	Protocol       asn1.ObjectIdentifier
	Version        int // 2
	ParameterID    int // standardised domain parameters, TR-03110-3 A.2.1.1; or of a PACEDomainParameterInfo
	HasParameterID bool
}

// PACEDomainParameterInfo gives PACE domain parameters of the issuer's own
// (Doc 9303-11 §9.2.2).
type PACEDomainParameterInfo struct {
	Protocol       asn1.ObjectIdentifier
	Parameters     []byte // AlgorithmIdentifier, DER
	ParameterID    int
	HasParameterID bool
}

// ChipAuthenticationInfo offers chip authentication (Doc 9303-11 §9.2.5).
type ChipAuthenticationInfo struct {
	Protocol asn1.ObjectIdentifier
	Version  int      // 1; TR-03110 version 2 documents say 2 and 3
	KeyID    *big.Int // nil where the chip has one key
}

// ChipAuthenticationPublicKeyInfo is a key of the chip (Doc 9303-11 §9.2.6).
type ChipAuthenticationPublicKeyInfo struct {
	Protocol             asn1.ObjectIdentifier
	SubjectPublicKeyInfo []byte // DER
	KeyID                *big.Int
}

// ActiveAuthenticationInfo names the algorithm of an ECDSA active
// authentication key (Doc 9303-11 §9.2.4).
type ActiveAuthenticationInfo struct {
	Version            int // 1
	SignatureAlgorithm asn1.ObjectIdentifier
}

// TerminalAuthenticationInfo offers terminal authentication (Doc 9303-11
// §9.2.7).
type TerminalAuthenticationInfo struct {
	Version int
	EFCVCA  []byte // FileID: SEQUENCE { fid, sfid OPTIONAL }, DER; nil where absent
}

// OtherInfo is an entry of any other protocol, kept as it stands.
type OtherInfo struct {
	Protocol asn1.ObjectIdentifier
	Raw      []byte // the whole SecurityInfo, DER
}

// ParseSecurityInfos decodes the set. An entry of a known protocol that does
// not have its form is an error: skipping it would make "offered but broken"
// look like "not offered".
func ParseSecurityInfos(der []byte) (SecurityInfos, error) {
	input := cryptobyte.String(der)
	var set cryptobyte.String
	if !input.ReadASN1(&set, cbasn1.SET) || !input.Empty() {
		return SecurityInfos{}, fmt.Errorf("%w: not one SET", errSecurityInfos)
	}
	return parseEntries(set)
}

func parseEntries(set cryptobyte.String) (SecurityInfos, error) {
	var infos SecurityInfos
	for n := 0; !set.Empty(); n++ {
		if n == maxSecurityInfos {
			return SecurityInfos{}, fmt.Errorf("%w: more than %d entries", errSecurityInfos, maxSecurityInfos)
		}
		var raw cryptobyte.String
		if !set.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
			return SecurityInfos{}, fmt.Errorf("%w: entry %d is no SEQUENCE", errSecurityInfos, n+1)
		}
		if err := infos.add(raw); err != nil {
			return SecurityInfos{}, fmt.Errorf("%w: entry %d: %w", errSecurityInfos, n+1, err)
		}
	}
	return infos, nil
}

func (s *SecurityInfos) add(raw cryptobyte.String) error {
	element := raw
	var body cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&oid) {
		return errors.New("no object identifier of a protocol")
	}
	p := protocolOf(oid)
	var err error
	switch p.kind {
	case kindPACE:
		err = s.addPACE(oid, body)
	case kindPACEParameters:
		err = s.addPACEParameters(oid, body)
	case kindChipAuthentication:
		err = s.addChipAuthentication(oid, body)
	case kindChipPublicKey:
		err = s.addChipPublicKey(oid, body)
	case kindActiveAuthentication:
		err = s.addActiveAuthentication(body)
	case kindTerminalAuthentication:
		err = s.addTerminalAuthentication(body)
	default:
		s.Other = append(s.Other, OtherInfo{Protocol: oid, Raw: bytes.Clone(raw)})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ProtocolName(oid), err)
	}
	return nil
}

var (
	errVersion  = errors.New("no version number")
	errTrailing = errors.New("more data than the protocol has")
	errID       = errors.New("identifier out of range")
)

func (s *SecurityInfos) addPACE(oid asn1.ObjectIdentifier, body cryptobyte.String) error {
	info := PACEInfo{Protocol: oid}
	if !body.ReadASN1Integer(&info.Version) {
		return errVersion
	}
	var err error
	if info.ParameterID, info.HasParameterID, err = readID(&body); err != nil {
		return err
	}
	s.PACE = append(s.PACE, info)
	return nil
}

func (s *SecurityInfos) addPACEParameters(oid asn1.ObjectIdentifier, body cryptobyte.String) error {
	var parameters cryptobyte.String
	if !body.ReadASN1Element(&parameters, cbasn1.SEQUENCE) {
		return errors.New("no domain parameters")
	}
	info := PACEDomainParameterInfo{Protocol: oid, Parameters: bytes.Clone(parameters)}
	var err error
	if info.ParameterID, info.HasParameterID, err = readID(&body); err != nil {
		return err
	}
	s.PACEDomainParameters = append(s.PACEDomainParameters, info)
	return nil
}

func (s *SecurityInfos) addChipAuthentication(oid asn1.ObjectIdentifier, body cryptobyte.String) error {
	info := ChipAuthenticationInfo{Protocol: oid}
	if !body.ReadASN1Integer(&info.Version) {
		return errVersion
	}
	var err error
	if info.KeyID, err = readKeyID(&body); err != nil {
		return err
	}
	s.ChipAuthentication = append(s.ChipAuthentication, info)
	return nil
}

func (s *SecurityInfos) addChipPublicKey(oid asn1.ObjectIdentifier, body cryptobyte.String) error {
	var spki cryptobyte.String
	if !body.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return errors.New("no public key")
	}
	info := ChipAuthenticationPublicKeyInfo{Protocol: oid, SubjectPublicKeyInfo: bytes.Clone(spki)}
	var err error
	if info.KeyID, err = readKeyID(&body); err != nil {
		return err
	}
	s.ChipAuthenticationPublicKeys = append(s.ChipAuthenticationPublicKeys, info)
	return nil
}

func (s *SecurityInfos) addActiveAuthentication(body cryptobyte.String) error {
	var info ActiveAuthenticationInfo
	if !body.ReadASN1Integer(&info.Version) {
		return errVersion
	}
	if !body.ReadASN1ObjectIdentifier(&info.SignatureAlgorithm) {
		return errors.New("no signature algorithm")
	}
	if !body.Empty() {
		return errTrailing
	}
	s.ActiveAuthentication = append(s.ActiveAuthentication, info)
	return nil
}

func (s *SecurityInfos) addTerminalAuthentication(body cryptobyte.String) error {
	var info TerminalAuthenticationInfo
	if !body.ReadASN1Integer(&info.Version) {
		return errVersion
	}
	if body.PeekASN1Tag(cbasn1.SEQUENCE) {
		var file cryptobyte.String
		if !body.ReadASN1Element(&file, cbasn1.SEQUENCE) {
			return errors.New("broken file reference")
		}
		info.EFCVCA = bytes.Clone(file)
	}
	if !body.Empty() {
		return errTrailing
	}
	s.TerminalAuthentication = append(s.TerminalAuthentication, info)
	return nil
}

// readID takes an optional small identifier that must end the entry.
func readID(body *cryptobyte.String) (id int, present bool, err error) {
	if body.Empty() {
		return 0, false, nil
	}
	if !body.ReadASN1Integer(&id) || id < 0 {
		return 0, false, errID
	}
	if !body.Empty() {
		return 0, false, errTrailing
	}
	return id, true, nil
}

func readKeyID(body *cryptobyte.String) (*big.Int, error) {
	if body.Empty() {
		return nil, nil
	}
	id := new(big.Int)
	if !body.ReadASN1Integer(id) || id.Sign() < 0 || id.BitLen() > 128 {
		return nil, errID
	}
	if !body.Empty() {
		return nil, errTrailing
	}
	return id, nil
}

// Encode gives the set in DER: its elements in ascending order of their octets
// (X.690 §11.6).
func (s SecurityInfos) Encode() ([]byte, error) {
	var elements [][]byte
	add := func(oid asn1.ObjectIdentifier, body func(*cryptobyte.Builder)) error {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			body(b)
		})
		der, err := b.Bytes()
		if err != nil {
			return fmt.Errorf("%w: encoding %s: %w", errSecurityInfos, ProtocolName(oid), err)
		}
		elements = append(elements, der)
		return nil
	}
	var errs []error
	for _, i := range s.PACE {
		errs = append(errs, add(i.Protocol, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(i.Version))
			if i.HasParameterID {
				b.AddASN1Int64(int64(i.ParameterID))
			}
		}))
	}
	for _, i := range s.PACEDomainParameters {
		errs = append(errs, add(i.Protocol, func(b *cryptobyte.Builder) {
			b.AddBytes(i.Parameters)
			if i.HasParameterID {
				b.AddASN1Int64(int64(i.ParameterID))
			}
		}))
	}
	for _, i := range s.ChipAuthentication {
		errs = append(errs, add(i.Protocol, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(i.Version))
			if i.KeyID != nil {
				b.AddASN1BigInt(i.KeyID)
			}
		}))
	}
	for _, i := range s.ChipAuthenticationPublicKeys {
		errs = append(errs, add(i.Protocol, func(b *cryptobyte.Builder) {
			b.AddBytes(i.SubjectPublicKeyInfo)
			if i.KeyID != nil {
				b.AddASN1BigInt(i.KeyID)
			}
		}))
	}
	for _, i := range s.ActiveAuthentication {
		errs = append(errs, add(OIDActiveAuthentication(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(i.Version))
			b.AddASN1ObjectIdentifier(i.SignatureAlgorithm)
		}))
	}
	for _, i := range s.TerminalAuthentication {
		errs = append(errs, add(OIDTerminalAuthentication(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(i.Version))
			b.AddBytes(i.EFCVCA)
		}))
	}
	for _, i := range s.Other {
		elements = append(elements, i.Raw)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(elements, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		for _, e := range elements {
			b.AddBytes(e)
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSecurityInfos, err)
	}
	// What a field's raw octets made malformed must not leave the house.
	if _, err := ParseSecurityInfos(der); err != nil {
		return nil, err
	}
	return der, nil
}
