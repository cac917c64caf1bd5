package inspect_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
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
)

// torn is a line on which the card is torn out at certain commands, and another
// one, or the same, put back.
type torn struct {
	card reader.Transport
	at   func(n int) bool        // tear the card out at the n-th command, counted from 1
	back func() reader.Transport // what is put back; nil: nothing ever is
	n    int
	gone bool
}

func (t *torn) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if t.n++; t.at(t.n) {
		t.gone = true
	}
	if t.gone {
		return nil, fmt.Errorf("torn out at command %d: %w", t.n, reader.ErrCardLost)
	}
	return t.card.Transmit(ctx, command)
}

// MaxAPDU makes files come in several pieces, and not in too many.
func (t *torn) MaxAPDU() int { return 1024 }

func (t *torn) Reset(context.Context) error {
	if t.gone {
		return reader.ErrCardLost
	}
	return reset(t.card)
}

func reset(card reader.Transport) error {
	return card.(reader.Resetter).Reset(context.Background())
}

func (t *torn) Rejoin(ctx context.Context) error {
	if t.back == nil {
		<-ctx.Done()
		return errors.New("nobody put a card back")
	}
	t.card, t.gone = t.back(), false
	return reset(t.card)
}

func same(card reader.Transport) func() reader.Transport {
	return func() reader.Transport { return card }
}

func never(int) bool { return false }

func atCommand(n int) func(int) bool { return func(i int) bool { return i == n } }

// tale is what a read told of a card that was lost.
type tale struct {
	lost, resumed, anew int
	from                int // where the file went on
}

func readTorn(t testing.TB, line *torn, o inspect.Options) (*inspect.Evidence, tale, error) {
	t.Helper()
	var told tale
	o.Rejoin = time.Second
	o.Events = func(e inspect.Event) {
		switch e.Type {
		case inspect.EventLost:
			told.lost++
			if e.Wait != 1000 {
				t.Errorf("waited for %d ms", e.Wait)
			}
		case inspect.EventResumed:
			told.resumed++
			told.from = e.Bytes
		case inspect.EventAnew:
			told.anew++
		}
	}
	e, err := inspect.Read(context.Background(), line, o)
	return e, told, err
}

// tearable are documents that prove themselves in each way, and one that does
// in none.
type tearable struct {
	name    string
	state   state
	doc     *lds.Document
	secrets perso.Secrets
	options inspect.Options
	proves  bool
}

// older is a document as there were before chip authentication and PACE.
func older(t *testing.T, s state, aa national.AAKey) (*lds.Document, perso.Secrets) {
	t.Helper()
	doc, secrets := s.build(t, anna, aa)
	doc.Delete(lds.DG14)
	doc.Delete(lds.EFCardAccess)
	listAll(t, doc)
	s.sign(t, doc)
	secrets.ChipAuthentication = nil
	return doc, secrets
}

func tearables(t *testing.T) []tearable {
	t.Helper()
	vn, utopia := states(t)
	root, credential := inspectors(t, cvc.AllRights)
	gm := info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)
	ca := []perso.ChipKey{{Private: key(t, 12)}}
	cam := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.ChipAuthenticationMapping, iso7816.AES128, 12)}, mapping: key(t, 12)}
	camDoc, camSecrets := cam.build(t, vn)
	ta := variant{
		pace: []lds.PACEInfo{gm}, ca: ca, ciphers: []iso7816.Cipher{iso7816.AES128},
		files: map[lds.File][]byte{lds.DG3: tlv.Encode(0x63, bytes.Repeat([]byte{7}, 3000))}, trust: []*cvc.Certificate{root},
	}
	taDoc, taSecrets := ta.build(t, vn)
	taOptions := options(can(taSecrets))
	taOptions.Terminal = &credential
	signing, signingSecrets := older(t, utopia, national.AARSA)
	mute, muteSecrets := older(t, utopia, national.AANone)
	return []tearable{
		{"chip authentication", vn, vn.doc, vn.secrets, options(can(vn.secrets)), true},
		{"PACE-CAM", vn, camDoc, camSecrets, options(can(camSecrets)), true},
		{"terminal authentication", vn, taDoc, taSecrets, taOptions, true},
		{"active authentication", utopia, signing, signingSecrets, options(zone(signingSecrets)), true},
		{"no proof", utopia, mute, muteSecrets, options(zone(muteSecrets)), false},
	}
}

// A card that is torn out at any command of a read and put back is read to the
// end, with the same files and the same verdict, and what had come of a file
// does not come once more where the chip can prove that it is the same.
func TestTornOut(t *testing.T) {
	for _, tt := range tearables(t) {
		t.Run(tt.name, func(t *testing.T) {
			c := reader.NewChipTransport(card(t, tt.doc, tt.secrets))
			whole, err := inspect.Read(context.Background(), &torn{card: c, at: never}, tt.options)
			if err != nil {
				t.Fatal(err)
			}
			store := tt.state.store(t)
			want := inspect.Check(whole, store, now)
			wantVerdict(t, want, inspect.Genuine)
			resumed, midway := 0, 0
			for n := 1; n <= whole.Traffic.APDUs; n++ {
				e, told, err := readTorn(t, &torn{card: c, at: atCommand(n), back: same(c)}, tt.options)
				if err != nil {
					t.Fatalf("command %d: %v", n, err)
				}
				if told.lost != 1 || told.resumed+told.anew != 1 || len(e.Resumed) != told.resumed || e.Restarts != told.anew {
					t.Errorf("command %d: told %+v, kept %d resumptions and %d restarts", n, told, len(e.Resumed), e.Restarts)
				}
				if got := inspect.Check(roundTrip(t, e), store, now); got.Verdict != inspect.Genuine {
					t.Errorf("command %d: %s: %s", n, got.Verdict, got.Reason("en"))
				}
				if !maps.EqualFunc(e.Files, whole.Files, bytes.Equal) || !maps.Equal(e.Refused, whole.Refused) {
					t.Errorf("command %d: other files than of an undisturbed read", n)
				}
				if resumed += told.resumed; told.from > 0 {
					midway++
				}
				// Opening and proving anew, EF.SOD, and one piece twice.
				if extra := e.Traffic.APDUs - whole.Traffic.APDUs; told.resumed > 0 && extra > 32 {
					t.Errorf("command %d: %d commands more than an undisturbed read", n, extra)
				}
			}
			t.Logf("%d commands: went on after %d, in the middle of a file %d", whole.Traffic.APDUs, resumed, midway)
			if (resumed > 0) != tt.proves || tt.proves && midway == 0 {
				t.Errorf("went on after %d, in the middle of a file %d", resumed, midway)
			}
		})
	}
}

// Another card in place of the first, be it of somebody else or a copy, is
// refused, or read as what it is: nothing of the two is ever mixed.
func TestAnotherCardPutBack(t *testing.T) {
	vn, _ := states(t)
	other := mai
	other.Number, other.FullName = "001190000023", "Trần Thị Lan"
	otherDoc, otherSecrets := vn.build(t, other, national.AAECDSA)
	otherSecrets.CAN = vn.secrets.CAN
	closed := otherSecrets
	closed.CAN = "999999"
	store := vn.store(t)
	first := reader.NewChipTransport(card(t, vn.doc, vn.secrets))
	total := read(t, &torn{card: first, at: never}, can(vn.secrets)).Traffic.APDUs
	for _, tt := range []struct {
		name  string
		card  reader.Transport
		files *lds.Document
		sound inspect.Verdict // of the card alone
	}{
		{"somebody else's with the same CAN", reader.NewChipTransport(card(t, otherDoc, otherSecrets)), otherDoc, inspect.Genuine},
		{"somebody else's", reader.NewChipTransport(card(t, otherDoc, closed)), otherDoc, ""},
		{"a copy without the keys", &keyless{reader.NewChipTransport(card(t, vn.doc, vn.secrets)), t}, vn.doc, inspect.Rejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused, alone := 0, 0
			for n := 1; n <= total; n++ {
				e, told, err := readTorn(t, &torn{card: first, at: atCommand(n), back: same(tt.card)}, options(can(vn.secrets)))
				var wrong *reader.PasswordError
				switch {
				case errors.Is(err, reader.ErrAnotherCard):
					refused++
					continue
				case errors.As(err, &wrong) && tt.sound == "":
					alone++
					continue
				case err != nil:
					t.Fatalf("command %d: %v", n, err)
				}
				alone++
				if told.resumed != 0 || told.anew == 0 {
					t.Errorf("command %d: told %+v", n, told)
				}
				for name, raw := range e.Files {
					f, _ := lds.FileByName(name)
					if own, ok := tt.files.Get(f); ok && !bytes.Equal(own, raw) {
						t.Errorf("command %d: %s is not of the card that was put back", n, name)
					}
				}
				if got := inspect.Check(roundTrip(t, e), store, now); got.Verdict != tt.sound {
					t.Errorf("command %d: %s: %s", n, got.Verdict, got.Reason("en"))
				}
			}
			t.Logf("refused %d times, read by itself %d", refused, alone)
			if refused < 5 || alone < 5 {
				t.Errorf("refused %d times of %d, read by itself %d", refused, total, alone)
			}
		})
	}
}

// Another genuine card of the same CAN in place of one that had shown its EF.SOD and
// proved nothing yet: it opens, and is not taken for the first.
func TestAnotherCardBeforeAnyProof(t *testing.T) {
	vn, _ := states(t)
	other := mai
	other.Number, other.FullName = "001190000023", "Trần Thị Lan"
	otherDoc, otherSecrets := vn.build(t, other, national.AAECDSA)
	otherSecrets.CAN = vn.secrets.CAN
	first, second := reader.NewChipTransport(card(t, vn.doc, vn.secrets)), reader.NewChipTransport(card(t, otherDoc, otherSecrets))
	line := &torn{card: first, at: never}
	o, afterSOD := options(can(vn.secrets)), 0
	o.Events = func(e inspect.Event) {
		if e.Type == inspect.EventEnded && e.Step == "EF_SOD" {
			afterSOD = line.n + 1
		}
	}
	if _, err := inspect.Read(context.Background(), line, o); err != nil || afterSOD == 0 {
		t.Fatalf("EF.SOD ended at command %d, %v", afterSOD, err)
	}
	for _, back := range []reader.Transport{second, first} {
		if err := reset(first); err != nil {
			t.Fatal(err)
		}
		e, told, err := readTorn(t, &torn{card: first, at: atCommand(afterSOD), back: same(back)}, options(can(vn.secrets)))
		if back == second {
			if !errors.Is(err, reader.ErrAnotherCard) {
				t.Errorf("another card: %v", err)
			}
			continue
		}
		if err != nil || told.anew != 1 {
			t.Fatalf("the same card: %+v, %v", told, err)
		}
		wantVerdict(t, inspect.Check(roundTrip(t, e), vn.store(t), now), inspect.Genuine)
	}
}

// A card that proves the same key and shows another EF.SOD is not the one before,
// whoever has put one key into two cards.
func TestSameKeyAnotherDocument(t *testing.T) {
	vn, _ := states(t)
	v := variant{pace: []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12)}, ca: []perso.ChipKey{{Private: key(t, 12)}}, ciphers: []iso7816.Cipher{iso7816.AES128}}
	doc, secrets := v.build(t, vn)
	twinDoc, twinSecrets := v.build(t, vn) // signed anew
	first, twin := reader.NewChipTransport(card(t, doc, secrets)), reader.NewChipTransport(card(t, twinDoc, twinSecrets))
	at := atDG2(t, first, options(can(secrets)))
	for _, back := range []reader.Transport{first, twin} {
		if err := reset(first); err != nil {
			t.Fatal(err)
		}
		_, told, err := readTorn(t, &torn{card: first, at: at, back: same(back)}, options(can(secrets)))
		if back == first && (err != nil || told.resumed != 1) {
			t.Errorf("the same card: %+v, %v", told, err)
		}
		if back == twin && (!errors.Is(err, reader.ErrAnotherCard) || told.resumed != 0) {
			t.Errorf("its twin: %+v, %v", told, err)
		}
	}
}

// The evidence of a read that went on holds the proof of it, and without that
// proof, or with that of another chip, it is not genuine.
func TestResumedEvidence(t *testing.T) {
	for _, tt := range tearables(t) {
		if !tt.proves {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			c := reader.NewChipTransport(card(t, tt.doc, tt.secrets))
			e, told, err := readTorn(t, &torn{card: c, at: atDG2(t, c, tt.options), back: same(c)}, tt.options)
			if err != nil || told.resumed != 1 || len(e.Resumed) != 1 {
				t.Fatalf("%+v: %v", told, err)
			}
			store := tt.state.store(t)
			wantVerdict(t, inspect.Check(e, store, now), inspect.Genuine)
			raw, err := e.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			fresh := func() *inspect.Evidence {
				e, err := inspect.ParseEvidence(raw)
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			for name, change := range map[string]func(*inspect.Evidence) bool{
				"without its proof": func(e *inspect.Evidence) bool {
					e.Resumed[0].ChipAuthentication, e.Resumed[0].ActiveAuthentication = nil, nil
					if n := len(e.ChipMappings); n > 0 {
						e.ChipMappings = e.ChipMappings[:n-1]
					}
					return true
				},
				"with a changed transcript": func(e *inspect.Evidence) bool {
					if e.Resumed[0].ChipAuthentication == nil {
						return false
					}
					e.Resumed[0].ChipAuthentication.Response[12] ^= 1
					return true
				},
				"with a changed signature": func(e *inspect.Evidence) bool {
					if e.Resumed[0].ActiveAuthentication == nil {
						return false
					}
					e.Resumed[0].ActiveAuthentication.Response[12] ^= 1
					return true
				},
				"with another challenge": func(e *inspect.Evidence) bool {
					if e.Resumed[0].ActiveAuthentication == nil {
						return false
					}
					e.Resumed[0].ActiveAuthentication.Challenge[0] ^= 1
					return true
				},
			} {
				e := fresh()
				if !change(e) {
					continue
				}
				r := inspect.Check(e, store, now)
				if r.Verdict != inspect.Rejected || !slices.ContainsFunc(r.Deciding(), func(c inspect.NamedCheck) bool { return c.Code == "another_chip" }) {
					t.Errorf("%s: %s: %s", name, r.Verdict, r.Reason("en"))
				}
			}
		})
	}
}

// atDG2 tears a card out when half of the portrait has come.
func atDG2(t *testing.T, c reader.Transport, o inspect.Options) func(int) bool {
	t.Helper()
	line := &torn{card: c, at: never}
	from, to := 0, 0
	o.Events = func(e inspect.Event) {
		switch {
		case e.Step == "DG2" && e.Type == inspect.EventBegun:
			from = line.n
		case e.Step == "DG2" && e.Type == inspect.EventEnded:
			to = line.n
		}
	}
	if _, err := inspect.Read(context.Background(), line, o); err != nil {
		t.Fatal(err)
	}
	return atCommand((from + to + 1) / 2)
}

// However often a card is torn out, a read ends; and nobody waits who was not
// told to.
func TestLostForGood(t *testing.T) {
	vn, _ := states(t)
	c := reader.NewChipTransport(card(t, vn.doc, vn.secrets))
	midway := atDG2(t, c, options(can(vn.secrets)))
	_, told, err := readTorn(t, &torn{card: c, at: func(n int) bool { return n%7 == 0 }, back: same(c)}, options(can(vn.secrets)))
	if !errors.Is(err, reader.ErrCardLost) || told.lost == 0 || told.lost > 8 {
		t.Errorf("torn out at every seventh command: %+v, %v", told, err)
	}
	_, told, err = readTorn(t, &torn{card: c, at: midway}, options(can(vn.secrets)))
	if err == nil || told.lost != 1 {
		t.Errorf("not put back: %+v, %v", told, err)
	}
	line := &torn{card: c, at: midway, back: same(c)}
	if _, err := inspect.Read(context.Background(), line, options(can(vn.secrets))); !errors.Is(err, reader.ErrCardLost) || !line.gone {
		t.Errorf("not told to wait: %v", err)
	}
	// A line on which no card can come back.
	o := options(can(vn.secrets))
	o.Rejoin = time.Second
	plain := struct{ reader.Transport }{&torn{card: c, at: atCommand(12)}}
	if _, err := inspect.Read(context.Background(), plain, o); !errors.Is(err, reader.ErrCardLost) {
		t.Errorf("a line without return: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.Events = func(e inspect.Event) {
		if e.Type == inspect.EventLost {
			cancel()
		}
	}
	if _, err := inspect.Read(ctx, &torn{card: c, at: midway}, o); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted while waiting: %v", err)
	}
}

// Chips with the habits of the field come back as they are: what one is read
// with, it is read on with.
func TestTornOutSloppyChips(t *testing.T) {
	pace, _ := built(t)
	store := pace.store(t)
	for _, habit := range []chip.Habit{
		"short-only", "small-pieces", "extended-empty-protected", "extended-cut-256", "extended-drops-channel",
		"aa-cut-always", "select-mf-6d00", "select-p2-00-no-le", "sfi-none", "sfi-wrong", "sfi-not-current", "end-6b00",
		"pace-in-application", "pace-63cx-at-once", "card-access-trailing", "dg2-claims-less", "ca-3des-set-at", "forgets-once",
	} {
		t.Run(string(habit), func(t *testing.T) {
			o := options(zone(pace.secrets))
			c := reader.NewChipTransport(quirky(t, pace, habit))
			undisturbed, err := inspect.Read(context.Background(), &torn{card: c, at: never}, o)
			if err != nil {
				t.Fatal(err)
			}
			want := inspect.Check(undisturbed, store, now)
			c = reader.NewChipTransport(quirky(t, pace, habit))
			n := undisturbed.Traffic.APDUs * 3 / 4
			e, told, err := readTorn(t, &torn{card: c, at: atCommand(n), back: same(c)}, o)
			if err != nil {
				t.Fatalf("torn out at command %d of %d: %v", n, undisturbed.Traffic.APDUs, err)
			}
			got := inspect.Check(roundTrip(t, e), store, now)
			if got.Verdict != want.Verdict || got.Reason("en") != want.Reason("en") {
				t.Errorf("%s (%s), undisturbed %s (%s)", got.Verdict, got.Reason("en"), want.Verdict, want.Reason("en"))
			}
			if !maps.EqualFunc(e.Files, undisturbed.Files, bytes.Equal) {
				t.Error("other files than of an undisturbed read")
			}
			if told.resumed == 0 {
				t.Errorf("did not go on: %+v", told)
			}
		})
	}
}

// Whatever cards are put on the reader one after the other, and whenever each is
// torn out: what is genuine is of one card, and of one that is genuine.
func FuzzTornOut(f *testing.F) {
	f.Add([]byte{20, 0})
	f.Add([]byte{19, 0, 9, 1})
	f.Add([]byte{18, 1, 12, 0, 14, 2})
	f.Add([]byte{21, 2, 3, 0})
	f.Add([]byte{5, 1, 5, 1, 5, 1, 5, 1, 5, 1, 5, 1})
	vn, _ := states(f)
	other := mai
	other.Number, other.FullName = "001190000023", "Trần Thị Lan"
	otherDoc, otherSecrets := vn.build(f, other, national.AAECDSA)
	otherSecrets.CAN = vn.secrets.CAN
	mine, theirs := card(f, vn.doc, vn.secrets), card(f, otherDoc, otherSecrets)
	store := vn.store(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		cards := []reader.Transport{
			reader.NewChipTransport(mine), reader.NewChipTransport(theirs), &keyless{reader.NewChipTransport(mine), t},
		}
		// Two octets a loss: how many commands after the one before, and which
		// card is put back.
		at, next := 0, 0
		if len(script) > 0 {
			at = 1 + int(script[0])%40
		}
		line := &torn{card: cards[0]}
		line.at = func(n int) bool { return n == at }
		line.back = func() reader.Transport {
			which := 0
			if 2*next+1 < len(script) {
				which = int(script[2*next+1]) % len(cards)
			}
			if next++; 2*next < len(script) {
				at = line.n + 1 + int(script[2*next])%40
			}
			return cards[which]
		}
		mine.Reset()
		e, told, err := readTorn(t, line, options(can(vn.secrets)))
		if err != nil {
			return
		}
		if told.lost > 5 || told.lost < told.resumed+told.anew {
			t.Errorf("%+v", told)
		}
		r := inspect.Check(roundTrip(t, e), store, now)
		if r.Verdict != inspect.Genuine {
			return
		}
		same := func(doc *lds.Document) bool {
			for _, n := range doc.DataGroups() {
				if want, _ := doc.Get(lds.File(n)); !bytes.Equal(e.Files[lds.File(n).String()], want) {
					return false
				}
			}
			return true
		}
		if !same(vn.doc) && !same(otherDoc) {
			t.Errorf("genuine, and of neither card: %+v", told)
		}
	})
}

// Whoever put another card back must not get through by a signature that this
// program does not understand: some 2^19 numbers, one of them looks like one.
func TestResumedByUnknownSignature(t *testing.T) {
	_, utopia := states(t)
	doc, secrets := older(t, utopia, national.AARSA)
	c := reader.NewChipTransport(card(t, doc, secrets))
	e, told, err := readTorn(t, &torn{card: c, at: atDG2(t, c, options(zone(secrets))), back: same(c)}, options(zone(secrets)))
	if err != nil || told.resumed != 1 || len(e.Resumed) != 1 {
		t.Fatalf("%+v: %v", told, err)
	}
	wantVerdict(t, inspect.Check(e, utopia.store(t), now), inspect.Genuine)

	// In form by ISO/IEC 9796-2, with a hash function that nobody here knows.
	key := secrets.ActiveAuthentication.(*rsa.PrivateKey)
	f := bytes.Repeat([]byte{0x11}, key.Size())
	f[0] = 0x6A
	f[len(f)-2], f[len(f)-1] = 0x31, 0xCC
	strange := new(big.Int).Exp(new(big.Int).SetBytes(f), key.D, key.N).FillBytes(make([]byte, key.Size()))
	e.Resumed[0].ActiveAuthentication.Response = strange
	wantReport(t, inspect.Check(roundTrip(t, e), utopia.store(t), now),
		wanted{inspect.Rejected, "activeAuthentication", inspect.Failed, "another_chip"})
}
