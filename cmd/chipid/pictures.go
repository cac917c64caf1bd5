package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"chipid/card/biometric"
	"chipid/card/lds"
	"chipid/pki/durable"
	"chipid/reader/inspect"
)

// savePictures writes the portrait (photo), the printed portraits and the
// signatures of a document as files, as they are on the chip. Beside a JPEG 2000
// it puts a PNG, which everybody can open. No file that is there is written
// over.
//
// A picture that does not decode leaves a note in the place of the PNG: what was
// read is kept all the same.
func savePictures(dir string, doc *lds.Document) error {
	for _, p := range inspect.Pictures(doc) {
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
