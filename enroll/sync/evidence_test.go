package sync_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/enroll"
	"chipid/enroll/hub"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
	"chipid/pki/authority"
	"chipid/reader"
	"chipid/reader/inspect"
)

// issued makes a card from an approved application: the signed files and the
// secrets of its chip.
func (c *chain) issued(pki string, id enroll.ID) (*lds.Document, perso.Secrets) {
	c.t.Helper()
	a, err := c.queue.Get(id)
	if err != nil {
		c.t.Fatal(err)
	}
	photo, err := c.queue.Photo(a)
	if err != nil {
		c.t.Fatal(err)
	}
	issuer, err := authority.Open(pki, c.sealer, rand.Reader, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	certificate, signer, err := issuer.DocumentSigner()
	if err != nil {
		c.t.Fatal(err)
	}
	profile, err := national.ByName(a.Profile)
	if err != nil {
		c.t.Fatal(err)
	}
	doc, secrets, err := national.Build(national.BuildOptions{
		Profile: profile, Person: a.Person, Photo: photo, Certificate: certificate, Signer: signer,
		ActiveAuthentication: national.AAECDSA, Now: c.now(), Rand: rand.Reader,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return doc, secrets
}

// readBack puts a document on a chip and reads the chip.
func (c *chain) readBack(doc *lds.Document, secrets perso.Secrets) []byte {
	c.t.Helper()
	blank, err := chip.New(chip.Options{Rand: rand.Reader})
	if err != nil {
		c.t.Fatal(err)
	}
	steps, err := perso.Script(doc, secrets, perso.ChipID)
	if err != nil {
		c.t.Fatal(err)
	}
	transport := reader.NewChipTransport(blank)
	if _, err := reader.Personalise(c.t.Context(), transport, steps, nil); err != nil {
		c.t.Fatal(err)
	}
	evidence, err := inspect.Read(c.t.Context(), transport, inspect.Options{
		Passwords: inspect.Passwords{CAN: secrets.CAN}, Rand: rand.Reader, Now: c.now,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := evidence.Marshal()
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// attach gives an application a read that the station's own record calls
// genuine, whatever it is: the gate must not take the record's word.
func (c *chain) attach(id enroll.ID, evidence []byte) {
	c.t.Helper()
	_, err := c.queue.AttachEvidence("an", id, queue.NewEvidence{Role: enroll.IssuedCard, Data: evidence, Verdict: "genuine"})
	if err != nil {
		c.t.Fatal(err)
	}
}

// Chips are made, read back and their records sent: the sound one arrives, the
// others stay at the station, each with its own reason. Then the same with a
// station that lets everything through: the hub refuses the same ones.
func TestOnlyGenuineReadsGoUp(t *testing.T) {
	for _, careless := range []bool{false, true} {
		name := "stopped at the station"
		if careless {
			name = "stopped at the hub"
		}
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			judge, err := packet.JudgeBy(filepath.Join(c.hubDir, "trust"))
			if err != nil {
				t.Fatal(err)
			}
			c.hubGate = packet.Gate(judge)
			address, _ := c.serve()

			ids := c.approve(7)
			sound, clone, swapped, strange, borrowed, torn, unread := ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], ids[6]
			soundDoc, soundSecrets := c.issued(c.pki, sound)
			soundRead := c.readBack(soundDoc, soundSecrets)
			c.attach(sound, soundRead)

			// The signed files of a real card on a chip with keys of its own.
			doc, _ := c.issued(c.pki, clone)
			other, secrets := c.issued(c.pki, clone)
			for _, f := range []lds.File{lds.DG14, lds.DG15} {
				keys, _ := other.Get(f)
				doc.Set(f, keys)
			}
			c.attach(clone, c.readBack(doc, secrets))

			// Another portrait on a real card.
			doc, secrets = c.issued(c.pki, swapped)
			dg2, _ := soundDoc.Get(lds.DG2)
			doc.Set(lds.DG2, dg2)
			c.attach(swapped, c.readBack(doc, secrets))

			// A card of a signer nobody appointed.
			stranger := filepath.Join(t.TempDir(), "STRANGER")
			if _, err := authority.Init(stranger, authority.Options{Country: "VN", Sealer: c.sealer, Rand: rand.Reader, Now: c.now}); err != nil {
				t.Fatal(err)
			}
			c.attach(strange, c.readBack(c.issued(stranger, strange)))

			// The genuine card of somebody else.
			c.attach(borrowed, soundRead)

			// What is no read at all.
			c.attach(torn, soundRead[:len(soundRead)/2])

			want := map[enroll.ID]packet.Code{
				clone: packet.EvidenceRejected, swapped: packet.EvidenceRejected,
				borrowed: packet.EvidenceMismatch, torn: packet.EvidenceRejected,
				strange: "", // rejected or undetermined: see below
			}
			own, err := packet.JudgeBy(c.station.TrustDir)
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.run(address, func(o *sync.Options) {
				if !careless {
					o.Gate = sync.Gate(packet.Gate(own))
				}
			})
			if err != nil || s.Received != 2 || len(s.Quarantined) != len(want) || len(s.Failed) != 0 {
				t.Fatalf("%+v, %v", s, err)
			}
			reasons := map[string]bool{}
			for _, q := range s.Quarantined {
				code, expected := want[q.Application]
				if code == "" && (q.Code == packet.EvidenceRejected || q.Code == packet.EvidenceUndetermined) {
					code = q.Code
				}
				if !expected || q.Code != code {
					t.Errorf("%+v, want %s", q, code)
				}
				// The ids differ; what is left must too.
				reasons[strings.ReplaceAll(q.Reason, string(q.Application), "")] = true
				a, err := c.queue.Get(q.Application)
				if err != nil || a.State != enroll.Quarantined || !strings.Contains(a.Reason, q.Reason) {
					t.Errorf("%v %q, %v", a, a.Reason, err)
				}
				t.Log(q.Code, q.Reason)
			}
			if len(reasons) != len(want) {
				t.Errorf("%d different reasons for %d refusals", len(reasons), len(want))
			}
			for _, id := range []enroll.ID{sound, unread} {
				if a, err := c.queue.Get(id); err != nil || a.State != enroll.Received {
					t.Errorf("%v, %v", a, err)
				}
			}
			st := c.stats()
			refused := int64(0)
			if careless {
				refused = int64(len(want))
			}
			if st.Received != 2 || st.Quarantined != refused || st.Stations[0].Missing != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A signer is revoked after the read: the hub learns of it without a restart
// and takes nothing more that it signed.
func TestSignerRevokedAfterTheRead(t *testing.T) {
	c := newChain(t)
	judge, err := packet.JudgeBy(filepath.Join(c.hubDir, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	c.hubGate = packet.Gate(judge)
	address, _ := c.serve()
	ids := c.approve(2)
	for _, id := range ids {
		c.attach(id, c.readBack(c.issued(c.pki, id)))
	}
	issuer, err := authority.Open(c.pki, c.sealer, rand.Reader, c.now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err := issuer.DocumentSigner()
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.clock = c.clock.Add(time.Minute)
	c.mu.Unlock()
	if _, err := issuer.Revoke(certificate.SerialNumber, "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Init(c.hubDir, c.pki); err != nil {
		t.Fatal(err)
	}
	// The authority's folder keeps the list; the station has an older one.
	if _, err := os.Stat(filepath.Join(c.station.TrustDir, "csca.crl")); err != nil {
		t.Fatal(err)
	}
	s, err := c.run(address)
	if err != nil || s.Received != 0 || len(s.Quarantined) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, q := range s.Quarantined {
		if q.Code != packet.EvidenceRejected || !strings.Contains(q.Reason, "revoked") {
			t.Errorf("%+v", q)
		}
	}
}
