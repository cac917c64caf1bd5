package hub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"chipid/enroll/packet"
)

const indexFile = "index.db"

// The index's buckets. Sequences and records are under their station's name
// and a zero octet, which no name contains.
var (
	packetsBucket   = []byte("packets")   // packet id → Entry
	digestsBucket   = []byte("digests")   // SHA-256 of the sealed octets → packet id
	sequencesBucket = []byte("sequences") // station, sequence → packet id
	recordsBucket   = []byte("records")   // station, application id → packet id
	refusedBucket   = []byte("refused")   // station, sequence → refusedEntry
	stationsBucket  = []byte("stations")  // station → tally
)

// Entry is what the index holds of a packet.
type Entry struct {
	Manifest    []byte // as signed by the station
	Receipt     []byte // as signed by the hub
	Application string // the record's id at the station
}

// refusedEntry tells a station again what it was told before.
type refusedEntry struct {
	PacketID string
	Code     packet.Code
	Reason   string
	Millis   int64
}

// maxRefused bounds what is remembered of refusals, a station. Beyond it they
// are only counted.
const maxRefused = 10_000

// tally is the running count of a station.
type tally struct {
	Received int64
	Bytes    int64
	Refused  map[packet.Code]int64
	Kept     int64  // entries in the refused bucket
	Low      uint64 // every sequence number up to this one is received or refused
	High     uint64 // the highest seen
	Last     int64  // when the last packet was received, in milliseconds since 1970
}

// ErrLocked says that another process serves the hub's folder.
var ErrLocked = errors.New("another chipid hub serves this folder")

type index struct{ db *bolt.DB }

func openIndex(path string) (*index, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		if errors.Is(err, berrors.ErrTimeout) {
			return nil, fmt.Errorf("%s is in use: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// Commits of packets that arrive together share one fsync; a lone packet
	// waits no longer than this for company.
	db.MaxBatchDelay = 2 * time.Millisecond
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{packetsBucket, digestsBucket, sequencesBucket, recordsBucket, refusedBucket, stationsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("prepare %s: %w", path, err)
	}
	return &index{db: db}, nil
}

func (ix *index) close() error { return ix.db.Close() }

func stationKey(station string, rest []byte) []byte {
	return append(append([]byte(station), 0), rest...)
}

func sequenceKey(station string, sequence uint64) []byte {
	return stationKey(station, binary.BigEndian.AppendUint64(nil, sequence))
}

// lookup tells what the index has of the manifest's packet: its entry; nil if
// the packet is new; or the refusal where it clashes with another.
func (ix *index) lookup(m packet.Manifest) (entry *Entry, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		entry, err = lookup(tx, m)
		return err
	})
	return entry, err
}

func lookup(tx *bolt.Tx, m packet.Manifest) (*Entry, error) {
	if raw := tx.Bucket(packetsBucket).Get([]byte(m.PacketID)); raw != nil {
		var e Entry
		if err := cbor.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("the index entry of packet %s is damaged: %w", m.PacketID, err)
		}
		known, err := packet.ReadManifest(e.Manifest)
		if err != nil {
			return nil, fmt.Errorf("the index entry of packet %s is damaged: %w", m.PacketID, err)
		}
		if known != m {
			return nil, packet.Refusef(packet.PacketReused, "packet %s was received before with another content", m.PacketID)
		}
		return &e, nil
	}
	if other := tx.Bucket(digestsBucket).Get(m.SHA256[:]); other != nil {
		return nil, packet.Refusef(packet.DigestReused, "what packet %s holds was received before as another packet: a replay", m.PacketID)
	}
	if other := tx.Bucket(sequencesBucket).Get(sequenceKey(m.Station, m.Sequence)); other != nil {
		return nil, packet.Refusef(packet.SequenceReused, "number %d of station %s was received before as packet %s", m.Sequence, m.Station, other)
	}
	return nil, nil
}

// put enters a packet, all or nothing. It is here, inside the transaction,
// that a packet, digest, sequence and record can each be taken only once.
func (ix *index) put(m packet.Manifest, e Entry, at time.Time) error {
	value, err := cbor.Marshal(e)
	if err != nil {
		return err
	}
	return ix.db.Batch(func(tx *bolt.Tx) error {
		if known, err := lookup(tx, m); err != nil || known != nil {
			return err
		}
		record := stationKey(m.Station, []byte(e.Application))
		if other := tx.Bucket(recordsBucket).Get(record); other != nil {
			return packet.Refusef(packet.RecordReused, "the record in packet %s was received before in packet %s", m.PacketID, other)
		}
		for _, kv := range []struct{ bucket, key, value []byte }{
			{packetsBucket, []byte(m.PacketID), value},
			{digestsBucket, m.SHA256[:], []byte(m.PacketID)},
			{sequencesBucket, sequenceKey(m.Station, m.Sequence), []byte(m.PacketID)},
			{recordsBucket, record, []byte(m.PacketID)},
		} {
			if err := tx.Bucket(kv.bucket).Put(kv.key, kv.value); err != nil {
				return err
			}
		}
		return updateTally(tx, m.Station, func(t *tally) error {
			t.Received++
			t.Bytes += m.Size
			t.Last = at.UnixMilli()
			refused, key := tx.Bucket(refusedBucket), sequenceKey(m.Station, m.Sequence)
			if refused.Get(key) != nil {
				t.Kept--
				if err := refused.Delete(key); err != nil {
					return err
				}
			}
			t.account(tx, m)
			return nil
		})
	})
}

// refuse notes a refusal. A manifest whose signature held is remembered by its
// sequence number, so that the number is not taken for a loss, unless the
// number was received with another packet; others only count.
func (ix *index) refuse(station string, m *packet.Manifest, r *packet.Refusal, at time.Time) error {
	return ix.db.Batch(func(tx *bolt.Tx) error {
		return updateTally(tx, station, func(t *tally) error {
			if m == nil || tx.Bucket(sequencesBucket).Get(sequenceKey(station, m.Sequence)) != nil {
				t.Refused[r.Code]++
				return nil
			}
			refused, key := tx.Bucket(refusedBucket), sequenceKey(station, m.Sequence)
			var before refusedEntry
			known := false
			if raw := refused.Get(key); raw != nil {
				if err := cbor.Unmarshal(raw, &before); err != nil {
					return fmt.Errorf("the note of a refusal to %s is damaged: %w", station, err)
				}
				known = true
			}
			if known && before.PacketID == m.PacketID && before.Code == r.Code {
				return nil // asked again: counted already
			}
			t.Refused[r.Code]++
			if !known && t.Kept >= maxRefused {
				return nil
			}
			value, err := cbor.Marshal(refusedEntry{PacketID: m.PacketID, Code: r.Code, Reason: r.Reason, Millis: at.UnixMilli()})
			if err != nil {
				return err
			}
			if err := refused.Put(key, value); err != nil {
				return err
			}
			if !known {
				t.Kept++
			}
			t.account(tx, *m)
			return nil
		})
	})
}

// refusal gives the refusal that a station's packet met, or nil.
func (ix *index) refusal(station, packetID string) (r *packet.Refusal, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		prefix := stationKey(station, nil)
		c := tx.Bucket(refusedBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			var e refusedEntry
			if err := cbor.Unmarshal(v, &e); err != nil {
				return fmt.Errorf("the note of a refusal to %s is damaged: %w", station, err)
			}
			if e.PacketID == packetID {
				r = &packet.Refusal{Code: e.Code, Reason: e.Reason}
				return nil
			}
		}
		return nil
	})
	return r, err
}

// entry gives a packet of a station, or nil.
func (ix *index) entry(station, packetID string) (entry *Entry, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		raw := tx.Bucket(packetsBucket).Get([]byte(packetID))
		if raw == nil {
			return nil
		}
		var e Entry
		if err := cbor.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("the index entry of packet %s is damaged: %w", packetID, err)
		}
		m, err := packet.ReadManifest(e.Manifest)
		if err != nil {
			return fmt.Errorf("the index entry of packet %s is damaged: %w", packetID, err)
		}
		if m.Station == station {
			entry = &e
		}
		return nil
	})
	return entry, err
}

func (ix *index) hasDigest(digest [32]byte) (has bool, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		has = tx.Bucket(digestsBucket).Get(digest[:]) != nil
		return nil
	})
	return has, err
}

// account moves the low-water mark over the numbers that are accounted for.
func (t *tally) account(tx *bolt.Tx, m packet.Manifest) {
	t.High = max(t.High, m.Sequence)
	for accounted(tx, m.Station, t.Low+1) {
		t.Low++
	}
}

func accounted(tx *bolt.Tx, station string, sequence uint64) bool {
	key := sequenceKey(station, sequence)
	return tx.Bucket(sequencesBucket).Get(key) != nil || tx.Bucket(refusedBucket).Get(key) != nil
}

func readTally(raw []byte) (t tally, err error) {
	if raw != nil {
		if err := cbor.Unmarshal(raw, &t); err != nil {
			return t, fmt.Errorf("a station's count is damaged: %w", err)
		}
	}
	if t.Refused == nil {
		t.Refused = map[packet.Code]int64{}
	}
	return t, nil
}

func updateTally(tx *bolt.Tx, station string, change func(*tally) error) error {
	b := tx.Bucket(stationsBucket)
	t, err := readTally(b.Get([]byte(station)))
	if err != nil {
		return err
	}
	if err := change(&t); err != nil {
		return err
	}
	raw, err := cbor.Marshal(t)
	if err != nil {
		return err
	}
	return b.Put([]byte(station), raw)
}

// Stats are the hub's counts; they name stations, never people.
type Stats struct {
	Received        int64          `json:"received"`
	Bytes           int64          `json:"bytes"`
	Quarantined     int64          `json:"quarantined"` // refused for a lasting reason; they stay at their stations
	Unfinished      int            `json:"unfinishedUploads"`
	UnfinishedBytes int64          `json:"unfinishedBytes"`
	Serving         bool           `json:"serving"`
	Stations        []StationStats `json:"stations"`
}

// StationStats are the counts of one station.
type StationStats struct {
	Station        string                `json:"station"`
	Received       int64                 `json:"received"`
	Bytes          int64                 `json:"bytes"`
	Quarantined    map[packet.Code]int64 `json:"quarantined"`
	HighSequence   uint64                `json:"highSequence"`
	Missing        uint64                `json:"missing"` // numbers below the highest that never came
	Gaps           []Gap                 `json:"gaps"`    // where they are; the first of them
	LastReceivedAt *time.Time            `json:"lastReceivedAt,omitempty"`
}

// Gap is a run of sequence numbers that are missing.
type Gap = packet.Gap

// maxGaps bounds the gaps that are listed, maxGapScan the numbers looked at
// for them: a station may claim any number.
const (
	maxGaps    = 100
	maxGapScan = 1 << 20
)

// account is what a station may compare its own numbers with.
func (ix *index) account(station string) (a packet.Account, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		t, err := readTally(tx.Bucket(stationsBucket).Get([]byte(station)))
		if err != nil {
			return err
		}
		a = packet.Account{High: t.High, Missing: gaps(tx, station, t.Low, t.High)}
		return nil
	})
	return a, err
}

func (ix *index) stats() (Stats, error) {
	s := Stats{Stations: []StationStats{}}
	err := ix.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(stationsBucket).ForEach(func(k, v []byte) error {
			t, err := readTally(v)
			if err != nil {
				return err
			}
			st := StationStats{
				Station: string(k), Received: t.Received, Bytes: t.Bytes,
				Quarantined: maps.Clone(t.Refused), HighSequence: t.High,
			}
			if t.Last != 0 {
				at := time.UnixMilli(t.Last).UTC()
				st.LastReceivedAt = &at
			}
			st.Missing = t.High - uint64(t.Received) - uint64(t.Kept)
			st.Gaps = gaps(tx, st.Station, t.Low, t.High)
			s.Received += t.Received
			s.Bytes += t.Bytes
			for _, n := range t.Refused {
				s.Quarantined += n
			}
			s.Stations = append(s.Stations, st)
			return nil
		})
	})
	return s, err
}

// gaps walks the numbers that are there and sees what lies between them.
func gaps(tx *bolt.Tx, station string, low, high uint64) []Gap {
	found := []Gap{}
	next := low + 1
	received := numbers(tx.Bucket(sequencesBucket), station, next)
	refused := numbers(tx.Bucket(refusedBucket), station, next)
	for looked := 0; next <= high && len(found) < maxGaps && looked < maxGapScan; looked++ {
		at := min(received.at, refused.at, high+1)
		if at > next {
			found = append(found, Gap{From: next, To: at - 1})
		}
		next = at + 1
		received.pass(at)
		refused.pass(at)
	}
	return found
}

// walk goes through a station's sequence numbers in a bucket.
type walk struct {
	cursor *bolt.Cursor
	prefix []byte
	at     uint64 // 1<<63 at the end; no sequence number is as high
}

func numbers(b *bolt.Bucket, station string, from uint64) *walk {
	w := &walk{cursor: b.Cursor(), prefix: stationKey(station, nil)}
	k, _ := w.cursor.Seek(sequenceKey(station, from))
	w.set(k)
	return w
}

func (w *walk) set(key []byte) {
	w.at = 1 << 63
	if number, ok := bytes.CutPrefix(key, w.prefix); ok && len(number) == 8 {
		w.at = binary.BigEndian.Uint64(number)
	}
}

func (w *walk) pass(at uint64) {
	if w.at == at {
		k, _ := w.cursor.Next()
		w.set(k)
	}
}

// eachPage is how many entries are read in one transaction.
const eachPage = 256

// each gives every packet, in order of packet ids, until f returns an error.
// No transaction is open while f runs: it may take its time, and one would
// keep the index from growing, and with it every station waiting. What comes
// in meanwhile may be among them or not.
func (ix *index) each(f func(packetID string, e Entry) error) error {
	type packetEntry struct {
		id string
		Entry
	}
	for last := ""; ; {
		var page []packetEntry
		err := ix.db.View(func(tx *bolt.Tx) error {
			c := tx.Bucket(packetsBucket).Cursor()
			k, v := c.Seek([]byte(last))
			if last != "" && string(k) == last {
				k, v = c.Next()
			}
			for ; k != nil && len(page) < eachPage; k, v = c.Next() {
				p := packetEntry{id: string(k)}
				if err := cbor.Unmarshal(v, &p.Entry); err != nil {
					return fmt.Errorf("the index entry of packet %s is damaged: %w", k, err)
				}
				page = append(page, p)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range page {
			if err := f(p.id, p.Entry); err != nil {
				return err
			}
			last = p.id
		}
		if len(page) < eachPage {
			return nil
		}
	}
}
