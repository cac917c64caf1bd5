package hub

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chipid/pki/authority"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// FromFolder gives the identity that lies in a hub folder, as `pki init` makes
// it and Init copies it.
func FromFolder(dir string, sealer *keystore.Sealer) (Identity, error) {
	kit, err := authority.OpenHub(dir, sealer)
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Open: kit.Identity, Receipts: kit.ReceiptKey, TLS: kit.TLS, CAs: kit.CAs,
		Station: func(id string) (Station, error) {
			r, err := kit.Station(id)
			if err != nil {
				return Station{}, err
			}
			s := Station{ID: r.ID, SignKey: ed25519.PublicKey(r.SignKey)}
			if n, err := hex.Decode(s.CertSHA256[:], []byte(r.TLSCertSHA256)); err != nil || n != len(s.CertSHA256) {
				return Station{}, fmt.Errorf("the record of station %s names no certificate", id)
			}
			return s, nil
		},
	}, nil
}

// The parts of a hub folder that change with the authority: who may send, and
// whom documents are to be signed by.
var changing = []string{"stations", "trust"}

// maxKit bounds a file of the authority's hub folder.
const maxKit = 16 << 20

// Initialised says what Init did.
type Initialised struct {
	New      bool     `json:"new"`      // false: the hub was there, stations and trust were brought up to date
	Stations []string `json:"stations"` // that may send
}

// Init makes a hub folder of the authority's in pki, or, where dir is that
// hub's folder already, brings its stations and trust anchors up to date:
// stations that the authority struck off are struck off here. A crash leaves
// no half folder; do it again.
func Init(dir, pki string) (*Initialised, error) {
	from := filepath.Join(pki, "hub")
	theirs, err := authority.ReadHubConfig(from)
	if err != nil {
		return nil, fmt.Errorf("make the hub folder: %w", err)
	}
	result := &Initialised{}
	ours, err := durable.ReadFile(filepath.Join(dir, "hub.json"), maxKit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeFolder(dir, from); err != nil {
			return nil, fmt.Errorf("make the hub folder: %w", err)
		}
		result.New = true
	case err != nil:
		return nil, fmt.Errorf("make the hub folder: %w", err)
	default:
		config, err := durable.ReadFile(filepath.Join(from, "hub.json"), maxKit)
		if err != nil {
			return nil, fmt.Errorf("make the hub folder: %w", err)
		}
		if string(ours) != string(config) {
			return nil, fmt.Errorf("make the hub folder: %s is the hub of another authority (its key is not %.24s…)", dir, theirs.Recipient)
		}
		for _, part := range changing {
			if err := mirror(filepath.Join(dir, part), filepath.Join(from, part)); err != nil {
				return nil, fmt.Errorf("bring %s up to date: %w", filepath.Join(dir, part), err)
			}
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "stations"))
	if err != nil {
		return nil, fmt.Errorf("list the stations: %w", err)
	}
	result.Stations = make([]string, 0, len(entries))
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasPrefix(id, ".") {
			result.Stations = append(result.Stations, id)
		}
	}
	return result, nil
}

// makeFolder copies hub.json last: a folder that has it is whole. Only keys
// and certificates come along, and nothing that a hub received.
func makeFolder(dir, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkOurs(dir, entries); err != nil {
		return err
	}
	for _, part := range changing {
		if err := mirror(filepath.Join(dir, part), filepath.Join(from, part)); err != nil {
			return err
		}
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.Type().IsRegular() || ext != ".key" && ext != ".crt" {
			continue
		}
		if err := copyFile(filepath.Join(dir, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	return copyFile(filepath.Join(dir, "hub.json"), filepath.Join(from, "hub.json"))
}

// checkOurs refuses a folder with anything in it that makeFolder, ended by a
// crash, does not leave: mirror would take its files for stations struck off.
func checkOurs(dir string, kit []fs.DirEntry) error {
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range present {
		known := strings.HasPrefix(e.Name(), ".") && strings.Contains(e.Name(), ".tmp-") || slices.Contains(changing, e.Name()) ||
			slices.ContainsFunc(kit, func(k fs.DirEntry) bool { return k.Name() == e.Name() })
		if !known {
			return fmt.Errorf("%s holds something else (%s): choose a new folder; nothing was changed", dir, e.Name())
		}
	}
	return nil
}

// mirror makes the files of folder to those of from.
func mirror(to, from string) error {
	if err := durable.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		wanted[e.Name()] = true
		if err := copyFile(filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	present, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	for _, e := range present {
		if e.Type().IsRegular() && !wanted[e.Name()] {
			if err := durable.Remove(filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(to, from string) error {
	data, err := durable.ReadFile(from, maxKit)
	if err != nil {
		return err
	}
	return durable.WriteFile(to, data, 0o600)
}
