package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/pki/durable"
	"chipid/reader/inspect"
)

// savePictures writes the portrait (photo), the printed portraits and the
// signatures of a document as files.
func savePictures(dir string, doc *lds.Document) error {
	return writePictures(dir, inspect.Pictures(doc))
}

// writePictures writes pictures as they are on the chip. Beside a JPEG 2000
// it puts a PNG, which everybody can open. No file that is there is written
// over.
//
// A picture that does not decode leaves a note in the place of the PNG: what was
// read is kept all the same.
func writePictures(dir string, pictures []inspect.NamedPicture) error {
	for _, p := range pictures {
		if err := writeNew(filepath.Join(dir, p.Name+biometric.Extension(p.Data)), p.Data); err != nil {
			return err
		}
		if biometric.FormatOf(p.Data) != biometric.JPEG2000 {
			continue
		}
		picture, err := biometric.Picture(p.Data)
		if err != nil {
			note := fmt.Sprintf("%s: %v\n", p.Name+biometric.Extension(p.Data), err)
			if err := writeNew(filepath.Join(dir, p.Name+"-note.txt"), []byte(note)); err != nil {
				return err
			}
		}
		if picture == nil {
			continue
		}
		var shown bytes.Buffer
		if err := png.Encode(&shown, picture); err != nil {
			return fmt.Errorf("%s as PNG: %w", p.Name, err)
		}
		if err := writeNew(filepath.Join(dir, p.Name+".png"), shown.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, data []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w; nothing was written over it", path, os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

// printContent tells what one file holds, one record or picture a line.
func (a *app) printContent(c inspect.Content) {
	line := func(text string) { a.printf("%-20s %s\n", c.File, printable(text)) }
	if c.Says != "" {
		line(c.Says)
	}
	for _, r := range c.Records {
		for _, i := range r.Images {
			line(r.Standard + ", " + a.image(i))
		}
	}
	for _, i := range c.Pictures {
		line(a.image(i))
	}
	switch {
	case c.File == lds.DG16.String():
		line(a.say(fmt.Sprintf("%d người cần báo tin", c.Objects), fmt.Sprintf("%d persons to notify", c.Objects)))
	case c.Objects > 0:
		line(a.say(fmt.Sprintf("%d đối tượng dữ liệu", c.Objects), fmt.Sprintf("%d data objects", c.Objects)))
	case c.Bytes > 0:
		line(a.say(fmt.Sprintf("%d byte của nước phát hành", c.Bytes), fmt.Sprintf("%d bytes of the issuer's own", c.Bytes)))
	case c.Says == "" && c.Images() == 0 && len(c.Notes) == 0:
		line(a.say("không có ảnh nào", "no images"))
	}
	if c.Unknown > 0 {
		line(a.say(fmt.Sprintf("%d đối tượng dữ liệu không rõ nghĩa", c.Unknown), fmt.Sprintf("%d data objects of unknown meaning", c.Unknown)))
	}
	for _, note := range c.Notes {
		line(a.say("Lưu ý: ", "Note: ") + note)
	}
}

// image says in words what an image is.
func (a *app) image(i biometric.ImageDescription) string {
	text := ""
	if i.Of != "" {
		of := i.Of
		if vi, ok := imagesOf[of]; ok {
			of = a.say(vi, of)
		}
		text = of + ", "
	}
	text += i.Format
	if i.Width > 0 {
		text += fmt.Sprintf(", %d × %d", i.Width, i.Height)
	}
	return text + fmt.Sprintf(", %d %s", i.Bytes, a.say("byte", "bytes"))
}

// imagesOf is what package biometric calls what an image is of, in Vietnamese.
var imagesOf = map[string]string{
	"face":           "khuôn mặt",
	"unknown finger": "ngón tay không rõ",
	"right thumb":    "ngón cái phải", "right index finger": "ngón trỏ phải", "right middle finger": "ngón giữa phải",
	"right ring finger": "ngón áp út phải", "right little finger": "ngón út phải",
	"left thumb": "ngón cái trái", "left index finger": "ngón trỏ trái", "left middle finger": "ngón giữa trái",
	"left ring finger": "ngón áp út trái", "left little finger": "ngón út trái",
	"four right fingers": "bốn ngón phải", "four left fingers": "bốn ngón trái", "both thumbs": "hai ngón cái",
	"right eye": "mắt phải", "left eye": "mắt trái", "unknown eye": "mắt không rõ",
}

// biometricRows says which fingers, irises and printed pictures a document
// holds, for the page of a report.
func (a *app) biometricRows(contents []inspect.Content) [][2]string {
	names := map[string]string{
		lds.DG3.String(): a.say("vân tay", "fingerprints"), lds.DG4.String(): a.say("mống mắt", "irises"),
		lds.DG5.String(): a.say("ảnh in", "printed portrait"), lds.DG7.String(): a.say("chữ ký tay", "signature"),
	}
	var rows [][2]string
	for _, c := range contents {
		name, ok := names[c.File]
		if !ok {
			continue
		}
		var what []string
		for _, r := range c.Records {
			for _, i := range r.Images {
				what = append(what, a.image(i))
			}
		}
		for _, i := range c.Pictures {
			what = append(what, a.image(i))
		}
		if what == nil {
			what = []string{a.say("không có ảnh nào", "no images")}
		}
		rows = append(rows, [2]string{name, strings.Join(what, "; ")})
	}
	return rows
}
