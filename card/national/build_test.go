package national

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"image/jpeg"
	"sync"
	"testing"
	"time"

	"chipid/card/activeauth"
	"chipid/card/artwork/portrait"
	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/trust"
)

// fitted is a portrait that is as small as a chip wants it: making one so takes
// most of the time of building.
var fitted = sync.OnceValues(func() ([]byte, error) {
	return biometric.FitPhoto(portrait.JPEG(portrait.Look{Seed: 7, Female: true, Age: 36}), biometric.ChipPhoto)
})

func options(t testing.TB, profile Profile, person Person) BuildOptions {
	t.Helper()
	key, err := curve.GenerateKey(curve.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, err := cert.NewName(cert.A(asn1.ObjectIdentifier{2, 5, 4, 6}, profile.Country()))
	if err != nil {
		t.Fatal(err)
	}
	der, err := cert.Create(rand.Reader, cert.Template{
		Subject: name, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
	}, nil, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	photo, err := fitted()
	if err != nil {
		t.Fatal(err)
	}
	return BuildOptions{
		Profile: profile, Person: person, Photo: photo,
		Certificate: ds, Signer: key, Now: now, Rand: rand.Reader,
	}
}

func TestBuild(t *testing.T) {
	for _, one := range []struct {
		profile Profile
		person  Person
		aa      AAKey
		groups  []int
	}{
		{vietnam{}, mai, "", []int{1, 2, 13, 14, 15}},
		{vietnam{}, mai, AARSA, []int{1, 2, 13, 14, 15}},
		{vietnam{}, mai, AANone, []int{1, 2, 13, 14}},
		{utopia{}, anna, AAECDSA, []int{1, 2, 11, 12, 14, 15}},
	} {
		t.Run(one.profile.Name()+string(one.aa), func(t *testing.T) {
			o := options(t, one.profile, one.person)
			o.ActiveAuthentication = one.aa
			doc, secrets, err := Build(o)
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.DataGroups(); !equalInts(got, one.groups) {
				t.Errorf("data groups %v, want %v", got, one.groups)
			}
			com, _ := doc.Get(lds.EFCOM)
			if c, err := lds.DecodeCOM(com); err != nil || !equalInts(c.DataGroups(), one.groups) {
				t.Errorf("EF.COM: %+v, %v", c, err)
			}
			r, err := passiveauth.Verify(doc)
			if err != nil || r.Err() != nil || len(r.DataGroups) != len(one.groups) {
				t.Errorf("passive authentication: %v, %v", err, r.Err())
			}
			checkKeys(t, doc, secrets, one.profile, one.aa)

			// What a reader sees is what was applied for.
			got, err := Holder(doc, now.AddDate(5, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			want := one.person
			want.DocumentNumber, want.Nationality = got.DocumentNumber, got.Nationality
			if got != want {
				for i, f := range texts(&got) {
					if w := texts(&want)[i]; *w.value != *f.value {
						t.Errorf("%s is %q, want %q", f.name, *f.value, *w.value)
					}
				}
			}

			// Both kinds of chip take it.
			if _, err := perso.Script(doc, secrets, perso.ChipID); err != nil {
				t.Errorf("perso: %v", err)
			}
			raw, err := secrets.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := perso.UnmarshalSecrets(raw); err != nil || again.CAN != secrets.CAN || again.DocumentNumber != secrets.DocumentNumber {
				t.Errorf("secrets: %v", err)
			}
		})
	}
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// checkKeys compares the files' public keys with the secrets' private ones.
func checkKeys(t *testing.T, doc *lds.Document, secrets perso.Secrets, profile Profile, aa AAKey) {
	t.Helper()
	raw, _ := doc.Get(lds.EFCardAccess)
	access, err := lds.DecodeCardAccess(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ = doc.Get(lds.DG14)
	infos, err := lds.DecodeDG14(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos.PACE) != 1 || !infos.PACE[0].Protocol.Equal(access.PACE[0].Protocol) || infos.PACE[0].ParameterID != access.PACE[0].ParameterID {
		t.Errorf("PACE in DG14 %+v, before access control %+v", infos.PACE, access.PACE)
	}
	if len(infos.ChipAuthentication) != 1 || len(infos.ChipAuthenticationPublicKeys) != 1 {
		t.Fatalf("chip authentication: %+v", infos)
	}
	pub, err := cert.ParsePublicKey(infos.ChipAuthenticationPublicKeys[0].SubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	if !secrets.ChipAuthentication.Public().(*curve.PublicKey).Equal(pub) {
		t.Error("the key of chip authentication is not DG14's")
	}
	chip, err := profile.Chip()
	if err != nil {
		t.Fatal(err)
	}
	if secrets.ChipAuthentication.Curve() != chip.Curve {
		t.Errorf("chip authentication is on %s", secrets.ChipAuthentication.Curve().Name())
	}
	if aa == AANone {
		if secrets.ActiveAuthentication != nil || len(infos.ActiveAuthentication) != 0 {
			t.Error("active authentication is there")
		}
		return
	}
	raw, _ = doc.Get(lds.DG15)
	pub, err = lds.DecodeDG15(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, isRSA := pub.(*rsa.PublicKey); isRSA != (aa == AARSA) || (len(infos.ActiveAuthentication) == 1) == isRSA {
		t.Errorf("active authentication: %T, %+v", pub, infos.ActiveAuthentication)
	}
	var info *lds.ActiveAuthenticationInfo
	hash := crypto.SHA256
	if len(infos.ActiveAuthentication) == 1 {
		info = &infos.ActiveAuthentication[0]
	}
	challenge := []byte("8 octets")
	response, err := activeauth.Sign(rand.Reader, secrets.ActiveAuthentication, hash, challenge)
	if err != nil {
		t.Fatal(err)
	}
	if err := activeauth.Verify(pub, info, challenge, response); err != nil {
		t.Errorf("active authentication: %v", err)
	}
}

func TestBuildVietnamAccess(t *testing.T) {
	o := options(t, vietnam{}, mai)
	o.Person.DateOfExpiry, o.Person.DateOfIssue = "", ""
	doc, secrets, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	if secrets.DocumentNumber != "190000015" || secrets.DateOfBirth != "900309" || secrets.DateOfExpiry != "991231" || secrets.CAN != "000015" {
		t.Error("the passwords of the chip are not the CCCD's")
	}
	p, err := Holder(doc, now)
	if err != nil || p.DateOfExpiry != "" || p.DateOfIssue != now.Format(time.DateOnly) {
		t.Errorf("expiry %q, issue %q, %v", p.DateOfExpiry, p.DateOfIssue, err)
	}
	// Without DG13, as a reader has it that read DG1 alone.
	doc.Delete(lds.DG13)
	p, err = Holder(doc, now)
	if err != nil || p.Number != mai.Number || p.FullName != "NGUYEN, THI MAI" || p.DateOfBirth != mai.DateOfBirth || p.DateOfExpiry != "" || p.Sex != "F" {
		t.Errorf("from DG1 alone: %v", err)
	}
	// Two cards of one person share no key.
	_, other, err := Build(o)
	if err != nil || bytes.Equal(other.ChipAuthentication.Scalar(), secrets.ChipAuthentication.Scalar()) {
		t.Errorf("keys: %v", err)
	}
}

func TestBuildFitsThePhoto(t *testing.T) {
	o := options(t, vietnam{}, mai)
	o.Photo = portrait.JPEG(portrait.Look{Seed: 8, Age: 20})
	if len(o.Photo) <= biometric.ChipPhoto.Bytes {
		t.Fatalf("a photo of %d octets needs no fitting", len(o.Photo))
	}
	doc, _, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := doc.Get(lds.DG2)
	faces, err := lds.DecodeDG2(raw)
	if err != nil {
		t.Fatal(err)
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(faces[0].Image))
	if err != nil || len(faces[0].Image) > biometric.ChipPhoto.Bytes || config.Width != int(faces[0].Width) || config.Height != int(faces[0].Height) {
		t.Errorf("%d octets, %+v, %v", len(faces[0].Image), config, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := options(t, vietnam{}, mai)
	for what, change := range map[string]func(*BuildOptions){
		"photo that is none": func(o *BuildOptions) { o.Photo = []byte("x") },
		"no photo":           func(o *BuildOptions) { o.Photo = nil },
		"no signer":          func(o *BuildOptions) { o.Signer = nil },
		"no certificate":     func(o *BuildOptions) { o.Certificate = nil },
		"foreign signer":     func(o *BuildOptions) { o.Profile, o.Person = utopia{}, anna },
		"stranger's key":     func(o *BuildOptions) { o.Signer = options(t, vietnam{}, mai).Signer },
		"unknown key kind":   func(o *BuildOptions) { o.ActiveAuthentication = "dsa" },
		"no randomness":      func(o *BuildOptions) { o.Rand = bytes.NewReader(nil) },
		"no trust anchor":    func(o *BuildOptions) { o.Trust = trust.New() },
	} {
		o := good
		change(&o)
		if doc, _, err := Build(o); err == nil || doc != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	o := good
	o.Person.Sex = "M"
	var faults FieldErrors
	if _, _, err := Build(o); !errors.As(err, &faults) || faults[0].Field != "number" {
		t.Errorf("a wrong person: %v", err)
	}
	o = good
	o.Photo = o.Photo[:len(o.Photo)/2]
	if _, _, err := Build(o); !errors.As(err, &faults) || faults[0].Code != "damaged" || !errors.Is(err, biometric.ErrTruncated) {
		t.Errorf("a wrong photo: %v", err)
	}
}
