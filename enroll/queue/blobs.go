package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chipid/card/biometric"
	"chipid/enroll"
	"chipid/pki/durable"
)

// Bounds of what is taken in.
const (
	MaxPhoto         = biometric.MaxPhotoBytes
	MaxEvidenceBytes = 8 << 20
	MaxPacket        = 48 << 20
)

// blobKind is what a blob is; it is part of what its seal covers.
type blobKind string

const (
	photoBlob    blobKind = "photo"
	evidenceBlob blobKind = "evidence"
	packetBlob   blobKind = "packet" // sealed to the centre already: kept as it is
)

var blobLimits = map[blobKind]int{photoBlob: MaxPhoto, evidenceBlob: MaxEvidenceBytes, packetBlob: MaxPacket}

func (k blobKind) label(owner enroll.ID) string { return string(k) + " of " + string(owner) }

// sealedBlob is a blob ready to be written.
type sealedBlob struct {
	ref    enroll.Blob
	octets []byte
}

func (q *Queue) sealBlob(kind blobKind, owner enroll.ID, content []byte) (*sealedBlob, error) {
	if len(content) == 0 || len(content) > blobLimits[kind] {
		return nil, fmt.Errorf("%s of %d bytes: %w (1 to %d bytes)", kind, len(content), ErrTooLarge, blobLimits[kind])
	}
	octets := content
	if kind != packetBlob {
		var err error
		if octets, err = q.vault.seal(q.vault.blobs, kind.label(owner), content); err != nil {
			return nil, err
		}
	}
	digest := sha256.Sum256(octets)
	return &sealedBlob{ref: enroll.Blob{Name: hex.EncodeToString(digest[:]), Bytes: int64(len(content))}, octets: octets}, nil
}

func (q *Queue) blobPath(name string) string { return filepath.Join(q.dir, blobsDir, name) }

// writeBlobs puts blobs on disk for good. On error some may lie there; the
// caller removes them.
func (q *Queue) writeBlobs(blobs []*sealedBlob) error {
	files := make(map[string][]byte, len(blobs))
	for _, b := range blobs {
		files[b.ref.Name] = b.octets
	}
	return durable.WriteFiles(filepath.Join(q.dir, blobsDir), files, 0o600)
}

// readBlob reads a blob and proves that it is the one referred to.
func (q *Queue) readBlob(kind blobKind, owner enroll.ID, ref enroll.Blob) ([]byte, error) {
	octets, err := q.readOctets(ref.Name)
	if err != nil {
		return nil, fmt.Errorf("%s of application %s: %w", kind, owner, err)
	}
	if kind == packetBlob {
		return octets, nil
	}
	content, err := q.vault.open(q.vault.blobs, kind.label(owner), octets)
	if err != nil {
		return nil, fmt.Errorf("%w (%s of application %s: %w)", ErrDamaged, kind, owner, err)
	}
	return content, nil
}

func (q *Queue) readOctets(name string) ([]byte, error) {
	if raw, err := hex.DecodeString(name); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("%w (a blob has an impossible name)", ErrDamaged)
	}
	octets, err := durable.ReadFile(q.blobPath(name), MaxPacket+1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (blob %.12s… is missing)", ErrDamaged, name)
	} else if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(octets); hex.EncodeToString(digest[:]) != name {
		return nil, fmt.Errorf("%w (blob %.12s… was altered)", ErrDamaged, name)
	}
	return octets, nil
}

// Photo gives an application's photo.
func (q *Queue) Photo(a *enroll.Application) ([]byte, error) {
	if a.Photo == nil {
		return nil, fmt.Errorf("application %s has no photo yet", a.ID)
	}
	return q.readBlob(photoBlob, a.ID, *a.Photo)
}

// Evidence gives the octets of one of the application's pieces of evidence.
func (q *Queue) Evidence(a *enroll.Application, e enroll.Evidence) ([]byte, error) {
	return q.readBlob(evidenceBlob, a.ID, e.Blob)
}

// Packet gives the sealed octets that go to the centre.
func (q *Queue) Packet(a *enroll.Application) ([]byte, error) {
	if a.Packet == nil {
		return nil, fmt.Errorf("application %s is not sealed into a packet", a.ID)
	}
	return q.readBlob(packetBlob, a.ID, a.Packet.Blob)
}

// blobFiles gives the names in blobs/, the left-overs of a crash among them.
func (q *Queue) blobFiles() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(q.dir, blobsDir))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Sweep removes the blobs that no application refers to: what a crash left
// between the writing of a blob and its transaction, and photos that were
// replaced. It holds the queue, so that a blob on its way in is not taken for
// one. It gives how many went.
func (q *Queue) Sweep() (removed int, err error) {
	err = q.transact(false, func(v *view) error {
		wanted := map[string]bool{}
		err := v.bucket(bucketRecords).ForEach(func(id, sealed []byte) error {
			a, err := v.openRecord(enroll.ID(id), sealed)
			if err != nil {
				return err
			}
			for _, b := range a.Blobs() {
				wanted[b.Name] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		names, err := q.blobFiles()
		if err != nil {
			return err
		}
		for _, name := range names {
			if wanted[name] {
				continue
			}
			if err := os.Remove(q.blobPath(name)); err != nil {
				return fmt.Errorf("remove an unused blob: %w", err)
			}
			removed++
		}
		return nil
	})
	if err != nil || removed == 0 {
		return removed, err
	}
	return removed, durable.SyncDir(filepath.Join(q.dir, blobsDir))
}
