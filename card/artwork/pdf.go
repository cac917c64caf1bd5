package artwork

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// WritePDF writes both sides as a PDF of two pages of card size. The text is
// text, so that it can be searched and checked; the machine readable zone is
// drawn. created is the date the file says of itself.
func (c *Card) WritePDF(w io.Writer, created time.Time) error {
	pdf := fpdf.NewCustom(&fpdf.InitType{UnitStr: "mm", Size: fpdf.SizeType{Wd: Width, Ht: Height}})
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetMargins(0, 0, 0)
	pdf.SetTitle(c.title, true)
	pdf.SetCreator("chipid", true)
	pdf.SetCreationDate(created)
	pdf.SetModificationDate(created)
	// Without the sorts the same card would give other bytes at each run.
	pdf.SetCatalogSort(true)
	for st, name := range pdfStyles {
		pdf.AddUTF8FontFromBytes("dejavu", name, c.fonts.files[st])
	}
	for page, side := range []*Side{&c.Front, &c.Back} {
		pdf.AddPageFormat("P", fpdf.SizeType{Wd: Width, Ht: Height})
		for i, it := range side.items {
			if err := c.pdfItem(pdf, fmt.Sprintf("picture-%d-%d", page, i), it); err != nil {
				return err
			}
		}
	}
	if err := pdf.Output(w); err != nil {
		return fmt.Errorf("artwork: write PDF: %w", err)
	}
	return nil
}

var pdfStyles = map[style]string{regular: "", bold: "B"}

func (c *Card) pdfItem(pdf *fpdf.Fpdf, name string, it item) error {
	switch {
	case it.picture != nil:
		file, err := asJPEG(it)
		if err != nil {
			return err
		}
		options := fpdf.ImageOptions{ImageType: "JPEG"}
		pdf.RegisterImageOptionsReader(name, options, bytes.NewReader(file))
		pdf.ImageOptions(name, it.box.x, it.box.y, it.box.w, it.box.h, false, options, 0, "")
	case it.path != nil:
		fillPDF(pdf, it.colour, it.path)
	default:
		setAlpha(pdf, it.colour)
		pdf.SetTextColor(int(it.colour.R), int(it.colour.G), int(it.colour.B))
		pdf.SetFont("dejavu", pdfStyles[it.style], it.size*72/25.4)
		pdf.Text(it.position.x, it.position.y, it.text)
	}
	return pdf.Error()
}

func fillPDF(pdf *fpdf.Fpdf, c color.NRGBA, path []segment) {
	setAlpha(pdf, c)
	pdf.SetFillColor(int(c.R), int(c.G), int(c.B))
	for i, s := range path {
		switch s.op {
		case moveTo:
			if i > 0 {
				pdf.ClosePath()
			}
			pdf.MoveTo(s.p[0].x, s.p[0].y)
		case lineTo:
			pdf.LineTo(s.p[0].x, s.p[0].y)
		case cubeTo:
			pdf.CurveBezierCubicTo(s.p[0].x, s.p[0].y, s.p[1].x, s.p[1].y, s.p[2].x, s.p[2].y)
		}
	}
	pdf.ClosePath()
	pdf.DrawPath("F")
}

func setAlpha(pdf *fpdf.Fpdf, c color.NRGBA) { pdf.SetAlpha(float64(c.A)/255, "Normal") }

// asJPEG gives the picture's own file where that is a JPEG, and encodes it
// otherwise.
func asJPEG(it item) ([]byte, error) {
	if _, format, err := image.DecodeConfig(bytes.NewReader(it.jpeg)); err == nil && format == "jpeg" {
		return it.jpeg, nil
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, it.picture, &jpeg.Options{Quality: 90}); err != nil {
		return nil, fmt.Errorf("artwork: encode the portrait: %w", err)
	}
	return out.Bytes(), nil
}
