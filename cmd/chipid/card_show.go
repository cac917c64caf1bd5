package main

import (
	"errors"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/national"
	"chipid/card/passiveauth"
	"chipid/reader"
	"chipid/reader/inspect"
)

// cardContents is what `card show --json` prints.
type cardContents struct {
	Profile string          `json:"profile,omitempty"`
	MRZ     []string        `json:"mrz,omitempty"`
	Holder  national.Person `json:"holder"`
	Face    *faceContents   `json:"face,omitempty"`
	// Protocols that the chip offers, by the files.
	Protocols  []string       `json:"protocols,omitempty"`
	Signer     string         `json:"signer,omitempty"`
	Hash       string         `json:"hash,omitempty"`
	DataGroups map[string]any `json:"dataGroups,omitempty"`
	Files      []fileSize     `json:"files"`
	// What pictures, biometrics and the chip's own files hold.
	Contents []inspect.Content `json:"contents,omitempty"`
	Problems []string          `json:"problems,omitempty"`
}

type faceContents struct {
	Format string `json:"format"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bytes  int    `json:"bytes"`
}

func newCardShowCommand(a *app) *cobra.Command {
	var pictures string
	var prints bool
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Show what the files of a card say",
		Long: `Decodes the files in a folder, as card build or read --out wrote them, and shows
what they say and whether they fit the signature in EF.SOD. It does not say
whether the signer is to be trusted: that is chipid verify.

With --pictures the portrait, and what is there of printed portraits and
signatures, is written to a new folder: as it is on the chip and, where that is
JPEG 2000, as PNG too. Fingerprints and irises are described, and written only
with --prints.`,
		Example: `  chipid card show CARD
  chipid card show CARD --pictures PICTURES
  chipid card show EVIDENCE --pictures PICTURES --prints
  chipid card show CARD --json`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := reader.ReadDocument(args[0])
			if err != nil {
				return err
			}
			if prints && pictures == "" {
				return usageErrorf("--prints says what --pictures DIR writes: give both")
			}
			c := a.decodeCard(doc)
			if pictures != "" {
				if err := a.makeEmpty(pictures); err != nil {
					return err
				}
				shown := inspect.Pictures(doc)
				if prints {
					shown = append(shown, inspect.Prints(doc)...)
				}
				if err := fill(pictures, func() error { return writePictures(pictures, shown) }); err != nil {
					os.Remove(pictures) // nothing is in it
					return err
				}
			}
			if a.asJSON {
				return a.printJSON(c)
			}
			a.printCard(c)
			return nil
		},
	}
	cmd.Flags().StringVar(&pictures, "pictures", "", "new folder for the pictures")
	cmd.Flags().BoolVar(&prints, "prints", false, "with --pictures: fingerprints and irises too")
	return cmd
}

// decodeCard decodes file by file. What cannot be read becomes a problem and
// does not keep the rest from being shown.
func (a *app) decodeCard(doc *lds.Document) cardContents {
	c := cardContents{Files: fileSizes(doc), Contents: inspect.Contents(doc)}
	problem := func(err error) bool {
		if err != nil {
			c.Problems = append(c.Problems, err.Error())
		}
		return err != nil
	}
	if raw, ok := doc.Get(lds.DG1); ok {
		info, err := lds.DecodeDG1(raw)
		if !problem(err) || errors.Is(err, mrz.ErrCheckDigit) {
			text, _ := lds.MRZText(raw)
			c.MRZ = info.Format.Lines(text)
			if p := national.ByState(info.IssuingState); p.State() == info.IssuingState {
				c.Profile = p.Name()
			}
		}
		holder, err := national.Holder(doc, a.now())
		problem(err)
		c.Holder = holder
	}
	if raw, ok := doc.Get(lds.DG2); ok {
		faces, err := lds.DecodeDG2(raw)
		problem(err)
		if len(faces) > 0 {
			f := faces[0]
			c.Face = &faceContents{f.Format().String(), int(f.Width), int(f.Height), len(f.Image)}
		}
	}
	c.Protocols = protocols(doc, problem)
	if _, ok := doc.Get(lds.EFSOD); ok {
		result, err := passiveauth.Verify(doc)
		if problem(err) {
			return c
		}
		problem(result.Err())
		if result.Signer != nil {
			c.Signer = result.Signer.Subject.String()
		}
		c.Hash = result.Object.Hash.String()
		c.DataGroups = make(map[string]any)
		for _, g := range result.DataGroups {
			c.DataGroups[lds.File(g.Number).String()] = g.Status
		}
	}
	return c
}

func protocols(doc *lds.Document, problem func(error) bool) []string {
	var names []string
	if raw, ok := doc.Get(lds.EFCardAccess); ok {
		if infos, err := lds.DecodeCardAccess(raw); !problem(err) {
			for _, i := range infos.PACE {
				names = append(names, i.Name())
			}
		}
	}
	if raw, ok := doc.Get(lds.DG14); ok {
		if infos, err := lds.DecodeDG14(raw); !problem(err) {
			for _, i := range infos.ChipAuthentication {
				names = append(names, i.Name())
			}
		}
	}
	if raw, ok := doc.Get(lds.DG15); ok {
		if _, err := lds.DecodeDG15(raw); !problem(err) {
			names = append(names, "AA")
		}
	}
	return names
}

func (a *app) printCard(c cardContents) {
	row := func(vi, en, value string) {
		if value != "" {
			a.printf("%-20s %s\n", a.say(vi, en), printable(value))
		}
	}
	for _, line := range c.MRZ {
		a.printf("%s\n", line)
	}
	p := c.Holder
	row("Số định danh", "Number", p.Number)
	row("Số thẻ", "Document number", p.DocumentNumber)
	row("Họ và tên", "Full name", p.FullName)
	row("Ngày sinh", "Date of birth", a.date(p.DateOfBirth))
	row("Giới tính", "Sex", a.sex(p.Sex))
	row("Quốc tịch", "Nationality", p.Nationality)
	row("Dân tộc", "Ethnicity", p.Ethnicity)
	row("Tôn giáo", "Religion", p.Religion)
	row("Quê quán", "Place of origin", p.PlaceOfOrigin)
	row("Nơi thường trú", "Residence", p.PlaceOfResidence)
	row("Đặc điểm nhận dạng", "Identifying marks", p.IdentifyingMarks)
	row("Họ tên cha", "Father", p.FatherName)
	row("Họ tên mẹ", "Mother", p.MotherName)
	row("Vợ hoặc chồng", "Spouse", p.SpouseName)
	row("Số CMND cũ", "Old number", p.OldNumber)
	row("Ngày cấp", "Date of issue", a.date(p.DateOfIssue))
	if len(c.MRZ) > 0 {
		expiry := a.date(p.DateOfExpiry)
		if expiry == "" {
			expiry = a.say("Không thời hạn", "none")
		}
		row("Ngày hết hạn", "Date of expiry", expiry)
	}
	if f := c.Face; f != nil {
		a.printf("%-20s %s, %d × %d, %d %s\n", a.say("Ảnh", "Photo"), f.Format, f.Width, f.Height, f.Bytes, a.say("byte", "bytes"))
	}
	row("Giao thức", "Protocols", strings.Join(c.Protocols, ", "))
	row("Ký bởi", "Signed by", c.Signer)
	for _, f := range c.Files {
		status := ""
		if s, ok := c.DataGroups[f.Name].(passiveauth.Status); ok {
			status = "  " + a.groupStatus(s)
		}
		a.printf("%-20s %6d %s%s\n", f.Name, f.Bytes, a.say("byte", "bytes"), status)
	}
	for _, content := range c.Contents {
		a.printContent(content)
	}
	for _, problem := range c.Problems {
		a.printf("%s: %s\n", a.say("Có lỗi", "Problem"), printable(problem))
	}
}

// date is a day as its readers write it: a Vietnamese card prints 31/12/2004.
// What is no whole date (a year alone, letters) stays as it is.
func (a *app) date(iso string) string {
	day, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		return iso
	}
	return day.Format(a.say("02/01/2006", time.DateOnly))
}

// sex is the word that a Vietnamese card prints, or the letter of the machine
// readable zone.
func (a *app) sex(letter string) string {
	if word := map[string]string{"M": "Nam", "F": "Nữ"}[letter]; word != "" {
		return a.say(word, letter)
	}
	return letter
}

// groupStatus says how a data group stands to EF.SOD.
func (a *app) groupStatus(s passiveauth.Status) string {
	vi := map[passiveauth.Status]string{
		passiveauth.Match: "khớp chữ ký", passiveauth.Mismatch: "không khớp chữ ký",
		passiveauth.NotSigned: "không được ký", passiveauth.NotRead: "chưa đọc",
	}[s]
	return a.say(vi, string(s))
}

// emptyLetters are characters that Unicode counts as letters or symbols, and of
// which nothing is seen: the fillers of Hangul, and Braille without a dot.
const emptyLetters = "\u115f\u1160\u3164\uffa0\u2800"

// printable keeps what a card says from steering the terminal, as escape
// sequences in a name would, and from painting over it: blanks that could pad
// a line are one, and what is longer than any honest text is cut.
func printable(s string) string {
	const most = 500 // characters
	var b strings.Builder
	n, blank := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || strings.ContainsRune(emptyLetters, r) {
			blank = n > 0
			continue
		}
		if n >= most {
			b.WriteString("…")
			break
		}
		if blank {
			b.WriteByte(' ')
			n, blank = n+1, false
		}
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
