package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/pace"
	"chipid/card/perso"
	"chipid/reader"
	"chipid/reader/inspect"
)

// A chip that answers a wrong password with any status word has still counted the
// try. It is not given the same PIN by another offer, nor behind the application,
// nor behind the CAN: one wrong PIN of a holder costs one try.
func TestOnePINOneTry(t *testing.T) {
	vn, _ := states(t)
	doc, secrets := variant{pace: []lds.PACEInfo{
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 12),
		info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13),
		info(lds.ECDH, lds.IntegratedMapping, iso7816.AES128, 13),
	}}.build(t, vn)
	for _, answer := range [][]byte{{0x69, 0x85}, {0x6A, 0x80}, {0x6F, 0x00}, {0x69, 0x84}, {0x64, 0x00}, {0x90, 0x00}, {0x6F}} {
		t.Run(fmt.Sprintf("%X", answer), func(t *testing.T) {
			tries := 0
			c := card(t, doc, withPIN(secrets))
			line := &sloppy{Transport: reader.NewChipTransport(c)}
			line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
				response, err := s.pass(ctx, command)
				lastStep := bytes.HasPrefix(command, []byte{0x00, 0x86})
				if lastStep && bytes.HasPrefix(response, []byte{0x63}) {
					tries++
					return answer, nil
				}
				return response, err
			}
			_, err := inspect.Read(context.Background(), resettable{line}, options(inspect.Passwords{PIN: "000000", CAN: secrets.CAN}))
			if tries != 1 {
				t.Errorf("the PIN was tried %d times", tries)
			}
			var wrong *reader.PasswordError
			if !errors.Is(err, reader.ErrTried) && !errors.As(err, &wrong) && !errors.Is(err, pace.ErrAuthentication) {
				t.Errorf("the read ended with %v", err)
			}
			// Two tries would have suspended it.
			if _, err := tryPIN(c, holderPIN, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// The CAN may be counted too: of many offers two are tried with it at most, so that
// a chip that is broken in one of them still opens.
func TestTwoTriesOfACAN(t *testing.T) {
	vn, _ := states(t)
	v := variant{}
	for _, id := range []int{10, 11, 12, 13, 14} {
		v.pace = append(v.pace, info(lds.ECDH, lds.GenericMapping, iso7816.AES128, id))
	}
	doc, secrets := v.build(t, vn)
	for broken := range 3 {
		tries := 0
		line := &sloppy{Transport: reader.NewChipTransport(card(t, doc, secrets))}
		line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
			response, err := s.pass(ctx, command)
			if bytes.HasPrefix(command, []byte{0x00, 0x86}) {
				if tries++; tries <= broken {
					return []byte{0x6A, 0x80}, nil
				}
			}
			return response, err
		}
		_, err := inspect.Read(context.Background(), resettable{line}, options(can(secrets)))
		if opens := broken < 2; opens != (err == nil) || tries != min(broken+1, 2) {
			t.Errorf("%d broken offers: %d tries, %v", broken, tries, err)
		}
	}
}

// relay stands in for a chip without any access control: it reads out a genuine one,
// which it has opened itself, gives its files to whoever asks, and has it sign.
type relay struct {
	files   map[byte][]byte // by short identifier
	current []byte
	sign    func(ctx context.Context, challenge []byte) ([]byte, error)
}

func (r *relay) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c, err := iso7816.ParseCommand(command)
	if err != nil {
		return nil, err
	}
	ok := []byte{0x90, 0x00}
	switch {
	case c.INS == 0xA4 && c.P1 == 0x04:
		return ok, nil
	case c.INS == 0xB0 && c.P1&0x80 != 0:
		file, there := r.files[c.P1&0x1F]
		if !there {
			return []byte{0x6A, 0x82}, nil
		}
		r.current = file
		return append(bytes.Clone(file[:min(c.Ne, len(file))]), ok...), nil
	case c.INS == 0xB0:
		rest := r.current[min(int(c.P1)<<8|int(c.P2), len(r.current)):]
		return append(bytes.Clone(rest[:min(c.Ne, len(rest))]), ok...), nil
	case c.INS == 0x88:
		signature, err := r.sign(ctx, c.Data)
		return append(signature, ok...), err
	case c.INS == 0xA4:
		return []byte{0x6A, 0x82}, nil
	}
	return []byte{0x6D, 0x00}, nil
}

// Whoever reads with a machine readable zone has a card in hand on which it is
// printed. A chip of another zone is not that card's, whatever opened it, or though
// nothing had to.
func TestAnotherZoneThanGiven(t *testing.T) {
	_, utopia := states(t)
	ctx := context.Background()
	doc, secrets := older(t, utopia, national.AARSA)
	genuine := reader.NewChipTransport(card(t, doc, secrets))
	inner := reader.NewSession(genuine, reader.Options{Rand: rand.Reader})
	seed, err := bac.Seed(secrets.DocumentNumber, secrets.DateOfBirth, secrets.DateOfExpiry)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(inner.SelectApplication(ctx), inner.BAC(ctx, seed)); err != nil {
		t.Fatal(err)
	}
	stand := &relay{files: map[byte][]byte{}, sign: func(ctx context.Context, challenge []byte) ([]byte, error) {
		return inner.ActiveAuthentication(ctx, challenge, 0)
	}}
	for _, f := range doc.Files() {
		if raw, _ := doc.Get(f); !f.InMasterFile() {
			stand.files[f.ShortID()] = raw
		}
	}
	check := func(tr reader.Transport, p inspect.Passwords) *inspect.Report {
		return inspect.Check(roundTrip(t, read(t, tr, p)), utopia.store(t), now)
	}
	wantVerdict(t, check(stand, zone(secrets)), inspect.Genuine)
	printed := zone(secrets)
	printed.DocumentNumber = "L898902C3"
	wantReport(t, check(stand, printed), wanted{inspect.Undetermined, "accessControl", inspect.NotRun, "other_zone"})

	// Opened with the CAN, and the zone for a fall-back.
	vn, _ := states(t)
	both := can(vn.secrets)
	both.DocumentNumber, both.DateOfBirth, both.DateOfExpiry = printed.DocumentNumber, printed.DateOfBirth, printed.DateOfExpiry
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), both)
	wantReport(t, inspect.Check(roundTrip(t, e), vn.store(t), now), wanted{inspect.Undetermined, "accessControl", inspect.NotRun, "other_zone"})
}

// A zone in DG1 that no chip could make access keys of is another than the one
// that was given, whatever it is.
func TestZoneThatOpensNothing(t *testing.T) {
	_, utopia := states(t)
	doc, secrets := older(t, utopia, national.AANone)
	info, err := lds.DecodeDG1(must(doc.Get(lds.DG1)))
	if err != nil {
		t.Fatal(err)
	}
	born := []byte(info.DateOfBirth)
	dg1 := bytes.Replace(must(doc.Get(lds.DG1)), born, []byte("XXXXXX"), 1)
	doc.Set(lds.DG1, dg1)
	doc.Delete(lds.EFSOD)
	utopia.sign(t, doc)
	stand := &relay{files: map[byte][]byte{}}
	for _, f := range doc.Files() {
		if raw, _ := doc.Get(f); !f.InMasterFile() {
			stand.files[f.ShortID()] = raw
		}
	}
	e := read(t, stand, zone(secrets))
	wantReport(t, inspect.Check(roundTrip(t, e), utopia.store(t), now), wanted{inspect.Undetermined, "accessControl", inspect.NotRun, "other_zone"})
	wantVerdict(t, inspect.Check(read(t, stand, inspect.Passwords{}), utopia.store(t), now), inspect.Genuine) // nothing was given
}

// The number that gave the CAN must be that of the chip.
func TestAnotherNumberThanGiven(t *testing.T) {
	vn, _ := states(t)
	e := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	number := inspect.Check(e, vn.store(t), now).Document.Holder.Number
	if number == "" {
		t.Fatal("the document has no number")
	}
	wantVerdict(t, inspect.Policy{Number: number}.Check(e, vn.store(t), now), inspect.Genuine)
	for _, other := range []string{"999999" + number[6:], "0", number + "0"} {
		wantReport(t, inspect.Policy{Number: other}.Check(e, vn.store(t), now), wanted{inspect.Undetermined, "accessControl", inspect.NotRun, "other_number"})
	}
	foreign := inspect.EvidenceFromFiles(new(lds.Document))
	if r := (inspect.Policy{Number: number}).Check(foreign, vn.store(t), now); r.Checks.AccessControl.Code != "other_number" {
		t.Errorf("without a holder: %+v", r.Checks.AccessControl)
	}
}

// Numbers of another state may have twelve digits as well, and belong to others.
func TestNumberOfAnotherState(t *testing.T) {
	vn, utopia := states(t)
	namesake := anna
	namesake.Number = mai.Number
	doc, secrets := utopia.build(t, namesake, national.AAECDSA)
	e := read(t, reader.NewChipTransport(card(t, doc, secrets)), can(secrets))
	wantVerdict(t, inspect.Policy{Number: mai.Number}.Check(e, utopia.store(t), now), inspect.Genuine)
	wantReport(t, inspect.Policy{Number: mai.Number, State: "VNM"}.Check(e, utopia.store(t), now), wanted{inspect.Undetermined, "accessControl", inspect.NotRun, "other_number"})
	e = read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	wantVerdict(t, inspect.Policy{Number: mai.Number, State: "VNM"}.Check(e, vn.store(t), now), inspect.Genuine)
}

// That the chip refused a key stays told when its channel breaks later and it proves
// itself once more.
func TestRefusedKeysStayTold(t *testing.T) {
	vn, _ := states(t)
	doc, secrets := variant{
		pace:    []lds.PACEInfo{info(lds.ECDH, lds.GenericMapping, iso7816.AES128, 13)},
		ca:      []perso.ChipKey{{Private: key(t, 13), ID: big.NewInt(1)}, {Private: key(t, 15), ID: big.NewInt(2)}},
		ciphers: []iso7816.Cipher{iso7816.AES256, iso7816.TripleDES},
	}.build(t, vn)
	c := without(t, card(t, doc, secrets), 0)
	commands, breakAt := 0, -1
	line := &sloppy{Transport: reader.NewChipTransport(c)}
	line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
		response, err := s.pass(ctx, command)
		if commands++; commands == breakAt {
			response = bytes.Clone(response)
			response[len(response)/2] ^= 1
		}
		return response, err
	}
	for _, at := range []int{-1, 0} {
		if at == 0 {
			at = commands - 1
		}
		commands, breakAt = 0, at
		c.Reset()
		e := roundTrip(t, read(t, resettable{line}, can(secrets)))
		r := inspect.Check(e, vn.store(t), now)
		if check := r.Checks.ChipAuthentication; r.Verdict != inspect.Genuine || check.Code != "fallback" || !strings.Contains(check.Reason, "the chip refused CA-ECDH-AES") {
			t.Errorf("broken at %d: %s, %s: %s", at, r.Verdict, check.Code, check.Reason)
		}
	}
}

// A chip that breaks its channel and does not open again has not refused the file
// that was being read: nothing is read from it in the clear, and nothing is said of
// what it has.
func TestNotOpenedAgain(t *testing.T) {
	vn, _ := states(t)
	commands, broken := 0, false
	line := &sloppy{Transport: reader.NewChipTransport(card(t, vn.doc, vn.secrets))}
	line.answer = func(s *sloppy, ctx context.Context, command []byte) ([]byte, error) {
		if commands++; commands == 14 {
			broken = true
			return []byte{0x6A, 0x82}, nil
		}
		if broken && command[0]&0x0C == 0 {
			if command[1] == 0xB0 {
				t.Errorf("a file is read in the clear: % X", command)
			}
			return []byte{0x6A, 0x82}, nil
		}
		return s.pass(ctx, command)
	}
	e, err := inspect.Read(context.Background(), resettable{line}, options(can(vn.secrets)))
	if err == nil {
		t.Errorf("the read ended with %v, refused %v", e, e.Refused)
	}
}
