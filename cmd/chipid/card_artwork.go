package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/artwork"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/pki/durable"
	"chipid/reader"
	"chipid/reader/inspect"
)

// maxFontBytes bounds a font file; OCR-B has about 20 kB.
const maxFontBytes = 8 << 20

func newCardArtworkCommand(a *app) *cobra.Command {
	var out, side, font string
	cmd := &cobra.Command{
		Use:   "artwork DIR --out FILE.pdf | FILE.png",
		Short: "Draw the printed faces of a card",
		Long: `Draws both faces of a card from its files: the holder's data, the portrait, the
QR code and the machine readable zone in OCR-B. A PDF has a page a face; a PNG
shows both, or with --side one of them at the printer's resolution of 1016 by
648 pixels.

The card is marked as a specimen: the real artwork is the issuing state's.`,
		Example: `  chipid card artwork CARD --out card.pdf
  chipid card artwork CARD --out front.png --side front`,
		Args: exactArgs("DIR"),
	}
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "file to write: its name ends in .pdf or .png")
	flags.StringVar(&side, "side", "", "front or back: one face alone, in a PNG")
	flags.StringVar(&font, "ocrb-font", artwork.OCRBPath, "file of an OCR-B font")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind := strings.ToLower(filepath.Ext(out))
		switch {
		case kind != ".pdf" && kind != ".png":
			return usageErrorf("%s needs --out FILE.pdf or FILE.png (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		case side != "" && side != "front" && side != "back":
			return usageErrorf("--side is front or back, not %q", side)
		case side != "" && kind == ".pdf":
			return usageErrorf("--side goes with a PNG; a PDF has both faces")
		}
		doc, err := reader.ReadDocument(args[0])
		if err != nil {
			return err
		}
		fonts, err := loadFonts(font)
		if err != nil {
			return err
		}
		card, err := a.drawCard(doc, fonts)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		var picture bytes.Buffer
		if err := a.encodeArtwork(&picture, card, kind, side); err != nil {
			return err
		}
		if err := durable.WriteFile(out, picture.Bytes(), 0o600); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]any{"file": out, "bytes": picture.Len()})
		}
		a.printf(a.say("Đã vẽ thẻ mẫu vào %s\n", "Drew the specimen card to %s\n"), out)
		return nil
	}
	return cmd
}

// noFontError is an OCR-B font that is not there.
type noFontError struct{ path string }

func (e *noFontError) Error() string {
	return fmt.Sprintf("there is no OCR-B font at %s: install Debian's package fonts-ocr-b, or name a font with --ocrb-font FILE", e.path)
}

// loadFonts reads the OCR-B font, the one that does not come with chipid.
func loadFonts(path string) (*artwork.Fonts, error) {
	file, err := durable.ReadFile(path, maxFontBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noFontError{path}
	}
	if err != nil {
		return nil, err
	}
	fonts, err := artwork.NewFonts(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; Debian's package fonts-ocr-b has a good one", path, err)
	}
	return fonts, nil
}

// drawCard lays out the faces of a document by its state's profile.
func (a *app) drawCard(doc *lds.Document, fonts *artwork.Fonts) (*artwork.Card, error) {
	holder, err := national.Holder(doc, a.now())
	if err != nil {
		return nil, err
	}
	profile, err := national.OfDocument(doc)
	if err != nil {
		return nil, err
	}
	face, err := profile.Face(holder)
	if err != nil {
		return nil, err
	}
	portrait, err := inspect.Portrait(doc)
	if err != nil {
		return nil, err
	}
	return artwork.New(face, portrait, fonts)
}

func (a *app) encodeArtwork(w io.Writer, card *artwork.Card, kind, side string) error {
	switch {
	case kind == ".pdf":
		return card.WritePDF(w, a.now())
	case side == "front":
		return card.WritePNG(w, &card.Front)
	case side == "back":
		return card.WritePNG(w, &card.Back)
	}
	return card.WriteSheetPNG(w)
}
