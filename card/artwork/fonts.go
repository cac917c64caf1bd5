package artwork

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
)

type style uint8

const (
	regular style = iota
	bold
	ocrb
)

// Fonts are the typefaces of a card: DejaVu, which covers Vietnamese and comes
// with the program, and OCR-B, which the caller supplies.
type Fonts struct {
	faces [3]*font.Face
	files [3][]byte
}

// ErrFont is wrapped by errors about the OCR-B font.
var ErrFont = errors.New("OCR-B font unusable")

// mrzAlphabet is what a machine readable zone may hold (Doc 9303-3 §4.3).
const mrzAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"

// NewFonts takes the content of an OCR-B font file, such as Debian's
// fonts-ocr-b installs at OCRBPath.
func NewFonts(ocrbFile []byte) (*Fonts, error) {
	f := &Fonts{files: [3][]byte{dejavusans.TTF, dejavusansbold.TTF, ocrbFile}}
	for i, file := range f.files {
		face, err := font.ParseTTF(bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrFont, err)
		}
		f.faces[i] = face
	}
	for _, c := range mrzAlphabet {
		if path := f.outline(ocrb, 1, point{}, string(c)); len(path) == 0 {
			return nil, fmt.Errorf("%w: it has no %q", ErrFont, c)
		}
	}
	return f, nil
}

// OCRBPath is where Debian's package fonts-ocr-b puts the font.
const OCRBPath = "/usr/share/fonts/opentype/ocr-b/OCRB.otf"

// width of a line of text in millimetres.
func (f *Fonts) width(st style, size float64, text string) float64 {
	face := f.faces[st]
	w := 0.0
	for _, c := range text {
		gid, _ := face.NominalGlyph(c)
		w += float64(face.HorizontalAdvance(gid))
	}
	return w * size / float64(face.Upem())
}

// outline is a line of text as a path.
func (f *Fonts) outline(st style, size float64, at point, text string) []segment {
	face := f.faces[st]
	scale := size / float64(face.Upem())
	var path []segment
	for _, c := range text {
		gid, ok := face.NominalGlyph(c)
		if !ok {
			continue
		}
		path = appendGlyph(path, face, gid, scale, at)
		at.x += float64(face.HorizontalAdvance(gid)) * scale
	}
	return path
}

func appendGlyph(path []segment, face *font.Face, gid font.GID, scale float64, at point) []segment {
	outline, ok := face.GlyphDataOutline(gid)
	if !ok {
		return path
	}
	place := func(p opentype.SegmentPoint) point {
		return point{at.x + float64(p.X)*scale, at.y - float64(p.Y)*scale}
	}
	var here point
	for _, s := range outline.Segments {
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			here = place(s.Args[0])
			path = append(path, segment{moveTo, [3]point{here}})
		case opentype.SegmentOpLineTo:
			here = place(s.Args[0])
			path = append(path, segment{lineTo, [3]point{here}})
		case opentype.SegmentOpQuadTo:
			// A quadratic curve, raised to a cubic: PDF knows no other.
			control, end := place(s.Args[0]), place(s.Args[1])
			towards := func(p point) point {
				return point{p.x + 2*(control.x-p.x)/3, p.y + 2*(control.y-p.y)/3}
			}
			path = append(path, segment{cubeTo, [3]point{towards(here), towards(end), end}})
			here = end
		case opentype.SegmentOpCubeTo:
			here = place(s.Args[2])
			path = append(path, segment{cubeTo, [3]point{place(s.Args[0]), place(s.Args[1]), here}})
		}
	}
	return path
}

// wrap breaks text into at most lines lines no wider than width. What does not
// fit is cut off and marked with an ellipsis. It tells whether it had to cut,
// or to break a word.
func (f *Fonts) wrap(st style, size, width float64, lines int, text string) (out []string, cut bool) {
	line := ""
	words, cut := f.words(st, size, width, text)
	for _, word := range words {
		longer := strings.TrimSpace(line + " " + word)
		if line == "" || f.width(st, size, longer) <= width {
			line = longer
			continue
		}
		if len(out) == lines-1 {
			return append(out, f.shorten(st, size, width, line)), true
		}
		out, line = append(out, line), word
	}
	return append(out, line), cut
}

// words splits text at its spaces, and a word that is wider than a line where
// the line ends.
func (f *Fonts) words(st style, size, width float64, text string) (all []string, broken bool) {
	for _, word := range strings.Fields(text) {
		piece := ""
		for _, c := range word {
			if piece != "" && f.width(st, size, piece+string(c)) > width {
				all, piece, broken = append(all, piece), "", true
			}
			piece += string(c)
		}
		all = append(all, piece)
	}
	return all, broken
}

// shorten puts an ellipsis behind a line, in the place of its last letters
// where it must.
func (f *Fonts) shorten(st style, size, width float64, line string) string {
	letters := []rune(line)
	for len(letters) > 0 && f.width(st, size, string(letters)+"…") > width {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}
