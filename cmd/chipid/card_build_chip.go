package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/artwork/portrait"
	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/pki/cvc"
	"chipid/pki/durable"
)

// chipFlags are the flags of card build that make another chip of a card than its
// profile has.
type chipFlags struct {
	pace, ca, cvca, fingers, irises []string
	pinFlags
}

// Words that stand in the place of a value.
const (
	noneOfIt = "none"
	drawn    = "random"
	invented = "invented"
)

func (f *chipFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.pace, "pace", nil, "an offer of PACE, MAPPING:PARAMETERS:CIPHER (repeatable), or none: BAC only (default: the profile's)")
	flags.StringArrayVar(&f.ca, "ca", nil, "a key of chip authentication, CURVE:CIPHER (repeatable), or none (default: the profile's)")
	flags.StringArrayVar(&f.cvca, "cvca", nil, "certificate of the CVCA whose terminals may read fingerprints; of two, the newer first")
	flags.StringArrayVar(&f.fingers, "finger", nil, "a fingerprint, POSITION=FILE (repeatable), such as right-index=finger.wsq")
	flags.StringArrayVar(&f.irises, "iris", nil, "an iris, EYE=FILE (repeatable), such as right=iris.jp2")
	f.pinFlags.register(cmd, `PIN of the card; "random" draws one`, `PUK that unblocks the PIN; "random" draws one`)
}

// chipHelp is the part of card build's help about them.
const chipHelp = `
The chip of the profile is made unless flags say otherwise:

  --pace MAPPING:PARAMETERS:CIPHER
      mapping     gm, im, cam (which proves the chip by a key in EF.CardSecurity)
      parameters  a curve (P-192 to P-521, brainpoolP192r1 to brainpoolP512r1), a
                  group (modp-1024-160, modp-2048-224, modp-2048-256), their number
                  (0 to 2, 8 to 18), or a DER or PEM file with a curve or group of
                  the card's own, as openssl writes it
      cipher      3des, aes128, aes192, aes256
  --ca CURVE:CIPHER or GROUP:CIPHER, likewise; several keys are numbered

PACE, and chip authentication with AES, modulo 2048 bits need a reader with
extended lengths.

A card with --cvca holds fingerprints (--finger POSITION=FILE, in WSQ, JPEG, JPEG
2000 or PNG) and irises (--iris EYE=FILE) for terminals that this CVCA lets in.
Positions are right-thumb, right-index, right-middle, right-ring, right-little and
the same of the left hand, eyes right and left. The FILE "invented" draws a picture.

A PIN or PUK may be given as --pin VALUE, be typed (--pin -), stand in a file
(--pin-file), or be drawn (--pin random). It is kept in chip-secrets.sealed alone;
chipid card pin shows it, for the letter to the holder.`

// maxParameters is more than domain parameters of any size taken have.
const maxParameters = 16 << 10

// protocols reads the flags.
func (f *chipFlags) protocols(a *app) (national.Protocols, error) {
	var p national.Protocols
	for _, text := range f.pace {
		if text == noneOfIt {
			p.NoPACE = true
			continue
		}
		offer, err := national.ParsePACE(text, readParameters)
		if err != nil {
			return p, flagFault("--pace "+text, err)
		}
		p.PACE = append(p.PACE, offer)
	}
	for _, text := range f.ca {
		if text == noneOfIt {
			p.NoChipAuthentication = true
			continue
		}
		key, err := national.ParseChipAuthentication(text)
		if err != nil {
			return p, flagFault("--ca "+text, err)
		}
		p.ChipAuthentication = append(p.ChipAuthentication, key)
	}
	for _, path := range f.cvca {
		raw, err := durable.ReadFile(path, maxPKIFile)
		if err != nil {
			return p, err
		}
		c, err := cvc.Parse(raw)
		if err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		p.TrustPoints = append(p.TrustPoints, c)
	}
	if err := f.protected(&p); err != nil {
		return p, err
	}
	return p, f.secrets(a, &p)
}

// flagFault is a fault of a flag's value, or of the file that it names.
func flagFault(flag string, err error) error {
	if errors.Is(err, national.ErrProtocols) {
		return usageErrorf("%s: %v", flag, err)
	}
	return fmt.Errorf("%s: %w", flag, err)
}

func readParameters(path string) ([]byte, error) {
	raw, err := durable.ReadFile(path, maxParameters)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	return raw, nil
}

// protected makes the data groups that terminals alone may read.
func (f *chipFlags) protected(p *national.Protocols) error {
	var fingers []biometric.FingerRecord
	for n, text := range f.fingers {
		name, path, ok := strings.Cut(text, "=")
		position, known := fingerPosition(name)
		if !ok || !known {
			return usageErrorf("--finger %s: a fingerprint is written POSITION=FILE, with a position such as right-index", text)
		}
		picture, err := pictureOr(path, portrait.Finger, uint64(n)+uint64(position)<<8)
		if err != nil {
			return err
		}
		record, err := biometric.NewFinger(position, picture)
		if err != nil {
			return fmt.Errorf("--finger %s: %w", text, err)
		}
		fingers = append(fingers, record)
	}
	var irises []biometric.IrisRecord
	for n, text := range f.irises {
		name, path, ok := strings.Cut(text, "=")
		eye, known := map[string]byte{"right": biometric.RightEye, "left": biometric.LeftEye}[strings.ToLower(name)]
		if !ok || !known {
			return usageErrorf("--iris %s: an iris is written EYE=FILE, with right or left for the eye", text)
		}
		picture, err := pictureOr(path, portrait.Iris, uint64(n)+uint64(eye)<<8)
		if err != nil {
			return err
		}
		record, err := biometric.NewIris(eye, picture)
		if err != nil {
			return fmt.Errorf("--iris %s: %w", text, err)
		}
		irises = append(irises, record)
	}
	p.Protected = map[lds.File][]byte{}
	if len(fingers) > 0 {
		raw, err := lds.EncodeDG3(nil, fingers...)
		if err != nil {
			return err
		}
		p.Protected[lds.DG3] = raw
	}
	if len(irises) > 0 {
		raw, err := lds.EncodeDG4(nil, irises...)
		if err != nil {
			return err
		}
		p.Protected[lds.DG4] = raw
	}
	return nil
}

// pictureOr reads a picture's file, or has one drawn.
func pictureOr(path string, draw func(uint64) []byte, seed uint64) ([]byte, error) {
	if path == invented {
		return draw(seed), nil
	}
	return durable.ReadFile(path, biometric.MaxPhotoBytes)
}

// fingerPosition is the number of a finger by its name (ISO/IEC 19794-4 table 6).
func fingerPosition(name string) (byte, bool) {
	for n, finger := range []string{"thumb", "index", "middle", "ring", "little"} {
		switch strings.ToLower(name) {
		case "right-" + finger:
			return biometric.RightThumb + byte(n), true
		case "left-" + finger:
			return biometric.LeftThumb + byte(n), true
		}
	}
	return 0, false
}

// secrets are the PIN and the PUK.
func (f *chipFlags) secrets(a *app, p *national.Protocols) error {
	drawPIN, drawPUK := f.pin.value == drawn, f.puk.value == drawn
	flags := f.pinFlags
	if drawPIN {
		flags.pin.value = ""
	}
	if drawPUK {
		flags.puk.value = ""
	}
	var err error
	if p.PIN, p.PUK, err = flags.read(a); err != nil {
		return err
	}
	if drawPIN {
		if p.PIN, err = national.DrawNumber(a.rand, national.PINDigits); err != nil {
			return err
		}
	}
	if drawPUK {
		if p.PUK, err = national.DrawNumber(a.rand, national.PUKDigits); err != nil {
			return err
		}
	}
	if p.PUK != "" && p.PIN == "" {
		return usageErrorf("--puk is for a card with a PIN: give --pin too")
	}
	return nil
}
