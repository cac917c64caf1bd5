package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"chipid/card/eac"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/pace"
	"chipid/card/termauth"
	"chipid/pki/durable"
	"chipid/reader"
)

// evidenceFormat and evidenceVersion head every evidence file.
const (
	evidenceFormat  = "chipid-evidence"
	evidenceVersion = 1
)

// MaxEvidence bounds the size of an evidence file.
const MaxEvidence = 4 << 20

// maxText is more than any name of a reader, program or plan has.
const maxText = 1 << 10

// EvidenceFile is the name of the evidence in the folder that SaveEvidence
// writes.
const EvidenceFile = "evidence.cbor"

// ErrEvidence is wrapped by every error about the form of recorded evidence.
var ErrEvidence = errors.New("not a sound evidence file")

// Evidence is all that a check needs, as raw bytes: every file as the chip
// gave it and the transcripts of the protocols. It is collected by Read and
// decided on by Check, at once or years later on another machine.
//
// Its encoding is CBOR (RFC 8949, core deterministic): a map with the text
// keys below. Octets are byte strings, times are seconds since 1970.
type Evidence struct {
	Format  string    `cbor:"format"` // "chipid-evidence"
	Version int       `cbor:"version"`
	Origin  Origin    `cbor:"origin"`
	ReadAt  time.Time `cbor:"readAt,omitzero"`  // when the read began, by the reading station's clock
	EndedAt time.Time `cbor:"endedAt,omitzero"` // and when it ended
	Reader  string    `cbor:"reader,omitempty"`
	ATR     []byte    `cbor:"atr,omitempty"`

	Interface string `cbor:"interface,omitempty"` // contact, contactless; empty where the reader did not tell
	Program   string `cbor:"program,omitempty"`   // that read the chip, with its version
	Plan      string `cbor:"plan,omitempty"`      // what it was to read; empty: everything

	Files   map[string][]byte             `cbor:"files"`             // by name: EF_COM, EF_SOD, DG1, …
	Refused map[string]iso7816.StatusWord `cbor:"refused,omitempty"` // files asked for, and what the chip answered instead
	Faulty  map[string]string             `cbor:"faulty,omitempty"`  // files that could not be read as files, and why

	Access               Access                `cbor:"access"`
	ChipAuthentication   *ChipAuthentication   `cbor:"chipAuthentication,omitempty"`   // nil: not run
	ActiveAuthentication *ActiveAuthentication `cbor:"activeAuthentication,omitempty"` // nil: not run

	// One for each time that access was opened by PACE's chip authentication
	// mapping. EF.CardSecurity, which has the key, is among the files.
	ChipMappings           []pace.Transcript       `cbor:"chipMappings,omitempty"`
	Resumed                []Resumption            `cbor:"resumed,omitempty"`                // each time that the card was lost and the same chip came back
	Restarts               int                     `cbor:"restarts,omitempty"`               // how often the card was lost before it had proved anything, and read anew
	TerminalAuthentication *TerminalAuthentication `cbor:"terminalAuthentication,omitempty"` // nil: not run
	Traffic                reader.Traffic          `cbor:"traffic"`
}

// String, GoString and LogValue keep the holder out of logs and messages.
func (e Evidence) String() string {
	return fmt.Sprintf("evidence of %d files from %s (not shown)", len(e.Files), e.Origin)
}

func (e Evidence) GoString() string { return e.String() }

func (e Evidence) LogValue() slog.Value { return slog.StringValue(e.String()) }

// ChipAuthentication records a run of it, good or bad.
type ChipAuthentication struct {
	Protocol    string          `cbor:"protocol"`
	Transcript  *eac.Transcript `cbor:"transcript,omitempty"`  // of a run that went through
	Refused     string          `cbor:"refused,omitempty"`     // what the chip did instead
	Unsupported string          `cbor:"unsupported,omitempty"` // why this program did not run it
	Attempts    []AccessAttempt `cbor:"attempts,omitempty"`    // other offers that the chip refused, in order
}

// ActiveAuthentication records a run of it, good or bad.
type ActiveAuthentication struct {
	Challenge   []byte `cbor:"challenge"`
	Response    []byte `cbor:"response,omitempty"`
	Refused     string `cbor:"refused,omitempty"`
	Unsupported string `cbor:"unsupported,omitempty"`
}

// TerminalAuthentication records that this terminal proved its right to the
// chip, or why it could not. No document is the less genuine for having refused
// a terminal; but a record that says a chip has accepted what no chip accepts is
// none of a genuine chip.
type TerminalAuthentication struct {
	Terminal   string               `cbor:"terminal"`             // holder of the certificate
	Refused    string               `cbor:"refused,omitempty"`    // empty: the chip has accepted it
	Transcript *termauth.Transcript `cbor:"transcript,omitempty"` // as far as it came; not in older evidence
}

// Origin says where evidence comes from.
type Origin string

// The origins. Evidence of files alone can show that they are signed, never
// that the chip they came from is the one they were issued on.
const (
	OriginChip  Origin = "chip"
	OriginFiles Origin = "files"
)

// Access records how access to the chip was opened.
type Access struct {
	Protocol string          `cbor:"protocol,omitempty"` // the one that succeeded: PACE-…, BAC; empty for an open chip
	Password string          `cbor:"password,omitempty"` // CAN, MRZ, PIN or PUK; the password itself is not kept
	Attempts []AccessAttempt `cbor:"attempts,omitempty"` // those before it that did not, in order

	// OtherZone says that a machine readable zone was given to open the chip with
	// which is not the one in its DG1. Where Password is MRZ, it did open it.
	OtherZone bool `cbor:"otherZone,omitempty"`

	// Resumed says that the PIN was suspended, and the CAN went before it.
	Resumed bool `cbor:"resumed,omitempty"`

	// Parameters are the domain parameters of PACE where they were the card's own,
	// an AlgorithmIdentifier. EF.CardAccess, where they stand, is not signed.
	Parameters []byte `cbor:"parameters,omitempty"`
}

// AccessAttempt is a way in that was tried or passed over.
type AccessAttempt struct {
	Protocol string `cbor:"protocol"`
	Error    string `cbor:"error"`
}

// ReadingPlan is the plan by which the chip was read: what it leaves out was not
// asked for. The station says so, as it says all of the evidence, and nobody has
// signed it; see Policy.Plan.
func (e *Evidence) ReadingPlan() reader.Plan {
	plan, err := reader.ParsePlan(e.Plan)
	if err != nil {
		return reader.FullPlan // the empty one; no other comes out of ParseEvidence
	}
	return plan
}

// planText is how evidence says a plan: evidence from before there were plans
// was read in full.
func planText(p reader.Plan) string {
	if p == reader.FullPlan {
		return ""
	}
	return p.String()
}

// Document gives the files of the evidence as a document.
func (e *Evidence) Document() *lds.Document {
	doc := new(lds.Document)
	for name, raw := range e.Files {
		if f, ok := lds.FileByName(name); ok {
			doc.Set(f, raw)
		}
	}
	return doc
}

// EvidenceFromFiles makes evidence of files that did not come from a chip
// just now: a folder of raw files, a document that is about to be issued.
func EvidenceFromFiles(doc *lds.Document) *Evidence {
	e := newEvidence(OriginFiles)
	for _, f := range doc.Files() {
		raw, _ := doc.Get(f)
		e.Files[f.String()] = raw
	}
	return e
}

func newEvidence(origin Origin) *Evidence {
	return &Evidence{
		Format: evidenceFormat, Version: evidenceVersion, Origin: origin,
		Files: map[string][]byte{},
	}
}

// Marshal encodes the evidence.
func (e *Evidence) Marshal() ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeUnix
	enc, err := opts.EncMode()
	if err != nil {
		return nil, err
	}
	raw, err := enc.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the evidence: %w", err)
	}
	if len(raw) > MaxEvidence {
		return nil, fmt.Errorf("encode the evidence: %d octets are more than the %d that a reader of it takes", len(raw), MaxEvidence)
	}
	return raw, nil
}

// ParseEvidence decodes what Marshal made. It takes no other version, no
// unknown or repeated key, and nothing beyond MaxEvidence.
func ParseEvidence(raw []byte) (*Evidence, error) {
	if len(raw) > MaxEvidence {
		return nil, fmt.Errorf("%w: %d octets", ErrEvidence, len(raw))
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  256,
		MaxMapPairs:       256,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	e := new(Evidence)
	if err := dec.Unmarshal(raw, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Evidence) validate() error {
	switch {
	case e.Format != evidenceFormat:
		return fmt.Errorf("%w: its format is %.40q", ErrEvidence, e.Format)
	case e.Version != evidenceVersion:
		return fmt.Errorf("%w: it is of version %d, this program reads version %d", ErrEvidence, e.Version, evidenceVersion)
	case e.Origin != OriginChip && e.Origin != OriginFiles:
		return fmt.Errorf("%w: its origin is %.40q", ErrEvidence, e.Origin)
	}
	if e.Plan != "" {
		if plan, err := reader.ParsePlan(e.Plan); err != nil || planText(plan) != e.Plan {
			return fmt.Errorf("%w: its reading plan is %.40q", ErrEvidence, e.Plan)
		}
	}
	if !slices.Contains([]string{"", "CAN", zonePassword, "PIN", "PUK"}, e.Access.Password) {
		return fmt.Errorf("%w: no chip has a password called %.40q", ErrEvidence, e.Access.Password)
	}
	// Beyond these years no JSON can carry the time.
	for _, at := range []time.Time{e.ReadAt, e.EndedAt} {
		if y := at.UTC().Year(); !at.IsZero() && (y < 1 || y > 9999) {
			return fmt.Errorf("%w: it was read at no time that there is", ErrEvidence)
		}
	}
	for _, text := range []string{e.Reader, e.Interface, e.Program} {
		if len(text) > maxText {
			return fmt.Errorf("%w: a text in it has %d octets", ErrEvidence, len(text))
		}
	}
	if e.Restarts < 0 || e.Restarts+len(e.Resumed) > mostReturns {
		return fmt.Errorf("%w: its card was lost %d times", ErrEvidence, e.Restarts+len(e.Resumed))
	}
	for _, at := range e.Resumed {
		if at.Offset < 0 || at.Offset > reader.HardMaxFile || len(at.Step) > maxText {
			return fmt.Errorf("%w: it went on at %.40q, octet %d", ErrEvidence, at.Step, at.Offset)
		}
	}
	for _, names := range [][]string{
		slices.Collect(maps.Keys(e.Files)), slices.Collect(maps.Keys(e.Refused)), slices.Collect(maps.Keys(e.Faulty)),
	} {
		for _, name := range names {
			if _, ok := lds.FileByName(name); !ok {
				return fmt.Errorf("%w: no chip has a file %.40q", ErrEvidence, name)
			}
		}
	}
	for name, raw := range e.Files {
		if len(raw) > reader.HardMaxFile {
			return fmt.Errorf("%w: %s has %d octets", ErrEvidence, name, len(raw))
		}
	}
	return nil
}

// SaveEvidence writes the evidence into dir as EvidenceFile, and beside it
// the raw files under the names of reader.WriteDocument.
func SaveEvidence(dir string, e *Evidence) error {
	raw, err := e.Marshal()
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Evidence of another read must never stand beside these files.
	path := filepath.Join(dir, EvidenceFile)
	if err := durable.Remove(path); err != nil {
		return fmt.Errorf("remove older evidence: %w", err)
	}
	if err := reader.WriteDocument(dir, e.Document()); err != nil {
		return err
	}
	return durable.WriteFile(path, raw, 0o600)
}

// LoadEvidence reads evidence from a file or from a folder. In a folder the
// raw files are what is checked, and EvidenceFile, where there is one, adds
// how they were read: whoever changes a raw file changes the outcome.
func LoadEvidence(path string) (*Evidence, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the evidence: %w", err)
	}
	if !info.IsDir() {
		return loadFile(path)
	}
	doc, err := reader.ReadDocument(path)
	if err != nil {
		return nil, err
	}
	files := EvidenceFromFiles(doc)
	e, err := loadFile(filepath.Join(path, EvidenceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	e.Files = files.Files
	return e, nil
}

func loadFile(path string) (*Evidence, error) {
	raw, err := durable.ReadFile(path, MaxEvidence)
	if err != nil {
		return nil, fmt.Errorf("read the evidence: %w", err)
	}
	e, err := ParseEvidence(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return e, nil
}
