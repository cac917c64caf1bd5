package describe

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"chipid/pki/cert"
)

// The list of the world, as `chipid pki show` gives it to machines.
func TestGermanMasterList(t *testing.T) {
	const folder = "../../../shared/data/masterlist/"
	raw, err := os.ReadFile(folder + "DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the German master list is not on this machine (it is not ours to distribute)")
	}
	if err != nil {
		t.Fatal(err)
	}
	rootDER, err := os.ReadFile(folder + "DE_CSCA07.cer")
	if err != nil {
		t.Fatal(err)
	}
	roots, err := cert.ParseAll(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Read(raw, Options{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Kind       string
		MasterList struct {
			SignatureVerified                                                      bool
			Certificates, Parsed, Countries, SelfSignaturesVerified, LinksVerified int
			NotVerified                                                            []struct{ Subject, Reason string }
			Unreadable                                                             []any
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	l := got.MasterList
	if got.Kind != "master list" || !l.SignatureVerified || l.Certificates != 588 || l.Parsed != 588 ||
		l.SelfSignaturesVerified != 375 || l.LinksVerified != 201 || len(l.NotVerified) != 12 || len(l.Unreadable) != 0 {
		t.Errorf("%.600s", text)
	}
	for _, n := range l.NotVerified {
		if n.Subject == "" || n.Reason == "" {
			t.Errorf("%+v", n)
		}
	}
	for _, want := range []string{"588 certificates of", "yes, signed by C=DE,O=bund,OU=bsi,serialNumber=0039,CN=CSCA Master List Signer", "375 sign themselves, 201 are signed by another"} {
		if !strings.Contains(o.Text(), want) {
			t.Errorf("no %q in %.600s", want, o.Text())
		}
	}
	if o, err = Read(raw, Options{}); err != nil || o.MasterList.Verified || !o.Endorsement().Unknown || !strings.Contains(o.Text(), "no root was given") {
		t.Errorf("without a root: %+v, %v", o.Endorsement(), err)
	}
}
