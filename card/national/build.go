package national

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/trust"
)

// AAKey is the kind of key a chip does active authentication with.
type AAKey string

// The kinds. ECDSA on P-256 is the default.
const (
	AAECDSA AAKey = "ecdsa"
	AARSA   AAKey = "rsa" // 2048 bits
	AANone  AAKey = "none"
)

// AAKeyByName finds a kind.
func AAKeyByName(name string) (AAKey, error) {
	switch k := AAKey(name); k {
	case AAECDSA, AARSA, AANone:
		return k, nil
	}
	return "", fmt.Errorf("there is no kind of active authentication key %q; there are ecdsa, rsa and none", name)
}

// rsaBits: with 2048 the answer to INTERNAL AUTHENTICATE has 256 octets, which
// is the most that short APDUs carry.
const rsaBits = 2048

// BuildOptions are everything that goes into a document.
type BuildOptions struct {
	Profile Profile
	Person  Person
	Photo   []byte // JPEG or JPEG 2000; made to fit the chip where it does not
	// The document signer.
	Certificate *cert.Certificate
	Signer      crypto.Signer
	// Trust, where given, is what readers will have: a document whose signer
	// they would not trust, for this state and kind of document, is not made.
	Trust *trust.Store

	ActiveAuthentication AAKey     // empty: AAECDSA
	Protocols            Protocols // where they are not the profile's

	Now  time.Time
	Rand io.Reader
}

// Build makes a person's document: every file of the chip, signed, and the
// secrets that go onto the chip beside them. A person without a date of issue
// gets that of Now.
//
// Errors about the person or the photo are FieldErrors. The keys of the chip are made here
// and exist nowhere else than in the secrets.
func Build(o BuildOptions) (*lds.Document, perso.Secrets, error) {
	none := perso.Secrets{}
	p := Normalise(o.Person)
	if p.DateOfIssue == "" {
		p.DateOfIssue = o.Now.Format(dateLayout)
	}
	if err := o.Profile.Check(p, o.Now).Err(); err != nil {
		return nil, none, err
	}
	if o.Certificate == nil || o.Signer == nil {
		return nil, none, errors.New("build the document: there is no document signer")
	}
	if of := o.Certificate.Issuer.Country(); !strings.EqualFold(of, o.Profile.Country()) {
		// A reader compares the state in the zone with the state that signed.
		return nil, none, fmt.Errorf("build the document: the document signer is of %s, the card of %s", of, o.Profile.Country())
	}
	info, err := o.Profile.MRZ(p)
	if err != nil {
		return nil, none, err
	}
	chip, err := o.Profile.Chip()
	if err != nil {
		return nil, none, err
	}
	doc := new(lds.Document)
	photo, err := setHolder(doc, o, p, info)
	if err != nil {
		return nil, none, fmt.Errorf("build the document: %w", err)
	}
	secrets := perso.Secrets{
		DocumentNumber: info.DocumentNumber, DateOfBirth: info.DateOfBirth, DateOfExpiry: info.DateOfExpiry,
		CAN: o.Profile.CAN(p), PIN: o.Protocols.PIN, PUK: o.Protocols.PUK, Habits: chip.Habits,
	}
	if err := setProtected(doc, &secrets, o); err != nil {
		return nil, none, fmt.Errorf("build the document: %w", err)
	}
	if err := setKeys(doc, &secrets, chip, o); err != nil {
		return nil, none, fmt.Errorf("build the document: %w", err)
	}
	common, err := lds.NewCommon(doc.DataGroups())
	if err != nil {
		return nil, none, err
	}
	com, err := lds.EncodeCOM(common)
	if err != nil {
		return nil, none, err
	}
	doc.Set(lds.EFCOM, com)
	sod, err := signDocument(doc, o)
	if err != nil {
		return nil, none, fmt.Errorf("build the document: %w", err)
	}
	doc.Set(lds.EFSOD, sod)
	if err := readsBack(doc, o, p, photo); err != nil {
		return nil, none, err
	}
	return doc, secrets, nil
}

// Portrait is the photo that a document that Build made has in DG2; nil where
// it has none that can be read.
func Portrait(doc *lds.Document) []byte {
	raw, _ := doc.Get(lds.DG2)
	faces, err := lds.DecodeDG2(raw)
	if err != nil || len(faces) != 1 {
		return nil
	}
	return faces[0].Image
}

// signDocument gives EF.SOD.
func signDocument(doc *lds.Document, o BuildOptions) ([]byte, error) {
	if o.Trust == nil {
		return passiveauth.Issue(o.Rand, doc, o.Certificate, o.Signer, passiveauth.Options{SigningTime: o.Now})
	}
	service, err := passiveauth.NewService(o.Trust, o.Certificate, o.Signer, passiveauth.Options{}, o.Now)
	if err != nil {
		return nil, err
	}
	return service.Issue(o.Rand, doc, o.Now)
}

// setHolder writes the data groups about the person and gives the photo as it
// stands in DG2.
func setHolder(doc *lds.Document, o BuildOptions, p Person, info mrz.Info) ([]byte, error) {
	dg1, err := lds.EncodeDG1(info)
	if err != nil {
		return nil, err
	}
	doc.Set(lds.DG1, dg1)
	photo, err := biometric.FitPhoto(o.Photo, biometric.ChipPhoto)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", FieldErrors{PhotoFault(err)}, err)
	}
	face, err := biometric.NewFace(photo)
	if err != nil {
		return nil, err
	}
	dg2, err := lds.EncodeDG2(face)
	if err != nil {
		return nil, err
	}
	doc.Set(lds.DG2, dg2)
	details, err := o.Profile.Details(p, o.Rand)
	if err != nil {
		return nil, err
	}
	for f, raw := range details {
		doc.Set(f, raw)
	}
	return photo, nil
}

// setKeys says how the chip is opened, makes its keys, and writes DG14 and DG15,
// which vouch for all that.
func setKeys(doc *lds.Document, secrets *perso.Secrets, chip Chip, o BuildOptions) error {
	// What was offered before access control stands once more in DG14, so that a
	// reader can tell whether somebody changed the offer (Doc 9303-11 §9.2.8).
	access, infos, err := o.Protocols.change(chip)
	if err != nil {
		return err
	}
	if access != nil {
		doc.Set(lds.EFCardAccess, access)
	}
	if err := setCardSecurity(doc, secrets, infos, o); err != nil {
		return err
	}
	if err := setChipAuthentication(secrets, &infos, chip, o); err != nil {
		return err
	}

	signer, err := activeAuthenticationKey(o)
	if err != nil {
		return err
	}
	if signer != nil {
		secrets.ActiveAuthentication = signer
		dg15, err := lds.EncodeDG15(signer.Public())
		if err != nil {
			return err
		}
		doc.Set(lds.DG15, dg15)
		if _, ec := signer.(*curve.PrivateKey); ec {
			// Without it nobody knows the hash (Doc 9303-11 §9.2.4).
			aa, err := lds.NewActiveAuthenticationInfo(crypto.SHA256)
			if err != nil {
				return err
			}
			infos.ActiveAuthentication = []lds.ActiveAuthenticationInfo{aa}
		}
	}
	dg14, err := lds.EncodeDG14(infos)
	if err != nil {
		return err
	}
	if !empty(infos) {
		doc.Set(lds.DG14, dg14)
	}
	return nil
}

// empty tells that DG14 would say nothing.
func empty(infos lds.SecurityInfos) bool {
	return len(infos.PACE)+len(infos.PACEDomainParameters)+len(infos.ChipAuthentication)+len(infos.ChipAuthenticationPublicKeys)+
		len(infos.ActiveAuthentication)+len(infos.TerminalAuthentication)+len(infos.Other) == 0
}

func activeAuthenticationKey(o BuildOptions) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	switch o.ActiveAuthentication {
	case AAECDSA, "":
		key, err = curve.GenerateKey(curve.P256(), o.Rand)
	case AARSA:
		key, err = rsa.GenerateKey(o.Rand, rsaBits)
	case AANone:
		return nil, nil
	default:
		_, err = AAKeyByName(string(o.ActiveAuthentication))
	}
	if err != nil {
		return nil, fmt.Errorf("make the key of active authentication: %w", err)
	}
	return key, nil
}

// readsBack decodes the finished document as a reader would and compares: a
// card that says something else than the application is found here.
func readsBack(doc *lds.Document, o BuildOptions, p Person, photo []byte) error {
	got, err := o.Profile.Holder(doc, o.Now)
	if err != nil {
		return fmt.Errorf("build the document: what was made cannot be read: %w", err)
	}
	for i, f := range texts(&got) {
		want := texts(&p)[i]
		if *want.value != "" && *f.value != *want.value && carried(doc, f.name) {
			return fmt.Errorf("build the document: %s does not read back as it was written", f.en)
		}
	}
	if !bytes.Equal(Portrait(doc), photo) {
		return errors.New("build the document: the photo does not read back")
	}
	return nil
}

// carried tells the fields that the document has in the form of the
// application. The zone alone has names without diacritics, and no profile's
// files have all fields.
func carried(doc *lds.Document, name string) bool {
	switch name {
	case "number", "dateOfBirth", "sex", "dateOfExpiry":
		return true
	case "documentNumber", "nationality":
		return false
	}
	_, all := doc.Get(lds.DG13)
	return all
}
