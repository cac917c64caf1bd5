package main

import (
	"errors"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"chipid/card/biometric"
	"chipid/card/lds"
)

// A portrait that does not decode leaves a note, and what could be decoded of
// it; nothing is written over.
func TestSavePictures(t *testing.T) {
	whole, err := os.ReadFile("../../card/biometric/testdata/portrait.jp2")
	if err != nil {
		t.Fatal(err)
	}
	document := func(picture []byte) *lds.Document {
		raw, err := lds.EncodeDG2(biometric.Face{Image: picture})
		if err != nil {
			t.Fatal(err)
		}
		doc := new(lds.Document)
		doc.Set(lds.DG2, raw)
		return doc
	}
	broken := append([]byte(nil), whole...)
	clear(broken[100:160]) // the headers of the codestream
	for _, one := range []struct {
		name    string
		picture []byte
		files   []string
	}{
		{"whole", whole, []string{"photo.jp2", "photo.png"}},
		{"cut off", whole[:len(whole)-300], []string{"photo-note.txt", "photo.jp2", "photo.png"}},
		{"broken", broken, []string{"photo-note.txt", "photo.jp2"}},
	} {
		dir := t.TempDir()
		if err := savePictures(dir, document(one.picture)); err != nil {
			t.Errorf("%s: %v", one.name, err)
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, e := range entries {
			files = append(files, e.Name())
		}
		if len(files) != len(one.files) {
			t.Errorf("%s: %v, want %v", one.name, files, one.files)
		}
		for i := range min(len(files), len(one.files)) {
			if files[i] != one.files[i] {
				t.Errorf("%s: %v, want %v", one.name, files, one.files)
			}
		}
		if err := savePictures(dir, document(one.picture)); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: a second time: %v", one.name, err)
		}
	}

	dir := t.TempDir()
	if err := savePictures(dir, document(whole)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "photo.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if config, err := png.DecodeConfig(f); err != nil || config.Width != 150 || config.Height != 200 {
		t.Errorf("%+v, %v", config, err)
	}
}
