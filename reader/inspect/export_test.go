package inspect_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/reader"
	"chipid/reader/inspect"
)

// exported is an export as anybody would read it: names and texts.
func exported(t *testing.T, e *inspect.Evidence, form inspect.Form) map[string]string {
	t.Helper()
	raw, err := inspect.Export(e, form, now)
	if err != nil {
		t.Fatal(err)
	}
	var pieces map[string]string
	if err := json.Unmarshal(raw, &pieces); err != nil {
		t.Fatal(err)
	}
	return pieces
}

func octetsOf(t *testing.T, pieces map[string]string, name string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(pieces[name])
	if err != nil || len(raw) == 0 {
		t.Fatalf("%s is not octets in base64: %v", name, err)
	}
	return raw
}

func openssl(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl, which judges here, is not installed: scripts/setup installs it")
	}
	return exec.Command(path, args...).CombinedOutput()
}

// The two forms of C06 have the pieces that facts are known of, octet for octet
// as they are on the chip.
func TestExportC06(t *testing.T) {
	vn, utopia := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	for form, want := range map[inspect.Form]map[string]lds.File{
		inspect.FormC06:   {"efCom": lds.EFCOM, "dg1": lds.DG1, "dg2": lds.DG2, "dg13": lds.DG13, "dg14": lds.DG14, "dg15": lds.DG15},
		inspect.FormC06AA: {"sod": lds.EFSOD, "dg1": lds.DG1, "dg2": lds.DG2, "dg13": lds.DG13, "dg14": lds.DG14},
	} {
		pieces := exported(t, e, form)
		for name, file := range want {
			if !bytes.Equal(octetsOf(t, pieces, name), must(vn.doc.Get(file))) {
				t.Errorf("%s: %s is not %v", form, name, file)
			}
			delete(pieces, name)
		}
		if form == inspect.FormC06 {
			if pieces["idNumber"] != mai.Number || len(pieces) != 1 {
				t.Errorf("%s: number %q, and %d others", form, pieces["idNumber"], len(pieces)-1)
			}
			continue
		}
		if !bytes.Equal(octetsOf(t, pieces, "aaChallenge"), e.ActiveAuthentication.Challenge) || !bytes.Equal(octetsOf(t, pieces, "aaSignature"), e.ActiveAuthentication.Response) {
			t.Error("challenge and signature are others")
		}
		if key, err := cert.ParsePublicKey(octetsOf(t, pieces, "aaPublicKey")); err != nil {
			t.Errorf("the key: %v", err)
		} else if held, err := lds.DecodeDG15(must(vn.doc.Get(lds.DG15))); err != nil || !held.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
			t.Error("the key is not that of DG15")
		}
		if pieces["aaAlgorithm"] != "ECDSA-SHA256" || len(pieces) != 4 {
			t.Errorf("%s, %d pieces", pieces["aaAlgorithm"], len(pieces))
		}
	}

	// Files alone, be they all of them, show no card.
	for _, form := range []inspect.Form{inspect.FormC06, inspect.FormC06AA} {
		files := inspect.EvidenceFromFiles(e.Document())
		if raw, err := inspect.Export(files, form, now); !errors.Is(err, inspect.ErrNoChipRead) || raw != nil {
			t.Errorf("%s of files alone: %v", form, err)
		}
	}
	// What is not there is named, all of it.
	var incomplete *inspect.IncompleteError
	less := roundTrip(t, e)
	delete(less.Files, "EF_COM")
	delete(less.Files, "DG13")
	less.ActiveAuthentication = nil
	if _, err := inspect.Export(less, inspect.FormC06, now); !errors.As(err, &incomplete) || !slices.Equal(incomplete.Missing, []string{"EF_COM", "DG13"}) {
		t.Errorf("without EF.COM and DG13: %v", err)
	}
	if _, err := inspect.Export(less, inspect.FormC06AA, now); !errors.As(err, &incomplete) || !slices.Equal(incomplete.Missing, []string{"DG13", "the signature of active authentication"}) {
		t.Errorf("without DG13 and a signature: %v", err)
	}
	// A signature that does not hold is given to nobody.
	forged := roundTrip(t, e)
	forged.ActiveAuthentication.Response[5] ^= 1
	if _, err := inspect.Export(forged, inspect.FormC06AA, now); err == nil {
		t.Error("a wrong signature was exported")
	}
	// Other states' documents are none of C06's.
	foreign := read(t, reader.NewChipTransport(card(t, utopia.doc, utopia.secrets)), can(utopia.secrets))
	foreign.Files["DG13"] = []byte{0x6D, 0x00}
	if _, err := inspect.Export(foreign, inspect.FormC06, now); err == nil || !strings.Contains(err.Error(), "UTO") {
		t.Errorf("a document of Utopia: %v", err)
	}
	if _, err := inspect.Export(e, inspect.FormFiles, now); err == nil {
		t.Error("a folder was exported into one file")
	}
	if _, err := inspect.FormByName("c07"); err == nil || !strings.Contains(err.Error(), "c06, c06-aa, files") {
		t.Errorf("no such form: %v", err)
	}
}

// OpenSSL, which knows nothing of this program, verifies what was exported: the
// signature over the data groups, and the chip's over the challenge.
func TestOpenSSLVerifiesExport(t *testing.T) {
	vn, _ := states(t)
	dir := t.TempDir()
	write := func(name string, raw []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	doc, secrets := vn.build(t, mai, national.AARSA)
	for name, c := range map[string]struct {
		doc *lds.Document
		p   inspect.Passwords
		tr  reader.Transport
	}{
		"ECDSA": {vn.doc, can(vn.secrets), reader.NewChipTransport(card(t, vn.doc, vn.secrets))},
		"RSA":   {doc, can(secrets), reader.NewChipTransport(card(t, doc, secrets))},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := exported(t, read(t, c.tr, c.p), inspect.FormC06AA)

			// EF.SOD is CMS SignedData in a template of tag 77; the trust in its
			// signer is not asked of OpenSSL.
			sod, err := tlv.ReadOne(octetsOf(t, pieces, "sod"), 0x77)
			if err != nil {
				t.Fatal(err)
			}
			content := filepath.Join(dir, "content")
			if out, err := openssl(t, "cms", "-verify", "-noverify", "-inform", "DER", "-in", write("sod", sod.Value), "-out", content); err != nil {
				t.Fatalf("the signature of EF.SOD: %v\n%s", err, out)
			}
			signed, err := os.ReadFile(content)
			if err != nil {
				t.Fatal(err)
			}
			for _, dg := range []string{"dg1", "dg2", "dg13", "dg14"} {
				sum, err := openssl(t, "dgst", "-sha256", "-binary", write(dg, octetsOf(t, pieces, dg)))
				if err != nil || !bytes.Contains(signed, sum) {
					t.Errorf("%s is not what EF.SOD signs: %v", dg, err)
				}
			}

			key := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: octetsOf(t, pieces, "aaPublicKey")}))
			challenge, signature := octetsOf(t, pieces, "aaChallenge"), octetsOf(t, pieces, "aaSignature")
			if name == "ECDSA" {
				// OpenSSL wants SEQUENCE { r, s }, and the chip gives r ‖ s.
				half := len(signature) / 2
				der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
				if err != nil {
					t.Fatal(err)
				}
				verify := func(challenge []byte) error {
					_, err := openssl(t, "dgst", "-sha256", "-verify", key, "-signature", write("signature", der), write("challenge", challenge))
					return err
				}
				if err := verify(challenge); err != nil {
					t.Errorf("the chip's signature: %v", err)
				}
				if verify([]byte("another!")) == nil {
					t.Error("it holds for another challenge")
				}
				return
			}
			// ISO/IEC 9796-2 is not in OpenSSL, but the RSA operation is: what comes
			// out ends in the hash over recovered message and challenge.
			f, err := openssl(t, "pkeyutl", "-verifyrecover", "-pubin", "-inkey", key, "-pkeyopt", "rsa_padding_mode:none", "-in", write("signature", signature))
			if err != nil {
				t.Fatalf("the chip's signature: %v\n%s", err, f)
			}
			algorithm := pieces["aaAlgorithm"]
			if algorithm != "ISO9796-2-SHA256" || f[0] != 0x6A || !bytes.HasSuffix(f, []byte{0x34, 0xCC}) {
				t.Fatalf("%s, representative %X…%X", algorithm, f[:1], f[len(f)-2:])
			}
			at := len(f) - 2 - 32
			sum, err := openssl(t, "dgst", "-sha256", "-binary", write("message", slices.Concat(f[1:at], challenge)))
			if err != nil || !bytes.Equal(sum, f[at:at+32]) {
				t.Errorf("the hash is not of this challenge: %v", err)
			}
		})
	}
}

// The folder of files is what the chip holds, and nothing of the read.
func TestExportFiles(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	dir := filepath.Join(t.TempDir(), "FILES")
	if err := inspect.ExportFiles(dir, e); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(e.Files) {
		t.Errorf("%d files of %d, %v", len(entries), len(e.Files), err)
	}
	back, err := inspect.LoadEvidence(dir)
	if err != nil || back.Origin != inspect.OriginFiles {
		t.Fatal(err)
	}
	for name, raw := range e.Files {
		if !bytes.Equal(back.Files[name], raw) {
			t.Errorf("%s is another", name)
		}
	}
}
