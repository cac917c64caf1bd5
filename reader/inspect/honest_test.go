package inspect_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/authority"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/keystore"
	"chipid/reader"
	"chipid/reader/inspect"
)

// Cards of all kinds and for all kinds of people, each as its state makes it, are
// genuine, and nothing odd is found in what they say: drawn anew for each, but
// always the same ones, so that one that is not can be looked at again.
func TestHonestCards(t *testing.T) {
	cards := 60
	if testing.Short() {
		cards = 15
	}
	r := mathrand.New(mathrand.NewPCG(9303, 11))
	type signer struct {
		name string
		authority.KeyOptions
		issuer
	}
	signers := []signer{
		{name: "P-256 with SHA-224", KeyOptions: authority.KeyOptions{Scheme: cert.ECDSAWithSHA224}},
		{name: "P-384", KeyOptions: authority.KeyOptions{Kind: keystore.Kind{Curve: curve.P384()}}},
		{name: "RSA", KeyOptions: authority.KeyOptions{Kind: keystore.Kind{RSABits: 2048}, Scheme: cert.RSAPKCS1WithSHA512}},
		{name: "RSA-PSS", KeyOptions: authority.KeyOptions{Kind: keystore.Kind{RSABits: 2048}, Scheme: cert.RSAPSSWithSHA384}},
	}
	hashes := []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	for n := range cards {
		s := &signers[r.IntN(len(signers))]
		if s.authority == nil {
			s.issuer = newIssuerWith(t, "vn", s.KeyOptions)
			if s.name == "RSA" {
				s.issuer = newIssuerWith(t, "utopia", s.KeyOptions)
			}
		}
		person := honestPerson(r, s.profile.Name())
		protocols, described := honestProtocols(r)
		aa := pick(r, national.AAECDSA, national.AAECDSA, national.AARSA, national.AANone)
		if aa == national.AARSA && r.IntN(4) > 0 { // whose keys take long to make
			aa = national.AANone
		}
		hash := pick(r, hashes...)
		way := pick(r, "CAN", "zone")
		if protocols.NoPACE {
			way = "zone" // which is all that BAC takes
		}
		name := fmt.Sprintf("%d: %s, %s, active authentication %s, %s, by the %s", n, s.name, described, aa, hash, way)

		ds, key, err := s.authority.DocumentSigner()
		if err != nil {
			t.Fatal(err)
		}
		doc, secrets, err := national.Build(national.BuildOptions{
			Profile: s.profile, Person: person, Photo: photo(t, byte(n)), Certificate: ds, Signer: key,
			ActiveAuthentication: aa, Protocols: protocols, Now: now, Rand: rand.Reader,
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		o := passiveauth.Options{Hash: hash, SigningTime: now}
		if r.IntN(2) == 0 {
			o.LDSVersion, o.UnicodeVersion = "0108", "040000"
		}
		sod, err := passiveauth.Issue(rand.Reader, doc, ds, key, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		doc.Set(lds.EFSOD, sod)
		passwords := can(secrets)
		if way == "zone" {
			passwords = zone(secrets)
		}
		honestRead(t, name, s.issuer, person, doc, secrets, passwords)
	}
}

func honestRead(t *testing.T, name string, s issuer, person national.Person, doc *lds.Document, secrets perso.Secrets, passwords inspect.Passwords) {
	t.Helper()
	policy := inspect.Policy{RequireRevocation: true, Number: person.Number}
	store := s.store(t)
	e, live, err := policy.Inspect(context.Background(), reader.NewChipTransport(card(t, doc, secrets)), options(passwords), store)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, report := range []*inspect.Report{live, policy.Check(roundTrip(t, e), store, now)} {
		f := report.Document
		if report.Verdict != inspect.Genuine || len(f.Problems) != 0 {
			t.Errorf("%s: %s %q", name, describe(report), f.Problems)
			return
		}
		if f.DateOfBirth != person.DateOfBirth || f.DateOfExpiry != person.DateOfExpiry || f.Holder.DateOfBirth != person.DateOfBirth ||
			f.Holder.DateOfExpiry != person.DateOfExpiry || f.Holder.Number != person.Number || !strings.EqualFold(f.Holder.FullName, person.FullName) {
			t.Errorf("%s: another person came back", name)
		}
	}
}

func pick[T any](r *mathrand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// honestPerson draws an invented person, as young as a day and as old as a hundred
// and ten years.
func honestPerson(r *mathrand.Rand, profile string) national.Person {
	born := now.AddDate(0, 0, -1-r.IntN(110*365))
	p := national.Person{
		DateOfBirth: born.Format(time.DateOnly), Sex: pick(r, "M", "F"),
		PlaceOfOrigin:    pick(r, "", "Hà Nội", "Xã Ví Dụ, Đắk Lắk"),
		PlaceOfResidence: pick(r, "", "Số 12 ngõ Thử Nghiệm, Phường Ví Dụ, Hà Nội", strings.Repeat("Đường Rất Dài, ", 12)+"Huế"),
		DateOfIssue:      now.AddDate(0, 0, -r.IntN(300)).Format(time.DateOnly),
		DateOfExpiry:     pick(r, "", now.Format(time.DateOnly), now.AddDate(0, 0, 1+r.IntN(3500)).Format(time.DateOnly)),
	}
	if born.After(now.AddDate(-1, 0, 0)) {
		p.DateOfIssue = now.Format(time.DateOnly)
	}
	if profile != "vn" {
		p.Number = fmt.Sprintf("ZE%07d", r.IntN(1e7))
		p.DocumentNumber = fmt.Sprintf("D%0*d", pick(r, 1, 5, 8, 8, 12), r.IntN(10))
		p.FullName = pick(r, "ERIKSSON, ANNA MARIA", "O'BRIEN-SMITH, SEÁN", "ARKFREITH", "MÜLLER, JÜRGEN ØYVIND",
			"PAPANDROPOULOUSANDVERYLONGINDEED, "+strings.Repeat("JONATHON ", 6)+"ALEC")
		return p
	}
	century := 2 * (born.Year()/100 - 19)
	if p.Sex == "F" {
		century++
	}
	p.Number = fmt.Sprintf("%s%d%02d%06d", pick(r, "001", "036", "079", "096", "127"), century, born.Year()%100, r.IntN(1e6))
	p.FullName = pick(r, "Nguyễn Thị Mai", "Trần Văn Bình", "Ơn", "Đặng Thuỳ Trâm", "H'Hen Niê", "Y Bhiêng Êban Kđoh",
		"Công Tằng Tôn Nữ Thị Hoàng Phương Quỳnh Trang Thiên Kim Ngọc Ánh")
	p.FatherName, p.MotherName = pick(r, "", "Nguyễn Văn Thử"), pick(r, "", "Lê Thị Mẫu")
	p.SpouseName, p.OldNumber = pick(r, "", "Phạm Ví Dụ"), pick(r, "", "012345678")
	p.Ethnicity, p.Religion = pick(r, "", "Kinh", "Ê Đê"), pick(r, "", "Không")
	return p
}

// honestProtocols draws what a chip is opened with and proves itself by.
func honestProtocols(r *mathrand.Rand) (p national.Protocols, described string) {
	ciphers := []iso7816.Cipher{iso7816.TripleDES, iso7816.AES128, iso7816.AES192, iso7816.AES256}
	onCurve := func() (int, *curve.Curve) {
		id := pick(r, 12, 12, 12, 15) // NIST P-256, P-384: the quick ones
		c, _ := curve.ByDomainParameterID(id)
		return id, c
	}
	switch r.IntN(5) {
	case 0:
		p.NoPACE, described = true, "BAC"
	default:
		mappings := []lds.Mapping{lds.GenericMapping, lds.IntegratedMapping, lds.ChipAuthenticationMapping}
		for range 1 + r.IntN(2) {
			id, _ := onCurve()
			m := pick(r, mappings...)
			cipher := pick(r, ciphers...)
			if m == lds.ChipAuthenticationMapping && cipher == iso7816.TripleDES {
				cipher = iso7816.AES128 // it has none with 3DES
			}
			offer := national.PACE{Mapping: m, Cipher: cipher, Parameter: id}
			if slices.ContainsFunc(p.PACE, func(o national.PACE) bool { return o.Mapping == m || o.Parameter == id }) {
				continue
			}
			p.PACE = append(p.PACE, offer)
			described += fmt.Sprintf("PACE %v %v %d ", m, cipher, id)
		}
	}
	_, c := onCurve()
	cipher := pick(r, ciphers...)
	p.ChipAuthentication = []national.ChipAuthentication{{Cipher: cipher, Curve: c}}
	return p, described + fmt.Sprintf(" and chip authentication %v on %s", cipher, c)
}
