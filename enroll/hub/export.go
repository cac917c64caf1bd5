package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chipid/card/biometric"
	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/pki/durable"
)

// Exported says what an export did.
type Exported struct {
	Written int `json:"written"`
	Already int `json:"already"` // there from an earlier export
}

// Export opens the packets of a hub folder and writes each into
// OUT/STATION/NUMBER-PACKET: record.json, the blobs, the manifest and the
// receipt. What an earlier export wrote is left; a crash leaves no half record
// under its name. The files are not sealed: out belongs on a disk that is.
func Export(ctx context.Context, dir string, identity Identity, out string, progress func(done int64, message string)) (*Exported, error) {
	if progress == nil {
		progress = func(int64, string) {}
	}
	x := &Exported{}
	h := &Hub{dir: dir, identity: identity}
	err := eachEntry(dir, func(e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := packet.ReadManifest(e.Manifest)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%08d-%s", m.Sequence, m.PacketID)
		to := filepath.Join(out, m.Station, name)
		if _, err := os.Stat(to); err == nil {
			x.Already++
			return nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		content, err := h.examine(m, h.blobPath(m.SHA256))
		if err != nil {
			return fmt.Errorf("packet %s of station %s: %w", m.PacketID, m.Station, err)
		}
		if err := writeRecord(to, content, e); err != nil {
			return fmt.Errorf("write %s: %w", to, err)
		}
		x.Written++
		progress(int64(x.Written+x.Already), name)
		return nil
	})
	if err != nil {
		return x, fmt.Errorf("export: %w", err)
	}
	return x, nil
}

// writeRecord fills a folder beside its place and renames it there. The folder
// has a name of its record's: what a kill left in it is done away with by the
// next export.
func writeRecord(to string, content *packet.Content, e Entry) error {
	files := map[string][]byte{"manifest.cbor": e.Manifest, "receipt.cbor": e.Receipt}
	if a, err := enroll.Decode(content.Record); err == nil {
		record, err := json.MarshalIndent(a, "", "  ")
		if err != nil {
			return err
		}
		files["record.json"] = append(record, '\n')
	} else {
		files["record.cbor"] = content.Record // as it came: of a newer station
	}
	for _, b := range content.Blobs {
		name := b.Name + ".bin"
		switch {
		case b.Name == packet.Photo:
			name = "photo.jpg"
			if biometric.FormatOf(b.Data) == biometric.JPEG2000 {
				name = "photo" + biometric.Extension(b.Data)
			}
		case strings.HasPrefix(b.Name, packet.Evidence):
			name = b.Name + ".cbor"
		}
		files[name] = b.Data
	}
	parent := filepath.Dir(to)
	if err := durable.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	temp := filepath.Join(parent, ".export-"+filepath.Base(to))
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.Mkdir(temp, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := durable.WriteFiles(temp, files, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, to); err != nil {
		return err
	}
	return durable.SyncDir(parent)
}
