package lds

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"slices"

	"chipid/card/iso7816"
	"chipid/pki/cert"
)

// KeyAgreement is the group that PACE and chip authentication compute in.
type KeyAgreement uint8

// The two kinds of group.
const (
	DH KeyAgreement = 1 + iota
	ECDH
)

func (k KeyAgreement) String() string {
	switch k {
	case DH:
		return "DH"
	case ECDH:
		return "ECDH"
	}
	return fmt.Sprintf("KeyAgreement(%d)", uint8(k))
}

// Mapping is how PACE turns the nonce into a generator (Doc 9303-11 §4.4.3.3).
type Mapping uint8

// The mappings: generic, integrated, and generic with chip authentication.
const (
	GenericMapping Mapping = 1 + iota
	IntegratedMapping
	ChipAuthenticationMapping
)

func (m Mapping) String() string {
	switch m {
	case GenericMapping:
		return "GM"
	case IntegratedMapping:
		return "IM"
	case ChipAuthenticationMapping:
		return "CAM"
	}
	return fmt.Sprintf("Mapping(%d)", uint8(m))
}

// Arcs of Doc 9303-11 §9.2 and TR-03110-3 A.1, under bsi-de protocols smartcard
// 0.4.0.127.0.7.2.2.
const (
	arcPublicKey              = 1
	arcTerminalAuthentication = 2
	arcChipAuthentication     = 3
	arcPACE                   = 4
)

func smartcard(arcs ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2}, arcs...)
}

// OIDActiveAuthentication is id-icao-mrtd-security-aaProtocolObject.
func OIDActiveAuthentication() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 23, 136, 1, 1, 5}
}

// OIDTerminalAuthentication is id-TA.
func OIDTerminalAuthentication() asn1.ObjectIdentifier { return smartcard(arcTerminalAuthentication) }

// OIDChipPublicKey is id-PK-DH or id-PK-ECDH.
func OIDChipPublicKey(k KeyAgreement) asn1.ObjectIdentifier { return smartcard(arcPublicKey, int(k)) }

// OIDChipAuthentication is id-CA-DH or id-CA-ECDH with a cipher.
func OIDChipAuthentication(k KeyAgreement, c iso7816.Cipher) asn1.ObjectIdentifier {
	return smartcard(arcChipAuthentication, int(k), int(c))
}

// paceArcs numbers the pairs of mapping and group under id-PACE.
var paceArcs = []struct {
	arc       int
	agreement KeyAgreement
	mapping   Mapping
}{
	{1, DH, GenericMapping},
	{2, ECDH, GenericMapping},
	{3, DH, IntegratedMapping},
	{4, ECDH, IntegratedMapping},
	{arcChipAuthenticationMapping, ECDH, ChipAuthenticationMapping},
}

const arcChipAuthenticationMapping = 6

// OIDPACE is id-PACE with group, mapping and cipher; nil for a combination that
// does not exist.
func OIDPACE(k KeyAgreement, m Mapping, c iso7816.Cipher) asn1.ObjectIdentifier {
	for _, p := range paceArcs {
		if p.agreement == k && p.mapping == m && cipherAllowed(m, c) {
			return smartcard(arcPACE, p.arc, int(c))
		}
	}
	return nil
}

// cipherAllowed: the arcs of the ciphers are the numbers of iso7816.Cipher, and
// PACE-CAM has no 3DES.
func cipherAllowed(m Mapping, c iso7816.Cipher) bool {
	return c.KeySize() != 0 && (m != ChipAuthenticationMapping || c != iso7816.TripleDES)
}

type protocolKind uint8

const (
	kindUnknown protocolKind = iota
	kindPACE
	kindPACEParameters
	kindChipAuthentication
	kindChipPublicKey
	kindActiveAuthentication
	kindTerminalAuthentication
)

// protocol is what an object identifier of a SecurityInfo says.
type protocol struct {
	kind      protocolKind
	agreement KeyAgreement
	mapping   Mapping
	cipher    iso7816.Cipher
}

func protocolOf(oid asn1.ObjectIdentifier) protocol {
	if oid.Equal(OIDActiveAuthentication()) {
		return protocol{kind: kindActiveAuthentication}
	}
	base := smartcard()
	if len(oid) <= len(base) || !slices.Equal(oid[:len(base)], base) {
		return protocol{}
	}
	arc, rest := oid[len(base)], oid[len(base)+1:]
	switch {
	case arc == arcTerminalAuthentication && len(rest) == 0:
		return protocol{kind: kindTerminalAuthentication}
	case arc == arcPublicKey && len(rest) == 1 && isAgreement(rest[0]):
		return protocol{kind: kindChipPublicKey, agreement: KeyAgreement(rest[0])}
	case arc == arcChipAuthentication && len(rest) == 2 && isAgreement(rest[0]):
		if c := cipherArc(rest[1]); c != 0 {
			return protocol{kind: kindChipAuthentication, agreement: KeyAgreement(rest[0]), cipher: c}
		}
	case arc == arcPACE && len(rest) >= 1 && len(rest) <= 2:
		for _, p := range paceArcs {
			if p.arc != rest[0] {
				continue
			}
			if len(rest) == 1 {
				return protocol{kind: kindPACEParameters, agreement: p.agreement, mapping: p.mapping}
			}
			if c := cipherArc(rest[1]); c != 0 && cipherAllowed(p.mapping, c) {
				return protocol{kind: kindPACE, agreement: p.agreement, mapping: p.mapping, cipher: c}
			}
		}
	}
	return protocol{}
}

func isAgreement(arc int) bool { return arc == int(DH) || arc == int(ECDH) }

func cipherArc(arc int) iso7816.Cipher {
	if arc < int(iso7816.TripleDES) || arc > int(iso7816.AES256) {
		return 0
	}
	return iso7816.Cipher(arc)
}

// cipherNames end the names of protocols.
var cipherNames = map[iso7816.Cipher]string{
	iso7816.TripleDES: "3DES-CBC-CBC",
	iso7816.AES128:    "AES-CBC-CMAC-128",
	iso7816.AES192:    "AES-CBC-CMAC-192",
	iso7816.AES256:    "AES-CBC-CMAC-256",
}

// OffersChipProof tells whether, by its place among the identifiers, the protocol is
// one by which the chip proves itself, though nothing more is known of it: a key of
// the chip, chip authentication, or PACE with the chip authentication mapping.
func (i OtherInfo) OffersChipProof() bool {
	for _, base := range []asn1.ObjectIdentifier{
		smartcard(arcPublicKey), smartcard(arcChipAuthentication), smartcard(arcPACE, arcChipAuthenticationMapping),
	} {
		if len(i.Protocol) >= len(base) && slices.Equal(i.Protocol[:len(base)], base) {
			return true
		}
	}
	return false
}

// ProtocolName gives the name that the standards use without its "id-", such as
// PACE-ECDH-GM-AES-CBC-CMAC-128, and the dotted numbers of what has none here.
func ProtocolName(oid asn1.ObjectIdentifier) string {
	p := protocolOf(oid)
	switch p.kind {
	case kindPACE:
		return fmt.Sprintf("PACE-%s-%s-%s", p.agreement, p.mapping, cipherNames[p.cipher])
	case kindPACEParameters:
		return fmt.Sprintf("PACE-%s-%s", p.agreement, p.mapping)
	case kindChipAuthentication:
		return fmt.Sprintf("CA-%s-%s", p.agreement, cipherNames[p.cipher])
	case kindChipPublicKey:
		return fmt.Sprintf("PK-%s", p.agreement)
	case kindActiveAuthentication:
		return "AA"
	case kindTerminalAuthentication:
		return "TA"
	}
	return oid.String()
}

// Name is the protocol's name, such as PACE-ECDH-GM-AES-CBC-CMAC-128.
func (i PACEInfo) Name() string { return ProtocolName(i.Protocol) }

// Agreement, Mapping and Cipher say what the object identifier stands for.
func (i PACEInfo) Agreement() KeyAgreement { return protocolOf(i.Protocol).agreement }
func (i PACEInfo) Mapping() Mapping        { return protocolOf(i.Protocol).mapping }
func (i PACEInfo) Cipher() iso7816.Cipher  { return protocolOf(i.Protocol).cipher }

// Agreement says in which kind of group the parameters are.
func (i PACEDomainParameterInfo) Agreement() KeyAgreement { return protocolOf(i.Protocol).agreement }

// Name is the protocol's name, such as CA-ECDH-AES-CBC-CMAC-128.
func (i ChipAuthenticationInfo) Name() string { return ProtocolName(i.Protocol) }

// Agreement and Cipher say what the object identifier stands for.
func (i ChipAuthenticationInfo) Agreement() KeyAgreement { return protocolOf(i.Protocol).agreement }
func (i ChipAuthenticationInfo) Cipher() iso7816.Cipher  { return protocolOf(i.Protocol).cipher }

// Agreement says in which kind of group the key is.
func (i ChipAuthenticationPublicKeyInfo) Agreement() KeyAgreement {
	return protocolOf(i.Protocol).agreement
}

// plainECDSA lists the hashes of ecdsa-plain-signatures (TR-03111 §5.2.1) by
// their arc under 0.4.0.127.0.7.1.1.4.1. RIPEMD-160, arc 6, is left out.
var plainECDSA = []struct {
	arc  int
	hash crypto.Hash
}{
	{1, crypto.SHA1}, {2, crypto.SHA224}, {3, crypto.SHA256}, {4, crypto.SHA384}, {5, crypto.SHA512},
}

func plainECDSAOID(arc int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, arc}
}

// NewActiveAuthenticationInfo describes an ECDSA key that signs over a hash.
func NewActiveAuthenticationInfo(hash crypto.Hash) (ActiveAuthenticationInfo, error) {
	for _, p := range plainECDSA {
		if p.hash == hash {
			return ActiveAuthenticationInfo{Version: 1, SignatureAlgorithm: plainECDSAOID(p.arc)}, nil
		}
	}
	return ActiveAuthenticationInfo{}, fmt.Errorf("no active authentication algorithm has the hash %s", hash)
}

// Hash is the hash of the signature algorithm; false for an algorithm that is
// not one of ecdsa-plain-signatures, nor one of X9.62, by whose identifiers
// documents exist that mean the same.
func (i ActiveAuthenticationInfo) Hash() (crypto.Hash, bool) {
	for _, p := range plainECDSA {
		if i.SignatureAlgorithm.Equal(plainECDSAOID(p.arc)) {
			return p.hash, true
		}
	}
	algorithm := cert.Algorithm{OID: i.SignatureAlgorithm}
	if x962 := (asn1.ObjectIdentifier{1, 2, 840, 10045, 4}); len(i.SignatureAlgorithm) > len(x962) && i.SignatureAlgorithm[:len(x962)].Equal(x962) {
		hash := algorithm.Hash()
		return hash, hash != 0
	}
	return 0, false
}
