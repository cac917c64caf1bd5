// Package hub is the centre's end: it takes sealed packets from stations and
// answers each with a signed receipt, which means stored and nothing less.
//
// A packet comes in over tus 1.0 (resumable upload) inside mutual TLS 1.3 and
// walks one way:
//
//	manifest    checked before any byte is taken: signature, station, sequence
//	uploads/    ID.manifest and ID.part grow; an offset is acknowledged only
//	   │        after fsync
//	   │        digest, decryption, names within, and the gate of the house
//	packets/    renamed to its digest; file and folder fsynced
//	index.db    one transaction: packet, sequence, digest, record, receipt
//	   │
//	receipt     handed out as often as it is asked for, always the same octets
//
// A crash between any two steps leaves something that the next start, the next
// upload or the next question for the receipt carries on from. The uniqueness
// rules (a packet id, a digest, a sequence number and a record are each taken
// once) are decided inside the index's transaction and nowhere else.
//
// What is on the hub's disk besides is sealed to the hub's key, which lies
// there only under its passphrase. The index holds no personal data.
package hub

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"filippo.io/age"

	"chipid/enroll/packet"
	"chipid/pki/clock"
	"chipid/pki/durable"
)

// Station is what the hub knows of a station.
type Station struct {
	ID         string
	SignKey    ed25519.PublicKey // verifies manifests
	CertSHA256 [32]byte          // of its TLS certificate, DER
}

// Identity is what the hub is and whom it knows.
type Identity struct {
	Open     age.Identity  // opens packets
	Receipts crypto.Signer // Ed25519; signs receipts
	TLS      tls.Certificate
	CAs      *x509.CertPool // issuers of station certificates

	// Station looks a station up each time it asks for something, so that a
	// station struck off is refused from the next request on.
	Station func(id string) (Station, error)
}

// Gate is the hub's side of the rule that nothing unverified goes up. A
// refusal is a *packet.Refusal; any other error means that the gate could not
// do its work.
type Gate func(content *packet.Content, at time.Time) error

// Options are what a hub needs of the world, and its bounds. The zero value of
// a bound means the default.
type Options struct {
	Gate Gate
	Now  func() time.Time
	Rand io.Reader
	Log  *slog.Logger // nil: silence

	MaxUploads     int           // unfinished uploads of one station; default 32
	MaxUploadBytes int64         // their size together; default 1 GiB
	MaxRequests    int           // requests of one station at once; default 16
	MaxConnections int           // default 1024
	KeepUploads    time.Duration // an unfinished upload untouched so long is dropped; default 3 days
	ReadTimeout    time.Duration // between two reads of a request; default 30 s
}

// Hub is an open hub folder.
type Hub struct {
	dir      string
	identity Identity
	opt      Options
	index    *index
	uploads  *uploads
	packets  keyedLocks    // held while a packet or a digest is being decided
	ingests  chan struct{} // bounds the packets in memory at once
}

// Open opens a hub folder for serving, and finishes what a crash left
// unfinished. The folder may be served by one process only.
func Open(ctx context.Context, dir string, identity Identity, opt Options) (*Hub, error) {
	if opt.Gate == nil {
		return nil, errors.New("open the hub: it has no gate; nothing unverified goes up")
	}
	// Stations would be told that their certificates are not valid yet.
	if now := opt.Now(); clock.Unset(now) {
		return nil, fmt.Errorf("open the hub: this computer's clock says %s: set it; receipts must tell the true time", now.UTC().Format("2006-01-02 15:04 UTC"))
	}
	setDefault(&opt.MaxUploads, 32)
	setDefault(&opt.MaxUploadBytes, 1<<30)
	setDefault(&opt.MaxRequests, 16)
	setDefault(&opt.MaxConnections, 1024)
	setDefault(&opt.KeepUploads, 72*time.Hour)
	setDefault(&opt.ReadTimeout, 30*time.Second)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	for _, sub := range []string{"uploads", "packets"} {
		if err := durable.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open the hub: %w", err)
		}
	}
	if err := makeShelves(filepath.Join(dir, "packets")); err != nil {
		return nil, fmt.Errorf("open the hub: %w", err)
	}
	ix, err := openIndex(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, fmt.Errorf("open the hub: %w", err)
	}
	h := &Hub{
		dir: dir, identity: identity, opt: opt, index: ix,
		ingests: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
	h.uploads = &uploads{
		dir: filepath.Join(dir, "uploads"), blob: h.blobPath, now: opt.Now, finish: h.finish,
		maxCount: opt.MaxUploads, maxBytes: opt.MaxUploadBytes,
		open: map[string]packet.Manifest{}, log: opt.Log,
	}
	if err := h.recover(ctx); err != nil {
		ix.close()
		return nil, fmt.Errorf("open the hub: %w", err)
	}
	return h, nil
}

// Close releases the folder.
func (h *Hub) Close() error { return h.index.close() }

func setDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// recover carries on from where the last process stopped: uploads that are
// whole become packets, those past their time go.
func (h *Hub) recover(ctx context.Context) error {
	whole, err := h.uploads.load()
	if err != nil {
		return err
	}
	for _, id := range whole {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := h.ingest(ctx, id); err != nil {
			// A refusal has been written down for the station to find; any
			// other fault meets the station when it asks for its receipt.
			h.opt.Log.Warn("finish an upload of the last run", "upload", id, "error", err.Error())
		}
	}
	return h.uploads.expire(h.opt.Now().Add(-h.opt.KeepUploads))
}

// keyedLocks are mutexes by name.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock locks the names in the order given; callers agree on one order.
func (k *keyedLocks) lock(names ...string) (unlock func()) {
	held := make([]*keyedLock, 0, len(names))
	for _, name := range names {
		k.mu.Lock()
		if k.locks == nil {
			k.locks = map[string]*keyedLock{}
		}
		l := k.locks[name]
		if l == nil {
			l = &keyedLock{}
			k.locks[name] = l
		}
		l.users++
		k.mu.Unlock()
		l.Lock()
		held = append(held, l)
	}
	return func() {
		for i, name := range names {
			held[i].Unlock()
			k.mu.Lock()
			if held[i].users--; held[i].users == 0 {
				delete(k.locks, name)
			}
			k.mu.Unlock()
		}
	}
}
