package queue

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"chipid/enroll"
)

// edit changes the database behind the queue's back.
func edit(t *testing.T, dir string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, dbFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// value copies a value out of the database.
func value(t *testing.T, dir string, bucket, key []byte) (v []byte) {
	t.Helper()
	edit(t, dir, func(tx *bbolt.Tx) error {
		v = append(v, tx.Bucket(bucket).Get(key)...)
		return nil
	})
	return v
}

// TestTampering does to the store what someone with the files could, and for
// some what someone with the passphrase too could; the audit must see each.
func TestTampering(t *testing.T) {
	type store struct {
		q      *Queue
		dir    string
		a, b   *enroll.Application // complete, approved
		before []byte              // b's record when it was complete
	}
	tests := []struct {
		name string
		do   func(t *testing.T, s *store)
		want string
	}{
		{"a record deleted", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error { return tx.Bucket(bucketRecords).Delete([]byte(s.a.ID)) })
		}, "missing from the store"},
		{"a record put back to an older state", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error { return tx.Bucket(bucketRecords).Put([]byte(s.b.ID), s.before) })
		}, "in another state"},
		{"a record edited with the key", func(t *testing.T, s *store) {
			err := s.q.transact(false, func(v *view) error {
				a, err := v.record(s.b.ID)
				if err != nil {
					return err
				}
				a.Person.FullName = "NGƯỜI KHÁC"
				encoded, err := enroll.Encode(a)
				if err != nil {
					return err
				}
				sealed, err := s.q.vault.seal(s.q.vault.records, string(a.ID), encoded)
				if err != nil {
					return err
				}
				return v.bucket(bucketRecords).Put([]byte(a.ID), sealed)
			})
			if err != nil {
				t.Fatal(err)
			}
		}, "content is not"},
		{"a record moved to another's place", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error {
				r := tx.Bucket(bucketRecords)
				return r.Put([]byte(s.a.ID), append([]byte(nil), r.Get([]byte(s.b.ID))...))
			})
		}, "does not open"},
		{"a record added with the key", func(t *testing.T, s *store) {
			err := s.q.transact(false, func(v *view) error {
				a, err := v.record(s.b.ID)
				if err != nil {
					return err
				}
				a.ID = "019a8e5c-7c10-7b3a-9d2e-5f60718293a4"
				encoded, err := enroll.Encode(a)
				if err != nil {
					return err
				}
				sealed, err := s.q.vault.seal(s.q.vault.records, string(a.ID), encoded)
				if err != nil {
					return err
				}
				return v.bucket(bucketRecords).Put([]byte(a.ID), sealed)
			})
			if err != nil {
				t.Fatal(err)
			}
		}, "chain does not know"},
		{"an entry deleted", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error { return tx.Bucket(bucketAudit).Delete(entryKey(2)) })
		}, "entry of the audit chain is missing"},
		{"the last entry and its record put back", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error {
				if err := tx.Bucket(bucketAudit).Delete(entryKey(3)); err != nil {
					return err
				}
				return tx.Bucket(bucketRecords).Put([]byte(s.b.ID), s.before)
			})
		}, "end of the audit chain"},
		{"an entry altered", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketAudit)
				v := append([]byte(nil), b.Get(entryKey(1))...)
				v[len(v)-1] ^= 1
				return b.Put(entryKey(1), v)
			})
		}, "entry was altered"},
		{"two entries swapped", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketAudit)
				one, two := append([]byte(nil), b.Get(entryKey(1))...), append([]byte(nil), b.Get(entryKey(2))...)
				return errors.Join(b.Put(entryKey(1), two), b.Put(entryKey(2), one))
			})
		}, "entry was altered"},
		{"an entry rewritten with the key", func(t *testing.T, s *store) {
			err := s.q.transact(false, func(v *view) error {
				e, _, err := v.openEntry(1, v.bucket(bucketAudit).Get(entryKey(1)))
				if err != nil {
					return err
				}
				e.Actor = "someone else"
				encoded, err := cborMode.Marshal(e)
				if err != nil {
					return err
				}
				sealed, err := s.q.vault.seal(s.q.vault.audit, entryLabel(1), encoded)
				if err != nil {
					return err
				}
				return v.bucket(bucketAudit).Put(entryKey(1), sealed)
			})
			if err != nil {
				t.Fatal(err)
			}
		}, "does not follow"},
		{"an approval by the operator, written with the key", func(t *testing.T, s *store) {
			err := s.q.update("an", func(c *change) error {
				a, err := c.record(s.a.ID)
				if err != nil {
					return err
				}
				a.State, a.Approver = enroll.Approved, "an"
				return c.put(a, enroll.Approve, enroll.Complete, "")
			})
			if err != nil {
				t.Fatal(err)
			}
		}, "approved by one who captured"},
		{"a photo altered", func(t *testing.T, s *store) {
			path := s.q.blobPath(s.a.Photo.Name)
			octets, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			octets[0] ^= 1
			if err := os.WriteFile(path, octets, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.q.Photo(s.a); !errors.Is(err, ErrDamaged) {
				t.Errorf("the altered photo was given out: %v", err)
			}
		}, "missing or was altered"},
		{"a photo deleted", func(t *testing.T, s *store) {
			if err := os.Remove(s.q.blobPath(s.b.Photo.Name)); err != nil {
				t.Fatal(err)
			}
		}, "missing or was altered"},
		{"the index of numbers emptied", func(t *testing.T, s *store) {
			edit(t, s.dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketNumbers)
				return b.ForEach(func(k, _ []byte) error { return b.Delete(append([]byte(nil), k...)) })
			})
		}, "index of personal numbers"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			q, _ := openTest(t, dir)
			s := &store{q: q, dir: dir, a: add(t, q, 1), b: add(t, q, 2)}
			s.before = value(t, dir, bucketRecords, []byte(s.b.ID))
			if _, err := q.Approve("binh", s.b.ID); err != nil {
				t.Fatal(err)
			}
			mustBeSound(t, q)
			test.do(t, s)
			r := verify(t, q)
			for _, f := range r.Faults {
				if strings.Contains(f.EN, test.want) && f.VI != "" {
					return
				}
			}
			t.Errorf("no fault says %q: %+v", test.want, r.Faults)
		})
	}
}

// TestRollback puts a whole older copy of the folder back: by itself it is
// sound, and only a head noted elsewhere shows it.
func TestRollback(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	add(t, q, 1)
	old, err := os.ReadFile(filepath.Join(dir, dbFile))
	if err != nil {
		t.Fatal(err)
	}
	early := mustBeSound(t, q).Head
	add(t, q, 2)
	noted := mustBeSound(t, q).Head
	contains := func(h Head) bool {
		r, err := q.VerifyAudit(context.Background(), VerifyOptions{Contains: &h})
		if err != nil {
			t.Fatal(err)
		}
		return r.OK()
	}
	if !contains(early) || !contains(noted) {
		t.Error("a head of this chain is not found in it")
	}
	if err := os.WriteFile(filepath.Join(dir, dbFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, q)
	if contains(noted) {
		t.Error("the rollback was not seen")
	}
	if contains(Head{Sequence: 1, Hash: hex.EncodeToString(make([]byte, 32))}) {
		t.Error("a head that never was is found")
	}
}

// TestDamagedDatabase cuts and overwrites queue.db in many places. Whatever is
// then read or changed gives an answer or an error; the process survives, and
// no damage passes for a sound and complete store. One kind can: bbolt keeps
// two meta pages, and where the newer is damaged it falls back to the state one
// change earlier, as after a power cut. A noted head shows that (TestRollback).
func TestDamagedDatabase(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	for n := range 5 {
		add(t, q, n)
	}
	path := filepath.Join(dir, dbFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	damaged := 0
	for round := range 200 {
		bad := append([]byte(nil), whole...)
		at := random.IntN(len(bad)/4096) * 4096
		switch round % 4 {
		case 0:
			bad = bad[:random.IntN(len(bad))]
		case 1:
			bad[at+random.IntN(4096)] ^= byte(1 + random.IntN(255))
		case 2: // a page of zeros
			clear(bad[at : at+4096])
		case 3: // a page of noise
			for i := range 4096 {
				bad[at+i] = byte(random.Uint32())
			}
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := Open(dir, Options{Sealer: q.opt.Sealer, Now: q.opt.Now, Rand: q.opt.Rand})
		if err != nil {
			damaged++
			continue
		}
		list, listErr := opened.List()
		report, err := opened.VerifyAudit(context.Background(), VerifyOptions{})
		if err != nil || !report.OK() || listErr != nil {
			damaged++
		} else if fallback := round%4 != 0 && at < 2*4096 && len(list) == 4; !fallback && len(list) != 5 || report.Applications != len(list) {
			t.Fatalf("round %d: %d of 5 applications left, and the audit is content", round, len(list))
		}
		_, _, _ = opened.Add("an", invented(50)) // may fail, must not crash
	}
	if damaged < 50 {
		t.Errorf("only %d of 200 damages were noticed at all: the test damages nothing", damaged)
	}
	for name, content := range map[string][]byte{"empty": {}, "text": []byte(strings.Repeat("not a database ", 5000))} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{Sealer: q.opt.Sealer, Now: q.opt.Now, Rand: q.opt.Rand}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != string(content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestForeignDatabase(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir)
	edit(t, dir, func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketMeta) })
	if _, err := q.List(); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
