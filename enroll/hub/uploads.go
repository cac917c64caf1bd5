package hub

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"

	"chipid/enroll/packet"
	"chipid/pki/durable"
)

// uploads is the data store below tusd's protocol handler. An upload is two
// files: ID.manifest, the signed manifest as the station sent it, and ID.part,
// the sealed octets so far. ID follows from the manifest, so creating the same
// upload again finds the one that is there. The part's length is the offset.
type uploads struct {
	dir      string
	blob     func(digest [32]byte) string // where the part goes when it is whole
	now      func() time.Time
	finish   func(ctx context.Context, id string) error
	maxCount int
	maxBytes int64

	log *slog.Logger

	creating keyedLocks

	mu   sync.Mutex
	open map[string]packet.Manifest // by upload id: all that are on disk
}

func (u *uploads) manifestPath(id string) string { return filepath.Join(u.dir, id+".manifest") }
func (u *uploads) partPath(id string) string     { return filepath.Join(u.dir, id+".part") }

// load reads the folder at start and tells which uploads are whole.
func (u *uploads) load() (whole []string, err error) {
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		id, isManifest := strings.CutSuffix(e.Name(), ".manifest")
		if !isManifest {
			continue
		}
		raw, err := os.ReadFile(u.manifestPath(id))
		if err != nil {
			return nil, err
		}
		m, err := packet.ReadManifest(raw)
		if err != nil || packet.UploadName(raw) != id {
			// Whose packet it was cannot be told. Nobody has a receipt for it: its
			// station has it and sends it again.
			u.log.Error("a damaged upload was dropped; its station sends the packet again", "upload", id)
			if err := os.Remove(u.manifestPath(id)); err != nil {
				return nil, err
			}
			continue // its part goes below
		}
		u.open[id] = m
		offset, err := u.offset(id, m)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			u.discard(id)
		case err != nil:
			return nil, err
		case offset == m.Size:
			whole = append(whole, id)
		}
	}
	// A part without manifest is a creation that was not acknowledged; a
	// temporary file is a write that was not.
	for _, e := range entries {
		id, isPart := strings.CutSuffix(e.Name(), ".part")
		if _, known := u.open[id]; isPart && !known || strings.HasPrefix(e.Name(), ".") {
			if err := os.Remove(filepath.Join(u.dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return whole, nil
}

// expire drops the uploads that nothing was added to since before.
func (u *uploads) expire(before time.Time) error {
	u.mu.Lock()
	ids := make([]string, 0, len(u.open))
	for id := range u.open {
		ids = append(ids, id)
	}
	u.mu.Unlock()
	for _, id := range ids {
		info, err := os.Stat(u.partPath(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // being made a packet just now
		}
		if err != nil {
			return err
		}
		if info.ModTime().Before(before) {
			u.discard(id)
		}
	}
	return nil
}

// offset is how much of an upload is there. A part that was renamed to its
// packet, but not indexed before a crash, is there in full.
func (u *uploads) offset(id string, m packet.Manifest) (int64, error) {
	info, err := os.Stat(u.partPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(u.blob(m.SHA256))
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// discard removes an upload. What a crash leaves of it is removed by load.
func (u *uploads) discard(id string) {
	os.Remove(u.manifestPath(id))
	os.Remove(u.partPath(id))
	u.mu.Lock()
	delete(u.open, id)
	u.mu.Unlock()
}

func (u *uploads) manifest(id string) (packet.Manifest, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m, ok := u.open[id]
	return m, ok
}

// find gives the upload of a station's packet.
func (u *uploads) find(station, packetID string) (id string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, m := range u.open {
		if m.Station == station && m.PacketID == packetID {
			return id, true
		}
	}
	return "", false
}

// unfinished counts the uploads of a station, or of all where it is "".
func (u *uploads) unfinished(station string) (count int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count(station)
}

func (u *uploads) count(station string) (count int, bytes int64) {
	for _, m := range u.open {
		if station == "" || m.Station == station {
			count++
			bytes += m.Size
		}
	}
	return count, bytes
}

// reserve takes a place among a station's unfinished uploads.
func (u *uploads) reserve(id string, m packet.Manifest) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	count, bytes := u.count(m.Station)
	if count >= u.maxCount || bytes+m.Size > u.maxBytes {
		return packet.Refusef(packet.TooMany, "station %s has %d unfinished uploads with %d octets: finish those first", m.Station, count, bytes)
	}
	u.open[id] = m
	return nil
}

// NewUpload creates the upload that the manifest in the metadata names, or
// finds it. The manifest was checked before.
func (u *uploads) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	raw := []byte(info.MetaData[packet.ManifestKey])
	m, err := packet.ReadManifest(raw)
	if err != nil {
		return nil, answer(packet.Refusef(packet.BadManifest, "%v", err))
	}
	id := packet.UploadName(raw)
	defer u.creating.lock(id)()
	if _, ok := u.manifest(id); ok {
		return u.GetUpload(ctx, id)
	}
	if err := u.reserve(id, m); err != nil {
		return nil, answer(err)
	}
	if err := u.create(id, raw); err != nil {
		u.discard(id)
		return nil, u.fault("create", id, err)
	}
	return u.GetUpload(ctx, id)
}

// create writes the part before the manifest: a manifest on disk means that
// the upload exists. Writing the manifest syncs the folder for both.
func (u *uploads) create(id string, raw []byte) error {
	f, err := os.OpenFile(u.partPath(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return durable.CreateFile(u.manifestPath(id), raw, 0o600)
}

// GetUpload finds an upload.
func (u *uploads) GetUpload(_ context.Context, id string) (tus.Upload, error) {
	m, ok := u.manifest(id)
	if !ok {
		return nil, tus.ErrNotFound
	}
	offset, err := u.offset(id, m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, tus.ErrNotFound
	}
	if err != nil {
		return nil, u.fault("find", id, err)
	}
	return &upload{uploads: u, info: tus.FileInfo{ID: id, Size: m.Size, Offset: offset}}, nil
}

// upload is one of them, for the length of a request; tusd holds its lock.
type upload struct {
	*uploads
	info tus.FileInfo
}

func (up *upload) GetInfo(context.Context) (tus.FileInfo, error) { return up.info, nil }

// WriteChunk appends what src gives and syncs it: the offset that it returns
// is an acknowledgement. A source that breaks off gives io.EOF here, and what
// came before is kept.
func (up *upload) WriteChunk(_ context.Context, offset int64, src io.Reader) (n int64, err error) {
	f, err := os.OpenFile(up.partPath(up.info.ID), os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, tus.ErrNotFound // expired in the meantime
	}
	if err != nil {
		return 0, up.fault("open", up.info.ID, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			n, err = 0, up.fault("close", up.info.ID, cerr)
		}
	}()
	if info, err := f.Stat(); err != nil {
		return 0, up.fault("open", up.info.ID, err)
	} else if info.Size() != offset {
		return 0, tus.ErrMismatchOffset
	}
	n, err = io.CopyBuffer(struct{ io.Writer }{f}, src, make([]byte, 256<<10))
	if err != nil {
		return 0, up.fault("write", up.info.ID, err)
	}
	if err := f.Sync(); err != nil {
		// The system may have dropped what it could not write and call the file
		// clean at the next sync: nothing of it can be believed any more.
		up.discard(up.info.ID)
		return 0, up.fault("sync", up.info.ID, err)
	}
	up.info.Offset = offset + n
	return n, nil
}

// FinishUpload makes the upload a packet.
func (up *upload) FinishUpload(ctx context.Context) error {
	err := up.finish(ctx, up.info.ID)
	var refusal *packet.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return answer(refusal)
	default:
		return up.fault("store", up.info.ID, err)
	}
}

// fault logs what went wrong inside and gives what the station is told of it.
func (u *uploads) fault(what, id string, err error) error {
	u.log.Error(what+" upload", "upload", id, "error", err.Error())
	return answer(err)
}

// GetReader is never called: downloads are switched off.
func (up *upload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, tus.ErrNotImplemented
}
