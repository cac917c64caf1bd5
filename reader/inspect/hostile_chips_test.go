package inspect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"maps"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/dh"
	"chipid/reader"
	"chipid/reader/inspect"
)

// hostile is one way in which a chip swamps, stalls or fools its reader, and
// what comes of it. What it may cost is counted and not timed: commands, and
// memory asked for in all, which grows with the work that is done.
type hostile struct {
	files map[lds.File][]byte // in place of the chip's own
	mrz   bool                // opened with the zone, not the CAN
	lie   func(n int, command, honest []byte) []byte

	err  string // is in the error that ends the read; else
	want wanted // is what decides the report

	commands int // at most; 0: twice those of a sound read
}

// mostMemory is what any of them may have asked for by the end, in octets, and
// mostMallocs how many times.
const (
	mostMemory  = 32 << 20
	mostMallocs = 200_000
)

// lying answers for a chip, or has it answer.
type lying struct {
	chip *chip.Chip
	lie  func(n int, command, honest []byte) []byte
	n    int
}

func (l *lying) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer := l.chip.Process(command)
	if l.lie != nil {
		answer = l.lie(l.n, command, answer)
	}
	l.n++
	return answer, nil
}

func (l *lying) Reset(context.Context) error {
	l.chip.Reset()
	return nil
}

// secured tells a command under secure messaging.
func secured(command []byte) bool { return command[0]&0x0C != 0 }

func TestHostileChips(t *testing.T) {
	vn, _ := states(t)
	sound := card(t, vn.doc, vn.secrets)
	usual := &counting{Transport: &lying{chip: sound}}
	wantVerdict(t, inspect.Check(read(t, usual, can(vn.secrets)), vn.store(t), now), inspect.Genuine)

	efSOD := must(vn.doc.Get(lds.EFSOD))
	head, certificates, signers := splitSOD(t, efSOD)
	raw14 := must(vn.doc.Get(lds.DG14))
	infos14, err := lds.DecodeDG14(raw14)
	if err != nil {
		t.Fatal(err)
	}
	dg14 := func(change func(*lds.SecurityInfos)) map[lds.File][]byte {
		infos := infos14
		change(&infos)
		raw, err := lds.EncodeDG14(infos)
		if err != nil {
			t.Fatal(err)
		}
		return map[lds.File][]byte{lds.DG14: raw}
	}
	dg15 := func(spki []byte) map[lds.File][]byte {
		return map[lds.File][]byte{lds.DG15: tlv.Encode(tlv.Tag(lds.DG15.Tag()), spki)}
	}
	changed := wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"}
	damaged := wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "sod_malformed"}
	downgraded := wanted{inspect.Rejected, "accessControl", inspect.Failed, "downgrade"}
	genuine := wanted{verdict: inspect.Genuine}
	const broken = "secure messaging"
	anew := 4 * usual.apdus // a channel that broke is opened again, twice at most

	type row = map[string]hostile
	for group, rows := range map[string]row{
		"files without end, and lengths that lie": {
			"EF.SOD claims 2 GB":         {files: only(lds.EFSOD, []byte{0x77, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 1, 2}), want: wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "sod_unreadable"}},
			"DG2 claims 4 GB":            {files: only(lds.DG2, []byte{0x75, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2}), want: wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_unreadable"}},
			"DG2 ends before it should":  {files: only(lds.DG2, must(vn.doc.Get(lds.DG2))[:4000]), want: wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_unreadable"}},
			"EF.CardAccess claims 64 KB": {files: only(lds.EFCardAccess, []byte{0x31, 0x82, 0xFF, 0xFF, 0x30}), mrz: true, want: downgraded},
			"61xx for ever":              {lie: func(int, []byte, []byte) []byte { return []byte{0x61, 0xFF} }, err: "announces octets"},
			"9000 and nothing, for ever": {lie: func(int, []byte, []byte) []byte { return []byte{0x90, 0x00} }, err: "without the right kind of password"},
			"6Cxx for ever":              {lie: func(int, []byte, []byte) []byte { return []byte{0x6C, 0x10} }, err: "wrong Le", commands: 100},
			"64 KB to every command":     {lie: func(int, []byte, []byte) []byte { return append(make([]byte, 65536), 0x90, 0x00) }, err: "without the right kind of password"},
			"a megabyte":                 {lie: func(int, []byte, []byte) []byte { return make([]byte, 1<<20) }, err: "more than any real one"},
		},
		"nesting and counts": {
			"EF.SOD nested a thousand deep":        {files: only(lds.EFSOD, lds.EncodeSOD(nested(0x30, 1000))), want: damaged},
			"EF.SOD of indefinite lengths":         {files: only(lds.EFSOD, lds.EncodeSOD(bytes.Repeat([]byte{0x30, 0x80}, 15_000))), want: damaged},
			"EF.SOD with its certificate 40 times": {files: only(lds.EFSOD, joinSOD(head, bytes.Repeat(certificates, 40), signers)), want: genuine},
			"EF.SOD with its signer 16 times":      {files: only(lds.EFSOD, joinSOD(head, certificates, bytes.Repeat(signers, 16))), want: genuine},
			"EF.SOD with its signer 17 times":      {files: only(lds.EFSOD, joinSOD(head, certificates, bytes.Repeat(signers, 17))), want: damaged},
			"EF.SOD without a signer":              {files: only(lds.EFSOD, joinSOD(head, certificates, nil)), want: wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "bad_signature"}},
			"EF.SOD without a certificate":         {files: only(lds.EFSOD, joinSOD(head, nil, signers)), want: wanted{inspect.Undetermined, "passiveAuthentication", inspect.NotRun, "signature_unchecked"}},
			"DG1 nested a thousand deep":           {files: only(lds.DG1, nested(0x61, 1000)), want: changed},
			"DG2 with two thousand million faces":  {files: only(lds.DG2, tlv.Encode(0x75, tlv.Encode(0x7F61, tlv.Encode(0x02, []byte{0x7F, 0xFF, 0xFF, 0xFF})))), want: changed},
			"DG13 of ten thousand empty objects":   {files: only(lds.DG13, tlv.Encode(0x6D, bytes.Repeat([]byte{0x04, 0x00}, 10_000))), want: changed},
			"EF.COM of every tag, many times":      {files: only(lds.EFCOM, tlv.Encode(0x60, tlv.Encode(0x5F01, []byte("0107")), tlv.Encode(0x5F36, []byte("040000")), tlv.Encode(0x5C, bytes.Repeat([]byte{0x61, 0x75, 0x63}, 5000)))), want: genuine},
			"EF.CardAccess of 64 offers": {mrz: true, want: downgraded, commands: 3000, files: only(lds.EFCardAccess, securityInfos(t, func(i *lds.SecurityInfos) {
				for n := range 64 {
					i.PACE = append(i.PACE, lds.PACEInfo{Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128), Version: 2, HasParameterID: true, ParameterID: []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}[n%11]})
				}
			}))},
			"EF.CardAccess of two thousand offers": {files: only(lds.EFCardAccess, tlv.Encode(0x31, bytes.Repeat(securityInfos(t, func(i *lds.SecurityInfos) { i.PACE = infos14.PACE })[2:], 2000))), mrz: true,
				want: wanted{inspect.Rejected, "accessControl", inspect.Failed, "card_access_malformed"}, commands: 300},
			"DG14 of 30 keys in unknown groups of 4096 bits": {files: dg14(func(i *lds.SecurityInfos) {
				i.ChipAuthentication, i.ChipAuthenticationPublicKeys = nil, nil
				for n := range 30 {
					id := big.NewInt(int64(n))
					i.ChipAuthentication = append(i.ChipAuthentication, lds.ChipAuthenticationInfo{Protocol: lds.OIDChipAuthentication(lds.DH, iso7816.AES128), Version: 1, KeyID: id})
					i.ChipAuthenticationPublicKeys = append(i.ChipAuthenticationPublicKeys, lds.ChipAuthenticationPublicKeyInfo{
						Protocol: lds.OIDChipPublicKey(lds.DH), SubjectPublicKeyInfo: dhSPKI(numberOf(4096), big.NewInt(2), big.NewInt(3)), KeyID: id})
				}
			}), want: changed},
		},
		"keys that do not fit": {
			"DG14: a point off its curve": {files: dg14(func(i *lds.SecurityInfos) {
				k := i.ChipAuthenticationPublicKeys[0]
				k.SubjectPublicKeyInfo = bytes.Clone(k.SubjectPublicKeyInfo)
				k.SubjectPublicKeyInfo[len(k.SubjectPublicKeyInfo)-1] ^= 1
				i.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{k}
			}), want: changed},
			"DG14: DH with p-1": {files: dg14(dhKeyOf(func(p, g, q *big.Int) (*big.Int, *big.Int, *big.Int) {
				return p, g, new(big.Int).Sub(p, big.NewInt(1))
			})), want: changed},
			"DG14: DH with a composite p": {files: dg14(dhKeyOf(func(p, g, q *big.Int) (*big.Int, *big.Int, *big.Int) {
				return new(big.Int).Add(p, big.NewInt(2)), g, g
			})), want: changed},
			"DG14: DH modulo 1": {files: dg14(dhKeyOf(func(p, g, q *big.Int) (*big.Int, *big.Int, *big.Int) {
				return big.NewInt(1), g, g
			})), want: changed},
			"DG14: DH modulo 2^500000": {files: dg14(dhKeyOf(func(p, g, q *big.Int) (*big.Int, *big.Int, *big.Int) {
				return new(big.Int).Lsh(big.NewInt(1), 500_000), g, g
			})), want: wanted{inspect.Rejected, "passiveAuthentication", inspect.Failed, "data_group_changed"}},
			"DG15: a point off its curve": {files: dg15(offCurve(t)), want: changed},
			"DG15: infinity":              {files: dg15(ecSPKI([]byte{0})), want: changed},
			"DG15: RSA, e = 1":            {files: dg15(rsaSPKI(numberOf(2048), 1)), want: changed},
			"DG15: RSA, e even":           {files: dg15(rsaSPKI(numberOf(2048), 65536)), want: changed},
			"DG15: RSA, n even":           {files: dg15(rsaSPKI(new(big.Int).Lsh(big.NewInt(1), 2047), 3)), want: changed},
			"DG15: RSA, n of 32 bits":     {files: dg15(rsaSPKI(big.NewInt(0xFFFFFFFB), 3)), want: changed},
			"DG15: RSA, n of 200000 bits": {files: dg15(rsaSPKI(numberOf(200_000), 3)), want: changed},
		},
		"secure messaging dropped, weakened, repeated": {
			// Once: over a channel opened anew, the same signed data come.
			"an answer in plain":       {lie: spoilTenth(func([]byte) []byte { return []byte{0x61, 0x02, 0x5F, 0x1F, 0x90, 0x00} }, false), want: genuine, commands: anew},
			"9000 without a checksum":  {lie: spoilTenth(func([]byte) []byte { return []byte{0x90, 0x00} }, false), want: genuine, commands: anew},
			"noise for a ciphertext":   {lie: spoilTenth(scrambled, false), want: genuine, commands: anew},
			"the answer before, again": {lie: replayed(1), want: genuine, commands: anew},
			"one before that, again":   {lie: replayed(2), want: genuine, commands: anew},
			// Time and again: the read ends.
			"every answer in plain":          {lie: spoilTenth(func([]byte) []byte { return []byte{0x61, 0x02, 0x5F, 0x1F, 0x90, 0x00} }, true), err: broken, commands: anew},
			"9000 always without a checksum": {lie: spoilTenth(func([]byte) []byte { return []byte{0x90, 0x00} }, true), err: broken, commands: anew},
			"noise for every ciphertext":     {lie: spoilTenth(scrambled, true), err: broken, commands: anew},
			"the counter always one behind":  {lie: oneBehind(), err: broken, commands: anew},
			"the answers of another session": {lie: ofAnotherSession(t, vn), err: broken, commands: anew},
			"PACE hidden, BAC in its place":  {files: only(lds.EFCardAccess, nil), mrz: true, want: downgraded},
		},
	} {
		for name, h := range rows {
			t.Run(group+"/"+name, func(t *testing.T) {
				doc := clone(vn.doc)
				var edits []edit
				s := specimen{name: name, state: sound.State()}
				order := filesOf(t, s)
				for f, raw := range h.files {
					at := slices.Index(order, f)
					if at < 0 {
						t.Fatalf("the chip has no %v", f)
					}
					edits = append(edits, edit{where: firstFile + byte(at), what: replace, data: raw})
					doc.Set(f, raw)
				}
				m, ok := s.disturbed(t, edits)
				if !ok {
					t.Fatal("no chip can have such files")
				}
				o := options(can(vn.secrets))
				if h.mrz {
					o = options(zone(vn.secrets))
				}
				counted := &counting{Transport: &lying{chip: m.chip, lie: h.lie}}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				e, err := inspect.Read(context.Background(), counted, o)
				var r *inspect.Report
				if err == nil {
					r = inspect.Check(e, vn.store(t), now)
				}
				runtime.ReadMemStats(&after)

				most := h.commands
				if most == 0 {
					most = 2 * usual.apdus
				}
				memory, mallocs := after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
				if counted.apdus > most || memory > mostMemory || mallocs > mostMallocs {
					t.Errorf("%d commands (at most %d), %d kB of memory in %d pieces", counted.apdus, most, memory>>10, mallocs)
				}
				t.Logf("%d commands, %d kB in %d pieces: %v", counted.apdus, memory>>10, mallocs, err)
				if err != nil {
					if h.err == "" || !strings.Contains(err.Error(), h.err) || len(err.Error()) > 400 {
						t.Errorf("the read ends with: %v", err)
					}
					return
				}
				switch {
				case h.err != "":
					t.Errorf("the read does not end with %q but: %s", h.err, describe(r))
				case h.want.verdict == inspect.Genuine:
					wantVerdict(t, r, inspect.Genuine)
				default:
					wantReport(t, r, h.want)
				}
			})
		}
	}
}

func only(f lds.File, raw []byte) map[lds.File][]byte { return map[lds.File][]byte{f: raw} }

// nested is an object in an object, and so on.
func nested(tag tlv.Tag, depth int) []byte {
	var raw []byte
	for range depth {
		raw = tlv.Encode(tag, raw)
	}
	return raw
}

// filesOf lists the files of a chip in the order of its memory.
func filesOf(t testing.TB, s specimen) (files []lds.File) {
	t.Helper()
	for _, f := range memoryOf(t, s.state) {
		files = append(files, lds.File(f[1].(uint64)))
	}
	return files
}

func securityInfos(t testing.TB, fill func(*lds.SecurityInfos)) []byte {
	t.Helper()
	var i lds.SecurityInfos
	fill(&i)
	raw, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// numberOf is an odd number of so many bits, and not prime.
func numberOf(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	return n.Sub(n, big.NewInt(1))
}

func dhSPKI(p, g, y *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1})
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(p)
				b.AddASN1BigInt(g)
			})
		})
		var value cryptobyte.Builder
		value.AddASN1BigInt(y)
		b.AddASN1BitString(value.BytesOrPanic())
	})
	return b.BytesOrPanic()
}

// dhKeyOf makes DG14 offer one key modulo a prime, made of a standardised group.
func dhKeyOf(change func(p, g, q *big.Int) (prime, generator, public *big.Int)) func(*lds.SecurityInfos) {
	return func(i *lds.SecurityInfos) {
		group, ok := dh.ByDomainParameterID(2)
		if !ok {
			panic("no group 2")
		}
		p, g, y := change(group.Params())
		i.ChipAuthentication = []lds.ChipAuthenticationInfo{{Protocol: lds.OIDChipAuthentication(lds.DH, iso7816.AES128), Version: 1}}
		i.ChipAuthenticationPublicKeys = []lds.ChipAuthenticationPublicKeyInfo{{Protocol: lds.OIDChipPublicKey(lds.DH), SubjectPublicKeyInfo: dhSPKI(p, g, y)}}
	}
}

func rsaSPKI(n *big.Int, e int) []byte {
	raw, err := cert.MarshalPublicKey(&rsa.PublicKey{N: n, E: e}, false)
	if err != nil {
		panic(err)
	}
	return raw
}

func ecSPKI(point []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1})
			b.AddBytes(curve.BrainpoolP256r1().ExplicitParameters())
		})
		b.AddASN1BitString(point)
	})
	return b.BytesOrPanic()
}

func offCurve(t testing.TB) []byte {
	t.Helper()
	point := key(t, 13).PublicKey().Point.Bytes()
	point[len(point)-1] ^= 1
	return ecSPKI(point)
}

// spoilTenth changes the answer to the tenth command under secure messaging, and
// those after it too if it is to go on.
func spoilTenth(change func(honest []byte) []byte, goOn bool) func(int, []byte, []byte) []byte {
	met := 0
	return func(_ int, command, honest []byte) []byte {
		if secured(command) {
			if met++; met == 10 || met > 10 && goOn {
				return change(honest)
			}
		}
		return honest
	}
}

// replayed gives, in place of the tenth answer, the one so many before it.
func replayed(before int) func(int, []byte, []byte) []byte {
	var given [][]byte
	return func(_ int, command, honest []byte) []byte {
		if !secured(command) {
			return honest
		}
		given = append(given, honest)
		if len(given) == 10 {
			return given[len(given)-1-before]
		}
		return honest
	}
}

// oneBehind gives each answer from the tenth on to the command after it, as one
// whose counter is behind.
func oneBehind() func(int, []byte, []byte) []byte {
	var given [][]byte
	return func(_ int, command, honest []byte) []byte {
		if !secured(command) {
			return honest
		}
		given = append(given, honest)
		if len(given) > 9 {
			return given[len(given)-2]
		}
		return honest
	}
}

// scrambled keeps the frame of an answer and randomises what is in it.
func scrambled(honest []byte) []byte {
	out := bytes.Clone(honest)
	if len(out) > 16 {
		rand.Read(out[3 : len(out)-14])
	}
	return out
}

// ofAnotherSession gives the answers that the same chip gave in another session.
func ofAnotherSession(t testing.TB, of state) func(int, []byte, []byte) []byte {
	t.Helper()
	var given [][]byte
	recorder := &lying{chip: card(t, of.doc, of.secrets), lie: func(_ int, command, honest []byte) []byte {
		given = append(given, honest)
		return honest
	}}
	read(t, recorder, can(of.secrets))
	return func(n int, command, honest []byte) []byte {
		if secured(command) && n < len(given) {
			return given[n]
		}
		return honest
	}
}

// No quirk of the software chip, sloppy or hostile, costs more than a bound.
// TestQuirks holds what comes of each.
func TestQuirksStayInBounds(t *testing.T) {
	vn, _ := states(t)
	state := card(t, vn.doc, vn.secrets).State()
	store := vn.store(t)
	for _, h := range chip.Habits() {
		for name, p := range map[string]inspect.Passwords{"CAN": can(vn.secrets), "MRZ": zone(vn.secrets)} {
			c, err := chip.Load(state, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			c.Behave(h.Habit)
			counted := &counting{Transport: reader.NewChipTransport(c)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err = inspect.Policy{}.Inspect(context.Background(), counted, options(p), store)
			runtime.ReadMemStats(&after)
			memory, mallocs := after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
			if counted.apdus > 2000 || counted.octets > 9<<20 || memory > mostMemory || mallocs > mostMallocs {
				t.Errorf("%s, %s: %d commands, %d octets, %d kB of memory in %d pieces", h.Habit, name, counted.apdus, counted.octets, memory>>10, mallocs)
			}
			if err != nil && len(err.Error()) > 1500 {
				t.Errorf("%s, %s: an error of %d octets", h.Habit, name, len(err.Error()))
			}
		}
	}
}

// Each file as large as a reader takes it, full of what takes longest to follow:
// the work that a check does must not grow faster than the file.
func TestLargestFiles(t *testing.T) {
	vn, _ := states(t)
	store := vn.store(t)
	original := read(t, reader.NewChipTransport(card(t, vn.doc, vn.secrets)), can(vn.secrets))
	const room = reader.DefaultMaxFile - 64
	fill := func(pattern ...byte) []byte { return bytes.Repeat(pattern, room/len(pattern)) }
	long := func(tag byte) []byte { return tlv.Encode(tlv.Tag(tag), bytes.Repeat([]byte{0x77}, room)) }
	contents := map[string][]byte{
		"empty octet strings":        fill(0x04, 0x00),
		"indefinite lengths, open":   fill(0x30, 0x80),
		"indefinite lengths, closed": append(bytes.Repeat([]byte{0x30, 0x80}, room/4), make([]byte, room/2)...),
		"pieces of pieces":           fill(append(append(bytes.Repeat([]byte{0x24, 0x80}, 30), 4, 1, 7), make([]byte, 60)...)...),
		"sequences in one another":   nested(0x30, room/5),
		"object identifiers":         fill(0x06, 0x03, 0x2A, 0x03, 0x04),
		"one long object identifier": long(0x06),
		"names":                      fill(0x5F, 0x0E, 0x01, 'A'),
		"biometric templates":        fill(0x7F, 0x60, 0x00),
		"offers of PACE":             fill(0x30, 0x12, 0x06, 0x0A, 0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04, 0x02, 0x02, 0x02, 0x01, 0x02, 0x02, 0x01, 0x0D),
		"fillers":                    fill('<'),
	}
	within := map[lds.File][]tlv.Tag{ // what a file's content stands in, where that is one more object
		lds.DG1: {0x5F1F}, lds.DG2: {0x7F61}, lds.DG11: {0x5F0E}, lds.DG12: {0x5F19}, lds.DG14: {0x31}, lds.DG15: {0x30}, lds.EFSOD: {0x30}, lds.EFCOM: {0x5C},
	}
	for _, f := range lds.Files() {
		for name, content := range contents {
			raws := [][]byte{content}
			if f.Tag() != 0 {
				raws = [][]byte{tlv.Encode(tlv.Tag(f.Tag()), content)}
			}
			for _, tag := range within[f] {
				raws = append(raws, tlv.Encode(tlv.Tag(f.Tag()), tlv.Encode(tag, content)))
			}
			for _, raw := range raws {
				e := *original
				e.Files = maps.Clone(original.Files)
				e.Files[f.String()] = raw
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				r := inspect.Check(&e, store, now)
				runtime.ReadMemStats(&after)
				if memory, mallocs := after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs; memory > 16<<20 || mallocs > 30_000 {
					t.Errorf("%v of %s: %d kB of memory in %d pieces", f, name, memory>>10, mallocs)
				}
				if n, ok := f.DataGroup(); ok && r.Verdict != inspect.Rejected {
					t.Errorf("DG%d of %s: %s", n, name, describe(r))
				}
			}
		}
	}
}

// What a chip puts into a message is cut, and cannot steer a terminal: an object
// identifier of thousands of numbers, escape sequences in the name of a signer.
func TestMessagesAreCut(t *testing.T) {
	vn, _ := states(t)
	long := asn1.ObjectIdentifier{1, 2}
	for range 3000 {
		long = append(long, 1<<28)
	}
	var parameters cryptobyte.Builder
	parameters.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(long) })
	pace := lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128)
	doc := clone(vn.doc)
	doc.Set(lds.EFCardAccess, securityInfos(t, func(i *lds.SecurityInfos) {
		i.PACE = []lds.PACEInfo{{Protocol: pace, Version: 2, HasParameterID: true, ParameterID: 77}}
		i.PACEDomainParameters = []lds.PACEDomainParameterInfo{{Protocol: pace[:len(pace)-1], Parameters: parameters.BytesOrPanic(), ParameterID: 77, HasParameterID: true}}
	}))
	c := card(t, doc, vn.secrets)
	_, err := inspect.Read(context.Background(), reader.NewChipTransport(c), options(can(vn.secrets)))
	if err == nil || len(err.Error()) > 1500 || !errors.Is(err, inspect.ErrNoPassword) {
		t.Errorf("the read ends with %.200v", err)
	}
	c.Reset()
	e := read(t, reader.NewChipTransport(c), zone(vn.secrets))
	e.Refused = map[string]iso7816.StatusWord{}
	e.Faulty = map[string]string{"EF_SOD": strings.Repeat("\x1b[2J", 1000)}
	delete(e.Files, "EF_SOD")
	r := inspect.Check(e, vn.store(t), now)
	for _, check := range r.Checks.All() {
		for _, text := range []string{check.Text("en"), check.Text("vi"), check.Detail} {
			if len(text) > 3000 || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("%s says %d octets: %.100q", check.Name, len(text), text)
			}
		}
	}
	for _, a := range e.Access.Attempts {
		if len(a.Error) > 3000 {
			t.Errorf("an attempt is told in %d octets", len(a.Error))
		}
	}
	if len(e.Access.Attempts) == 0 || r.Checks.PassiveAuthentication.Detail == "" {
		t.Error("nothing is told that could be too long")
	}
}

// A chip that answers one octet a second: the read ends when its time is over,
// not when the chip has done. The clock is not the real one.
func TestChipThatAnswersSlowly(t *testing.T) {
	vn, _ := states(t)
	c, store := card(t, vn.doc, vn.secrets), vn.store(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		slow := &counting{Transport: &slowChip{chip: c}}
		_, _, err := inspect.Policy{}.Inspect(ctx, slow, options(can(vn.secrets)), store)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the read ends with %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		if slow.apdus > 40 {
			t.Errorf("%d commands in a minute of one octet a second", slow.apdus)
		}
	})
}

// slowChip takes a second for each octet of an answer, and is given up in the
// midst of one, as reader/pcsc gives up a card.
type slowChip struct{ chip *chip.Chip }

func (s *slowChip) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer := s.chip.Process(command)
	select {
	case <-time.After(time.Duration(len(answer)) * time.Second):
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slowChip) Reset(ctx context.Context) error {
	s.chip.Reset()
	return ctx.Err()
}

// A read that fails leaves nothing running: a bubble with a goroutine that waits
// for ever does not end.
func TestNothingRunsOn(t *testing.T) {
	vn, _ := states(t)
	c := card(t, vn.doc, vn.secrets)
	total := read(t, reader.NewChipTransport(c), can(vn.secrets)).Traffic.APDUs
	store := vn.store(t)
	for n := 1; n <= total; n++ {
		c.Reset()
		synctest.Test(t, func(t *testing.T) {
			tr := &faulty{reader.NewChipTransport(c), n, func([]byte) ([]byte, error) { return nil, errTorn }}
			if _, _, err := (inspect.Policy{}).Inspect(context.Background(), tr, options(can(vn.secrets)), store); !errors.Is(err, errTorn) {
				t.Fatalf("torn at command %d of %d: %v", n, total, err)
			}
		})
	}
}
