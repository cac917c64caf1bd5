package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/pki/durable"
	"chipid/pki/trust"
	"chipid/reader"
)

// maxApplicantBytes bounds an applicant's JSON file; one has about a kilobyte.
const maxApplicantBytes = 64 << 10

func newCardBuildCommand(a *app) *cobra.Command {
	var photo, pki, out, profile, aa string
	var chip chipFlags
	cmd := &cobra.Command{
		Use:   "build APPLICANT.json",
		Short: "Make a signed document and its chip's keys",
		Long: `Makes every file of a card from a person's data and photo, signs it with the
document signer of an authority, makes the chip's keys, and writes all of it
into a new folder: DG1.bin, EF_SOD.bin and so on, and chip-secrets.sealed, which
the passphrase opens. A photo that does not fit the chip is scaled down and
becomes a JPEG, which the command says; one that fits stays as it is.
` + chipHelp,
		Example: `  chipid card build applicant.json --photo face.jpg --pki PKI --out CARD
  chipid card build anna.json --photo anna.jpg --pki UTOPIA --profile utopia --aa rsa --out CARD
  chipid card build applicant.json --photo face.jpg --pace cam:P-256:aes256 --pace gm:P-256:aes256 --ca none --out CAM
  chipid card build applicant.json --photo face.jpg --pace im:modp-2048-256:aes128 --ca modp-2048-256:3des --aa none --out DH
  chipid card build applicant.json --photo face.jpg --pace none --out BAC
  chipid card build applicant.json --photo face.jpg --pin random --puk random --out CARD
  chipid card build applicant.json --photo face.jpg --cvca PKI/cv/cvca/VNCVCA00001.cvcert --finger right-index=invented --out CARD

  applicant.json:
  {"number": "001190000015", "fullName": "Nguyễn Thị Mai", "dateOfBirth": "1990-03-09", "sex": "F",
   "placeOfResidence": "Số 12 ngõ Thử Nghiệm, Hà Nội", "dateOfExpiry": "2030-03-09"}`,
		Args: exactArgs("APPLICANT.json"),
	}
	flags := cmd.Flags()
	flags.StringVar(&photo, "photo", "", "portrait, a JPEG or JPEG 2000 file")
	flags.StringVar(&pki, "pki", "PKI", "folder of the authority that signs")
	flags.StringVar(&out, "out", "", "folder to make")
	flags.StringVar(&profile, "profile", "vn", "kind of card: vn or utopia")
	flags.StringVar(&aa, "aa", string(national.AAECDSA), "key of active authentication: ecdsa, rsa or none")
	chip.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if photo == "" || out == "" {
			return usageErrorf("%s needs --photo FILE and --out DIR (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		kind, err := national.ByName(profile)
		if err != nil {
			return usageErrorf("--profile: %v", err)
		}
		key, err := national.AAKeyByName(aa)
		if err != nil {
			return usageErrorf("--aa: %v", err)
		}
		protocols, err := chip.protocols(a)
		if err != nil {
			return err
		}
		person, err := readPerson(args[0])
		if err != nil {
			return err
		}
		picture, err := durable.ReadFile(photo, biometric.MaxPhotoBytes)
		if err != nil {
			return err
		}
		issuer, err := a.openAuthority(pki)
		if err != nil {
			return err
		}
		defer issuer.Close()
		ds, signer, err := issuer.DocumentSigner()
		if err != nil {
			return err
		}
		store, err := trust.Open(issuer.TrustDir())
		if err != nil {
			return err
		}
		doc, secrets, err := national.Build(national.BuildOptions{
			Profile: kind, Person: person, Photo: picture, Certificate: ds, Signer: signer, Trust: store,
			ActiveAuthentication: key, Protocols: protocols, Now: a.now(), Rand: a.rand,
		})
		if err != nil {
			return a.fieldErrors(args[0], err)
		}
		sealer, err := a.sealer()
		if err != nil {
			return err
		}
		if err := reader.SaveCard(out, doc, secrets, sealer); err != nil {
			return err
		}
		sizes := fileSizes(doc)
		given, onChip := biometric.DescribeImage(picture), biometric.DescribeImage(national.Portrait(doc))
		if a.asJSON {
			return a.printJSON(map[string]any{
				"dir": out, "profile": kind.Name(), "signer": ds.Subject.String(), "files": sizes,
				"photo": map[string]any{"given": given, "onChip": onChip},
			})
		}
		total := 0
		for _, f := range sizes {
			total += f.Bytes
		}
		a.printf("%s\n", a.say(
			fmt.Sprintf("Đã tạo thẻ trong %s: %d tệp, %d byte, ký bởi %s", out, len(sizes), total, ds.Subject),
			fmt.Sprintf("Built a card in %s: %d files, %d bytes, signed by %s", out, len(sizes), total, ds.Subject)))
		if !bytes.Equal(picture, national.Portrait(doc)) {
			a.tellPhotoMadeAnew(given, onChip)
		}
		return nil
	}
	return cmd
}

// tellPhotoMadeAnew says what became of the photo: nobody else compares the two.
func (a *app) tellPhotoMadeAnew(given, onChip biometric.ImageDescription) {
	describe := func(d biometric.ImageDescription) string {
		return fmt.Sprintf("%s, %d × %d %s, %d %s", d.Format, d.Width, d.Height, a.say("điểm ảnh", "pixels"), d.Bytes, a.say("byte", "bytes"))
	}
	a.printf("%s: %s → %s\n", a.say("Ảnh đã được tạo lại cho vừa chip", "The photo was made anew to fit the chip"), describe(given), describe(onChip))
	if given.Format != onChip.Format {
		fit := biometric.ChipPhoto
		a.printf(a.say("Ảnh %s không quá %d × %d điểm ảnh và %d byte, không kèm siêu dữ liệu, được ghi lên chip nguyên vẹn.\n",
			"A %s of at most %d × %d pixels and %d bytes, without metadata, goes onto the chip as it is.\n"), given.Format, fit.Width, fit.Height, fit.Bytes)
	}
}

// fieldErrors tells the faults of a person's data one a line, in the user's
// language.
func (a *app) fieldErrors(file string, err error) error {
	var faults national.FieldErrors
	if !errors.As(err, &faults) {
		return err
	}
	if a.asJSON {
		if err := a.printJSON(map[string]any{"faults": faults}); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(a.say("%s: dữ liệu chưa đúng:", "%s: the data cannot go onto a card:"), file)
	for _, f := range faults {
		text += fmt.Sprintf("\n  %s: %s", f.Field, a.say(f.VI, f.EN))
	}
	return errors.New(text)
}

func readPerson(path string) (national.Person, error) {
	raw, err := durable.ReadFile(path, maxApplicantBytes)
	if err != nil {
		return national.Person{}, err
	}
	// Editors on Windows put a byte order mark in front.
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF"))))
	dec.DisallowUnknownFields()
	var p national.Person
	if err := dec.Decode(&p); err != nil {
		return national.Person{}, fmt.Errorf("%s is not an applicant's data in JSON: %s", path, jsonFault(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return national.Person{}, fmt.Errorf("%s holds more than one JSON object", path)
	}
	return p, nil
}

// jsonFault says what is wrong with a JSON text, in words that need no Go.
func jsonFault(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return "it is to be an object such as {\"number\": \"001190000015\", …}"
	case errors.As(err, &kind):
		return fmt.Sprintf("the value of %q belongs in quotation marks", kind.Field)
	case errors.Is(err, io.EOF):
		return "the file is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the file is cut off"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

type fileSize struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

func fileSizes(doc *lds.Document) []fileSize {
	var sizes []fileSize
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		sizes = append(sizes, fileSize{f.String(), len(raw)})
	}
	return sizes
}
