package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chipid/card/lds"
	"chipid/pki/durable"
)

// FileName is the name of a file of the chip on disk: EF_COM.bin, DG1.bin.
func FileName(f lds.File) string { return f.String() + ".bin" }

// WriteDocument writes every file of a document into dir, which is made if it
// is not there. Files of dir that the document does not have are removed, so
// that what ReadDocument finds there afterwards is this document and no
// mixture with one that stood there before.
func WriteDocument(dir string, doc *lds.Document) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the document's folder: %w", err)
	}
	for _, f := range lds.Files() {
		path := filepath.Join(dir, FileName(f))
		raw, ok := doc.Get(f)
		if ok {
			if err := durable.WriteFile(path, raw, 0o600); err != nil {
				return err
			}
			continue
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := durable.Remove(path); err != nil {
			return fmt.Errorf("remove %s, left by another document: %w", path, err)
		}
	}
	return nil
}

// ReadDocument reads the files that WriteDocument wrote, or any others laid
// down under the same names. A folder without any is an error.
func ReadDocument(dir string) (*lds.Document, error) {
	doc := new(lds.Document)
	for _, f := range lds.Files() {
		raw, err := durable.ReadFile(filepath.Join(dir, FileName(f)), HardMaxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		doc.Set(f, raw)
	}
	if len(doc.Files()) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("read the document's folder: %w", err)
		}
		return nil, fmt.Errorf("folder %s holds no file of a chip (EF_COM.bin, EF_SOD.bin, DG1.bin, …)", dir)
	}
	return doc, nil
}
