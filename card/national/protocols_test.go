package national

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"slices"
	"testing"

	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/cvc"
)

func parsePACE(t testing.TB, texts ...string) (offers []PACE) {
	t.Helper()
	for _, text := range texts {
		p, err := ParsePACE(text, func(string) ([]byte, error) { return ownCurve(t), nil })
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		offers = append(offers, p)
	}
	return offers
}

func parseCA(t testing.TB, texts ...string) (keys []ChipAuthentication) {
	t.Helper()
	for _, text := range texts {
		ca, err := ParseChipAuthentication(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		keys = append(keys, ca)
	}
	return keys
}

// ownCurve is brainpoolP256r1 in other coordinates, as ECParameters.
func ownCurve(t testing.TB) []byte {
	t.Helper()
	p := curve.BrainpoolP256r1().Params()
	moved := func(x *big.Int, n int64) *big.Int {
		z := new(big.Int).Exp(big.NewInt(3), big.NewInt(n), p.P)
		return z.Mod(z.Mul(z, x), p.P)
	}
	octets := func(x *big.Int) []byte { return tlv.Encode(4, x.FillBytes(make([]byte, 32))) }
	integer := func(x *big.Int) []byte { return tlv.Encode(2, append([]byte{0}, x.Bytes()...)) }
	point := append([]byte{4}, moved(p.Gx, 2).FillBytes(make([]byte, 32))...)
	return tlv.Encode(0x30, tlv.Encode(2, []byte{1}),
		tlv.Encode(0x30, []byte{6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 1, 1}, integer(p.P)),
		tlv.Encode(0x30, octets(moved(p.A, 4)), octets(moved(p.B, 6))),
		tlv.Encode(4, append(point, moved(p.Gy, 3).FillBytes(make([]byte, 32))...)), integer(p.N), tlv.Encode(2, []byte{1}))
}

func cvca(t testing.TB) *cvc.Certificate {
	t.Helper()
	key, err := curve.GenerateKey(curve.BrainpoolP256r1(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cvc.Issue(rand.Reader, cvc.Template{
		CAR: "VNCVCA00001", CHR: "VNCVCA00001", Key: cvc.Key{Scheme: cvc.ECDSASHA256, Public: key.Public()},
		Authorization: cvc.NewAuthorization(cvc.CVCA, cvc.AllRights), Effective: cvc.DateOf(now.AddDate(0, -1, 0)), Expiry: cvc.DateOf(now.AddDate(1, 0, 0)),
	}, key, cvc.ECDSASHA256)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Documents of every kind are built, hold together and go onto the chip.
func TestBuildProtocols(t *testing.T) {
	root := cvca(t)
	for name, tt := range map[string]struct {
		p     Protocols
		offer []string // EF.CardAccess
		keys  []string // DG14's protocols of chip authentication
		files []lds.File
	}{
		"nothing":      {Protocols{}, []string{"PACE-ECDH-GM-AES-CBC-CMAC-128 13"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"BAC only":     {Protocols{NoPACE: true}, nil, []string{"CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"BAC, no keys": {Protocols{NoPACE: true, NoChipAuthentication: true}, nil, nil, nil},
		"integrated":   {Protocols{PACE: parsePACE(t, "im:P-384:aes256")}, []string{"PACE-ECDH-IM-AES-CBC-CMAC-256 15"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"CAM": {Protocols{PACE: parsePACE(t, "cam:brainpoolP256r1:aes128", "gm:13:3des", "CAM:brainpoolP256r1:AES256"), NoChipAuthentication: true},
			[]string{"PACE-ECDH-CAM-AES-CBC-CMAC-128 13", "PACE-ECDH-GM-3DES-CBC-CBC 13", "PACE-ECDH-CAM-AES-CBC-CMAC-256 13"}, nil, []lds.File{lds.EFCardSecurity}},
		"CAM and CA":      {Protocols{PACE: parsePACE(t, "cam:P-256:aes192")}, []string{"PACE-ECDH-CAM-AES-CBC-CMAC-192 12"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, []lds.File{lds.EFCardSecurity}},
		"modulo a prime":  {Protocols{PACE: parsePACE(t, "gm:modp-2048-256:aes128", "im:0:3des"), ChipAuthentication: parseCA(t, "modp-2048-224:aes256")}, []string{"PACE-DH-GM-AES-CBC-CMAC-128 2", "PACE-DH-IM-3DES-CBC-CBC 0"}, []string{"CA-DH-AES-CBC-CMAC-256"}, nil},
		"several keys":    {Protocols{ChipAuthentication: parseCA(t, "P-521:aes256", "modp-1024-160:3des", "brainpoolP160r1:aes128")}, []string{"PACE-ECDH-GM-AES-CBC-CMAC-128 13"}, []string{"CA-ECDH-AES-CBC-CMAC-256", "CA-DH-3DES-CBC-CBC", "CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"its own curve":   {Protocols{PACE: parsePACE(t, "gm:own.der:aes128", "im:own.der:aes256")}, []string{"PACE-ECDH-GM-AES-CBC-CMAC-128 32", "PACE-ECDH-IM-AES-CBC-CMAC-256 33"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"a PIN":           {Protocols{PIN: "123456", PUK: "1234567890"}, []string{"PACE-ECDH-GM-AES-CBC-CMAC-128 13"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, nil},
		"inspection only": {Protocols{TrustPoints: []*cvc.Certificate{root}, Protected: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 200))}}, []string{"PACE-ECDH-GM-AES-CBC-CMAC-128 13"}, []string{"CA-ECDH-AES-CBC-CMAC-128"}, []lds.File{lds.EFCVCA, lds.DG3}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, vietnam{}, mai)
			o.Protocols, o.ActiveAuthentication = tt.p, AANone
			doc, secrets, err := Build(o)
			if err != nil {
				t.Fatal(err)
			}
			var offers []string
			if raw, ok := doc.Get(lds.EFCardAccess); ok {
				infos, err := lds.DecodeCardAccess(raw)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range infos.PACE {
					offers = append(offers, fmt.Sprintf("%s %d", i.Name(), i.ParameterID))
				}
			}
			// DER has an order of its own.
			slices.Sort(offers)
			slices.Sort(tt.offer)
			if !slices.Equal(offers, tt.offer) {
				t.Errorf("EF.CardAccess offers %v", offers)
			}
			var keys []string
			raw, ok := doc.Get(lds.DG14)
			if !ok && len(tt.offer) > 0 {
				t.Error("no DG14 repeats the offers of PACE")
			}
			if ok {
				infos, err := lds.DecodeDG14(raw)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range infos.ChipAuthentication {
					keys = append(keys, i.Name())
				}
				var repeated []string
				for _, i := range infos.PACE {
					repeated = append(repeated, fmt.Sprintf("%s %d", i.Name(), i.ParameterID))
				}
				if slices.Sort(repeated); !slices.Equal(repeated, tt.offer) || len(infos.ChipAuthenticationPublicKeys) != len(tt.keys) {
					t.Errorf("DG14 repeats the offers %v and has %d keys", repeated, len(infos.ChipAuthenticationPublicKeys))
				}
			}
			slices.Sort(keys)
			slices.Sort(tt.keys)
			if !slices.Equal(keys, tt.keys) {
				t.Errorf("DG14 offers %v", keys)
			}
			for _, f := range []lds.File{lds.EFCardSecurity, lds.EFCVCA, lds.DG3} {
				if _, ok := doc.Get(f); ok != slices.Contains(tt.files, f) {
					t.Errorf("%s: %v", f, ok)
				}
			}
			if checked, err := passiveauth.Verify(doc); err != nil || checked.Err() != nil {
				t.Errorf("passive authentication: %v", err)
			}
			if _, err := perso.Script(doc, secrets, perso.ChipID); err != nil {
				t.Error(err)
			}
			if secrets.PIN != tt.p.PIN || secrets.PUK != tt.p.PUK || len(secrets.TrustPoints) != len(tt.p.TrustPoints) {
				t.Error("the secrets lack something")
			}
		})
	}
}

// What no chip can have.
func TestProtocolsRefused(t *testing.T) {
	own := func(string) ([]byte, error) { return ownCurve(t), nil }
	for _, text := range []string{"", "gm", "gm:P-256", "gm:P-256:aes128:x", "xm:P-256:aes128", "gm:P-257:aes128", "gm:3:aes128", "gm:P-256:aes512",
		"cam:P-256:3des", "cam:modp-2048-256:aes128", "im:P-224:aes128", "gm:brainpoolP160r1:aes128", "cam:own.der:aes128"} {
		if _, err := ParsePACE(text, own); !errors.Is(err, ErrProtocols) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ParsePACE("gm:noise.der:aes128", func(string) ([]byte, error) { return []byte("noise"), nil }); !errors.Is(err, lds.ErrMalformed) {
		t.Errorf("a file of noise: %v", err)
	}
	for _, text := range []string{"", "P-256", "P-256:x", "x:aes128"} {
		if _, err := ParseChipAuthentication(text); !errors.Is(err, ErrProtocols) {
			t.Errorf("%q: %v", text, err)
		}
	}
	root := cvca(t)
	for name, p := range map[string]Protocols{
		"PACE and none":             {NoPACE: true, PACE: parsePACE(t, "gm:13:aes128")},
		"chip authentication, none": {NoChipAuthentication: true, ChipAuthentication: parseCA(t, "P-256:aes128")},
		"a PIN without PACE":        {NoPACE: true, PIN: "123456"},
		"one offer twice":           {PACE: parsePACE(t, "gm:13:aes128", "gm:brainpoolP256r1:aes128")},
		"nobody may read":           {Protected: map[lds.File][]byte{lds.DG3: {0x63, 0}}},
		"DG2 guarded":               {TrustPoints: []*cvc.Certificate{root}, Protected: map[lds.File][]byte{lds.DG2: {0x75, 0}}},
		"three trust points":        {TrustPoints: []*cvc.Certificate{root, root, root}},
		"no key":                    {ChipAuthentication: []ChipAuthentication{{}}},
	} {
		o := options(t, vietnam{}, mai)
		o.Protocols = p
		if _, _, err := Build(o); !errors.Is(err, ErrProtocols) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Domain parameters in the files that OpenSSL writes.
func TestParametersOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	for name, args := range map[string][]string{
		"curve": {"ecparam", "-name", "secp256k1", "-param_enc", "explicit", "-outform", "DER"},
		"group": {"genpkey", "-genparam", "-algorithm", "DHX", "-pkeyopt", "dh_rfc5114:3", "-outform", "DER"},
		"named": {"ecparam", "-name", "brainpoolP384r1", "-outform", "DER"},
		"safe":  {"genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_2048", "-outform", "DER"},
	} {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if block, _ := pem.Decode(out); block != nil {
			out = block.Bytes
		}
		p, err := ParsePACE("gm:"+name+".der:aes128", func(string) ([]byte, error) { return out, nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := lds.ParseUnsignedParameters(p.Explicit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lds.ParametersAlgorithm(tlv.Encode(0x30, tlv.Encode(2, []byte{1}))); !errors.Is(err, lds.ErrMalformed) || errors.Is(err, cert.ErrUnsupported) {
		t.Errorf("one number: %v", err)
	}
}
