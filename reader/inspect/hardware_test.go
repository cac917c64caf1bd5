//go:build linux && cgo

package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/pki/cvc"
	"chipid/reader"
	"chipid/reader/inspect"
	"chipid/reader/pcsc"
	"chipid/reader/pcsc/pcsctest"
	"chipid/reader/vpcd"
)

// counter is a PC/SC reader with a place for a card in front of a test.
type counter struct {
	t       *testing.T
	ctx     context.Context
	service *pcsctest.Service
	slot    *exchanged
	unplug  context.CancelFunc
	served  chan error
	events  chan pcsc.Event
}

func newCounter(t *testing.T, service *pcsctest.Service) *counter {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	c := &counter{t: t, ctx: ctx, service: service, slot: new(exchanged), events: make(chan pcsc.Event, 64)}
	go pcsc.Watch(ctx, func(e pcsc.Event) {
		if e.Kind == pcsc.CardInserted || e.Kind == pcsc.CardRemoved {
			c.events <- e
		}
	})
	return c
}

// plug puts a card on the reader and waits until it is seen there.
func (c *counter) plug(card *chip.Chip) {
	c.t.Helper()
	c.slot.put(card)
	var plugged context.Context
	plugged, c.unplug = context.WithCancel(c.ctx)
	c.served = make(chan error, 1)
	go func() { c.served <- vpcd.Serve(plugged, pcsctest.Slot0, c.slot) }()
	c.await(pcsc.CardInserted)
}

// remove takes the card off and waits until that is seen.
func (c *counter) remove() {
	c.t.Helper()
	c.unplug()
	if err := <-c.served; err != nil {
		c.t.Error(err)
	}
	c.served = nil
	c.await(pcsc.CardRemoved)
}

func (c *counter) await(kind pcsc.EventKind) {
	c.t.Helper()
	for {
		select {
		case e := <-c.events:
			if e.Kind == kind {
				return
			}
		case err := <-c.served:
			c.t.Fatalf("plug the card in: %v", err)
		case <-c.ctx.Done():
			c.t.Fatalf("was not told %s", kind)
		}
	}
}

func (c *counter) connect() *pcsc.Card {
	c.t.Helper()
	card, err := pcsc.Connect(c.ctx, "0")
	if err != nil {
		c.t.Fatal(err)
	}
	return card
}

// TestProtocolsThroughPCSC: each kind of access and of proof as a reader program
// meets it, behind vpcd, pcscd and libpcsclite.
func TestProtocolsThroughPCSC(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		vn, utopia := states(t)
		ecdh := []perso.ChipKey{{Private: key(t, 13)}}
		aes := []iso7816.Cipher{iso7816.AES128}
		pace := func(k lds.KeyAgreement, m lds.Mapping, id int) []lds.PACEInfo {
			return []lds.PACEInfo{info(k, m, iso7816.AES128, id)}
		}
		root, credential := inspectors(t, cvc.AllRights)
		fingers := map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, make([]byte, 9000))}
		large := map[lds.File][]byte{lds.DG13: tlv.Encode(0x6D, bytes.Repeat([]byte{0x5A}, 40_000))}
		bacRSA, bacRSASecrets := older(t, utopia, national.AARSA)
		type document struct {
			name         string
			state        state
			doc          *lds.Document
			secrets      perso.Secrets
			access, chip string // the protocols
			options      func(*inspect.Options)
			habits       []chip.Habit
		}
		documents := []document{
			{name: "BAC, AA with RSA", state: utopia, doc: bacRSA, secrets: bacRSASecrets, access: "BAC"},
			{name: "the CCCD, AA with ECDSA", state: vn, doc: vn.doc, secrets: vn.secrets, access: "PACE-ECDH-GM-AES-CBC-CMAC-128", chip: "CA-ECDH-AES-CBC-CMAC-128"},
		}
		for _, row := range []struct {
			name         string
			v            variant
			access, chip string
			options      func(*inspect.Options)
			habits       []chip.Habit
		}{
			{"ECDH-IM", variant{pace: pace(lds.ECDH, lds.IntegratedMapping, 13), ca: ecdh, ciphers: aes}, "PACE-ECDH-IM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128", nil, nil},
			{"ECDH-CAM", variant{pace: pace(lds.ECDH, lds.ChipAuthenticationMapping, 13), mapping: key(t, 13)}, "PACE-ECDH-CAM-AES-CBC-CMAC-128", "PACE-ECDH-CAM-AES-CBC-CMAC-128", nil, nil},
			{"DH-GM, CA with DH", variant{pace: pace(lds.DH, lds.GenericMapping, 2), ca: []perso.ChipKey{{Private: dhKey(t, 2)}}, ciphers: aes}, "PACE-DH-GM-AES-CBC-CMAC-128", "CA-DH-AES-CBC-CMAC-128", nil, nil},
			{"DH-IM, CA with DH and 3DES", variant{pace: pace(lds.DH, lds.IntegratedMapping, 1), ca: []perso.ChipKey{{Private: dhKey(t, 0)}}, ciphers: []iso7816.Cipher{iso7816.TripleDES}},
				"PACE-DH-IM-AES-CBC-CMAC-128", "CA-DH-3DES-CBC-CBC", nil, nil},
			{"TA and DG3", variant{pace: pace(lds.ECDH, lds.GenericMapping, 13), ca: ecdh, ciphers: aes, files: fingers, trust: []*cvc.Certificate{root}},
				"PACE-ECDH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128", func(o *inspect.Options) { o.Terminal = &credential }, nil},
			{"40 KB in one file", variant{pace: pace(lds.ECDH, lds.GenericMapping, 13), ca: ecdh, ciphers: aes, files: large}, "PACE-ECDH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128", nil, nil},
			{"40 KB in short APDUs", variant{pace: pace(lds.ECDH, lds.GenericMapping, 13), ca: ecdh, ciphers: aes, files: large},
				"PACE-ECDH-GM-AES-CBC-CMAC-128", "CA-ECDH-AES-CBC-CMAC-128", nil, []chip.Habit{"short-only"}},
		} {
			doc, secrets := row.v.build(t, vn)
			documents = append(documents, document{row.name, vn, doc, secrets, row.access, row.chip, row.options, row.habits})
		}
		c := newCounter(t, service)
		for i, d := range documents {
			software := card(t, d.doc, d.secrets, d.habits...)
			if i == 0 {
				c.plug(software)
			}
			c.slot.put(software)
			t.Run(d.name, func(t *testing.T) {
				o := options(zone(d.secrets))
				if d.access != "BAC" {
					o.Passwords = can(d.secrets)
				}
				if d.options != nil {
					d.options(&o)
				}
				line := c.connect()
				defer line.Close()
				e, err := inspect.Read(c.ctx, line, o)
				if err != nil {
					t.Fatal(err)
				}
				r := inspect.Check(roundTrip(t, e), d.state.store(t), now)
				wantVerdict(t, r, inspect.Genuine)
				if got := r.Checks.AccessControl.Protocol; got != d.access {
					t.Errorf("opened by %s", got)
				}
				if got := r.Checks.ChipAuthentication; got.Protocol != d.chip || (got.Status == inspect.Passed) != (d.chip != "") {
					t.Errorf("proved by %s: %s", got.Protocol, got.Status)
				}
				if _, signs := d.doc.Get(lds.DG15); signs && r.Checks.ActiveAuthentication.Status != inspect.Passed {
					t.Errorf("no signature: %s", r.Checks.ActiveAuthentication.Reason)
				}
				for _, f := range d.doc.DataGroups() {
					want, _ := d.doc.Get(lds.File(f))
					if got := e.Files[lds.File(f).String()]; !bytes.Equal(got, want) {
						t.Errorf("DG%d has %d octets of %d", f, len(got), len(want))
					}
				}
			})
		}
		t.Run("wrong CAN", func(t *testing.T) {
			c.remove() // a reset takes no card for the first one that was put there unnoticed
			c.plug(card(t, vn.doc, vn.secrets))
			line := c.connect()
			defer line.Close()
			left := 0
			for try := range 2 {
				var wrong *reader.PasswordError
				_, err := inspect.Read(c.ctx, line, options(inspect.Passwords{CAN: "999999"}))
				if !errors.As(err, &wrong) || wrong.TriesLeft < 1 || try > 0 && wrong.TriesLeft != left-1 {
					t.Fatalf("%d left before: %v", left, err)
				}
				left = wrong.TriesLeft
				if err := line.Reset(c.ctx); err != nil {
					t.Fatal(err)
				}
			}
			wantVerdict(t, inspect.Check(read(t, line, can(vn.secrets)), vn.store(t), now), inspect.Genuine)
		})
	})
}

// TestTornOutThroughPCSC: a real service loses the card, or is itself killed, in
// the middle of a large file.
func TestTornOutThroughPCSC(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		vn, _ := states(t)
		v := variant{
			pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)},
			ca:   []perso.ChipKey{{Private: key(t, 13)}}, ciphers: []iso7816.Cipher{iso7816.AES128},
			files: map[lds.File][]byte{lds.DG13: tlv.Encode(0x6D, bytes.Repeat([]byte{0x5A}, 40_000))},
		}
		doc, secrets := v.build(t, vn)
		first, other := card(t, doc, secrets), card(t, vn.doc, vn.secrets)
		c := newCounter(t, service)
		c.plug(first)

		// interrupted begins a read, takes its card away in the middle of DG13,
		// puts one there, and gives what came of it all.
		interrupted := func(take, put func()) (*inspect.Evidence, tale, error) {
			t.Helper()
			line := c.connect()
			defer line.Close()
			type outcome struct {
				e   *inspect.Evidence
				err error
			}
			var told tale
			stopped := false
			middle, taken, ended := make(chan struct{}), make(chan struct{}), make(chan outcome, 1)
			o := options(can(secrets))
			o.Rejoin = 15 * time.Second
			o.Events = func(e inspect.Event) {
				switch {
				case e.Step == "DG13" && e.Type == inspect.EventBytes && !stopped:
					stopped = true
					close(middle)
					<-taken
				case e.Type == inspect.EventLost:
					told.lost++
				case e.Type == inspect.EventResumed:
					told.resumed++
					told.from = e.Bytes
				}
			}
			go func() {
				e, err := inspect.Read(c.ctx, line, o)
				ended <- outcome{e, err}
			}()
			select {
			case <-middle:
			case got := <-ended:
				t.Fatalf("the read ended before the middle: %v", got.err)
			}
			take()
			close(taken)
			put()
			select {
			case got := <-ended:
				return got.e, told, got.err
			case <-c.ctx.Done():
				t.Fatal("the read does not end")
				return nil, told, nil
			}
		}
		genuine := func(name string, e *inspect.Evidence, told tale, err error) {
			t.Helper()
			if err != nil || told.lost == 0 || told.resumed == 0 || told.from == 0 {
				t.Errorf("%s: %+v, %v", name, told, err)
				return
			}
			wantVerdict(t, inspect.Check(roundTrip(t, e), vn.store(t), now), inspect.Genuine)
		}

		e, told, err := interrupted(c.remove, func() { c.plug(first) })
		genuine("put back", e, told, err)

		_, told, err = interrupted(c.remove, func() { c.plug(other) })
		if !errors.Is(err, reader.ErrAnotherCard) || told.resumed != 0 {
			t.Errorf("another card: %+v, %v", told, err)
		}
		c.slot.put(first)

		e, told, err = interrupted(service.Stop, service.Start)
		genuine("service restarted", e, told, err)
	})
}
