package describe

import (
	"fmt"
	"slices"
	"strings"

	"chipid/pki/cvc"
)

// CV describes a card-verifiable certificate or a request for one.
type CV struct {
	Holder    cvc.Reference `json:"holder"`
	Issuer    cvc.Reference `json:"issuer,omitempty"`
	Role      string        `json:"role,omitempty"`
	Reads     []string      `json:"reads,omitempty"` // data groups
	Effective string        `json:"effective,omitempty"`
	Expiry    string        `json:"expiry,omitempty"` // the last day
	Scheme    string        `json:"scheme"`
	PublicKey string        `json:"publicKey,omitempty"` // of what names its curve
	Voucher   cvc.Reference `json:"voucher,omitempty"`   // former key that a request is signed with too
	SHA256    string        `json:"sha256"`
	Problems  []string      `json:"problems,omitempty"`
}

// readCV reads a card-verifiable certificate or a request; nil where it is
// neither. A request is one only if its own signature holds.
func readCV(raw []byte) *Object {
	if c, err := cvc.Parse(raw); err == nil {
		d := &CV{
			Holder: c.CHR, Issuer: c.CAR, Role: c.Authorization.Role().String(), Effective: c.Effective.String(), Expiry: c.Expiry.String(),
			Scheme: c.Scheme().String(), SHA256: digest(raw),
		}
		for name, right := range map[string]byte{"dg3": cvc.ReadFingerprints, "dg4": cvc.ReadIrises} {
			if c.Authorization.Rights()&right != 0 {
				d.Reads = append(d.Reads, name)
			}
		}
		slices.Sort(d.Reads)
		if key, err := c.PublicKey(); err == nil {
			d.PublicKey = publicKey(key.Public)
		}
		if c.SelfSigned() {
			if _, err := c.CheckSelfSigned(); err != nil {
				d.Problems = append(d.Problems, err.Error())
			}
		}
		return &Object{Kind: KindCV, CV: d}
	}
	if q, err := cvc.ParseRequest(raw); err == nil {
		return &Object{Kind: KindCVRequest, CV: &CV{
			Holder: q.CHR, Issuer: q.CAR, Scheme: q.Key.Scheme.String(), PublicKey: publicKey(q.Key.Public), Voucher: q.Outer, SHA256: digest(raw),
		}}
	}
	return nil
}

func (d *CV) text(b *strings.Builder, kind string) {
	if kind == KindCVRequest {
		line(b, "", "Request of", string(d.Holder))
		line(b, "", "meant for", string(d.Issuer))
		line(b, "", "vouched for by", string(d.Voucher))
	} else {
		line(b, "", "Certificate of", string(d.Holder))
		line(b, "", "issued by", string(d.Issuer))
		line(b, "", "makes it", d.Role)
		line(b, "", "may read", strings.Join(d.Reads, ", "))
		line(b, "", "valid", fmt.Sprintf("%s to %s", d.Effective, d.Expiry))
	}
	line(b, "", "signs with", d.Scheme)
	line(b, "", "public key", d.PublicKey)
	line(b, "", "SHA-256", d.SHA256)
	for _, p := range d.Problems {
		line(b, "", "problem", p)
	}
}
