package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"chipid/enroll/packet"
	"chipid/pki/durable"
)

// blobPath is where the sealed octets of a packet lie: a folder for each first
// octet of the digest, so that no folder grows past a 256th of the whole.
func (h *Hub) blobPath(digest [32]byte) string {
	name := hex.EncodeToString(digest[:])
	return filepath.Join(h.dir, "packets", name[:2], name+".age")
}

func (h *Hub) finish(ctx context.Context, id string) error {
	_, err := h.ingest(ctx, id)
	return err
}

// ingest makes a whole upload a stored packet and gives its receipt. It may be
// called again at any time, by several at once, and after a crash at any
// point; the packet is stored once and the receipt is the same.
func (h *Hub) ingest(ctx context.Context, id string) (receipt []byte, err error) {
	raw, err := os.ReadFile(h.uploads.manifestPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, packet.Refusef(packet.NotReceived, "upload %s is not there", id)
	}
	if err != nil {
		return nil, err
	}
	m, err := packet.ReadManifest(raw) // verified when the upload was created
	if err != nil {
		return nil, err
	}
	select {
	case h.ingests <- struct{}{}:
		defer func() { <-h.ingests }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// Two packets with one digest share a file: neither may remove it while
	// the other decides.
	defer h.packets.lock("packet "+m.PacketID, "digest "+string(m.SHA256[:]))()

	receipt, err = h.decide(m, raw, id)
	var refusal *packet.Refusal
	switch {
	case err == nil:
		h.uploads.discard(id)
		h.opt.Log.Info("packet stored", "packet", m.PacketID, "station", m.Station, "sequence", m.Sequence, "bytes", m.Size)
	case errors.As(err, &refusal):
		if refusal.Code.Lasting() {
			if err := h.index.refuse(m.Station, &m, refusal, h.opt.Now()); err != nil {
				return nil, fmt.Errorf("note the refusal of packet %s: %w", m.PacketID, err)
			}
		}
		h.opt.Log.Warn("packet refused", "packet", m.PacketID, "station", m.Station, "sequence", m.Sequence, "code", string(refusal.Code), "reason", refusal.Reason)
		if err := h.removeUnindexed(m); err != nil {
			return nil, err
		}
		h.uploads.discard(id)
	}
	return receipt, err
}

// decide is ingest's judgement and the storing.
func (h *Hub) decide(m packet.Manifest, raw []byte, id string) (receipt []byte, err error) {
	known, err := h.index.lookup(m)
	if err != nil {
		return nil, err
	}
	if known != nil {
		return known.Receipt, nil
	}
	part := h.uploads.partPath(id)
	content, err := h.examine(m, part)
	if errors.Is(err, fs.ErrNotExist) {
		// A crash came between the renaming and the index.
		content, err = h.examine(m, h.blobPath(m.SHA256))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, packet.Refusef(packet.NotReceived, "the octets of packet %s are not there", m.PacketID)
	}
	if err != nil {
		return nil, err
	}
	now := h.opt.Now()
	if err := h.opt.Gate(content, now); err != nil {
		return nil, err
	}
	receipt, err = packet.SignReceipt(packet.Receipt{
		PacketID: m.PacketID, Station: m.Station, Sequence: m.Sequence,
		SHA256: m.SHA256, Size: m.Size, ReceivedAt: now,
	}, h.identity.Receipts)
	if err != nil {
		return nil, err
	}
	if err := publish(part, h.blobPath(m.SHA256)); err != nil {
		return nil, fmt.Errorf("store packet %s: %w", m.PacketID, err)
	}
	if err := h.index.put(m, Entry{Manifest: raw, Receipt: receipt, Application: content.Application}, now); err != nil {
		return nil, err
	}
	return receipt, nil
}

// examine checks the sealed octets against the manifest and opens them.
func (h *Hub) examine(m packet.Manifest, path string) (*packet.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, io.LimitReader(f, m.Size+1))
	if err != nil {
		return nil, fmt.Errorf("read packet %s: %w", m.PacketID, err)
	}
	if n != m.Size || [32]byte(digest.Sum(nil)) != m.SHA256 {
		return nil, packet.Refusef(packet.DigestMismatch, "what arrived of packet %s is not what its manifest says: send it again", m.PacketID)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read packet %s: %w", m.PacketID, err)
	}
	content, err := packet.Open(f, h.identity.Open)
	if err != nil {
		return nil, packet.Refusef(packet.NotReadable, "packet %s: %v", m.PacketID, err)
	}
	if content.PacketID != m.PacketID || content.Station != m.Station {
		return nil, packet.Refusef(packet.PacketMismatch, "what is sealed in packet %s of station %s was sealed for another packet or by another station", m.PacketID, m.Station)
	}
	return content, nil
}

// makeShelves makes the folder of every first octet, once and durably. One made
// when the first packet comes for it could be lost in a power cut together
// with a packet that another request put there before its name was synced.
func makeShelves(packets string) error {
	for i := range 256 {
		if err := os.Mkdir(filepath.Join(packets, fmt.Sprintf("%02x", i)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return durable.SyncDir(packets)
}

// publish moves the part to its place for good: octets first, then the name.
// That the old name is gone need not last: where a power cut brings it back,
// the index knows the packet and the upload is dropped.
func publish(part, blob string) error {
	err := syncFile(part) // mostly nothing to do: see WriteChunk; not after a kill
	if errors.Is(err, fs.ErrNotExist) {
		// The crash came after the renaming.
		err = syncFile(blob)
	} else if err == nil {
		err = os.Rename(part, blob)
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(blob))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// removeUnindexed takes a refused packet's octets away again, unless they are
// another packet's too.
func (h *Hub) removeUnindexed(m packet.Manifest) error {
	has, err := h.index.hasDigest(m.SHA256)
	if err != nil || has {
		return err
	}
	if err := os.Remove(h.blobPath(m.SHA256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
