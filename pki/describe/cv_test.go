package describe

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"chipid/pki/curve"
	"chipid/pki/cvc"
)

func TestCardVerifiable(t *testing.T) {
	key, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, err := cvc.Issue(rand.Reader, cvc.Template{
		CAR: "VNCVCA00001", CHR: "VNCVCA00001", Key: cvc.Key{Scheme: cvc.ECDSASHA256, Public: key.Public()},
		Authorization: cvc.NewAuthorization(cvc.CVCA, cvc.AllRights), Effective: cvc.Date{Year: 2026, Month: 11, Day: 22}, Expiry: cvc.Date{Year: 2028, Month: 11, Day: 21},
	}, key, cvc.ECDSASHA256)
	if err != nil {
		t.Fatal(err)
	}
	request, err := cvc.NewRequest(rand.Reader, "VNCVCA00001", "LADV00002", key, cvc.ECDSASHA256, &cvc.Voucher{CHR: "LADV00001", Signer: key, Scheme: cvc.ECDSASHA256})
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(root.Raw)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		raw  []byte
		kind string
		want []string
	}{
		"certificate": {root.Raw, KindCV, []string{"VNCVCA00001", "CVCA", "dg3, dg4", "2026-11-22 to 2028-11-21", "TA-ECDSA-SHA-256", "EC brainpoolP256r1"}},
		"forged":      {forged, KindCV, []string{"problem", "the signature does not hold"}},
		"request":     {request.Raw, KindCVRequest, []string{"Request of", "LADV00002", "VNCVCA00001", "vouched for by   LADV00001"}},
	} {
		o, err := Read(c.raw, Options{})
		if err != nil || o.Kind != c.kind {
			t.Errorf("%s: %+v, %v", name, o, err)
			continue
		}
		text := o.Text()
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
		if name == "certificate" && strings.Contains(text, "problem") {
			t.Errorf("a good one has a problem:\n%s", text)
		}
	}
	if _, err := Read(request.Raw[:len(request.Raw)-1], Options{}); err == nil {
		t.Error("a cut request is described")
	}
}
