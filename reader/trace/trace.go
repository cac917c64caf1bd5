// Package trace keeps what went over the wire between reader and chip: it
// records it, reads it back, replays it, and shows it as a person reads APDUs.
//
// A trace is for finding out why a card and a reader do not understand each
// other, and so it goes from hand to hand: into mails, onto trackers. Therefore
// it is masked unless somebody asks for all of it. A masked trace shows the
// header and the lengths of every command, the length and the status word of
// every response, and when each went; of the data it shows the names in SELECT
// and nothing else. Neither data groups nor anything made from what is printed
// on the card (the cryptograms of BAC and PACE, the MACs of secure messaging)
// is in it: from these a MRZ could be found by trying all there are.
//
// A whole trace has every octet, and what went under secure messaging in the
// clear beside it. It can be replayed in place of the card (NewReplay), which
// makes of a card that is seen once a test for ever. Between the two is a trace
// that shows everything but the keys and passwords that personalisation puts on
// a card: these are on no disk unsealed, and nobody needs them to find out why a
// card does not take them.
package trace

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
)

// Bounds of a trace. A session of package reader stays within them.
const (
	MaxExchanges = 120_000
	MaxOctets    = 16 << 20 // of all APDUs together, hidden ones counted
	MaxTrace     = 48 << 20 // of the file

	maxAPDU = iso7816.MaxExtendedNe + 16 // more than any APDU of ISO/IEC 7816-3
	maxLine = 2*maxAPDU + 64
	maxWord = 256 // octets of a reader's name, an ATR, an error
	maxTime = 1000 * time.Hour
)

var (
	// ErrFormat says that a file is no trace, or a damaged one.
	ErrFormat = errors.New("no sound chipid trace")
	// ErrBounds says that a trace is larger than any is.
	ErrBounds = errors.New("a trace beyond its bounds")
)

const (
	magic      = "chipid-trace 1 "
	startStamp = "2006-01-02T15:04:05.000000Z"
)

// Mask is what a trace leaves out.
type Mask string

// The masks. The empty one is MaskData.
const (
	MaskData    Mask = "masked"      // the data of commands and answers
	MaskKeys    Mask = "keys-masked" // of commands that may put a key or a password on a card; personal data is shown
	MaskNothing Mask = "whole"
)

// Trace is one recorded conversation.
type Trace struct {
	Mask       Mask
	Start      time.Time
	Reader     string // empty where it is not told
	ATR        []byte
	MaxAPDU    int  // octets of data that the reader takes in one APDU; 0: it does not say
	Resettable bool // the transport could reset the card
	Exchanges  []Exchange
	Complete   bool // false: the recording was cut off
}

// Exchange is a command and what came of it, or a reset of the card, or the
// wait for a card that was lost.
type Exchange struct {
	At, Took time.Duration // since Start; until the answer
	Reset    bool          // a reset, and no command
	Rejoin   bool          // a wait for a card, and no command
	Command  Message
	Response Message // of length 0 where Failure says why, or the recording was cut off
	Failure  string  // of the transport, not of the card
	Lost     bool    // with Failure: the card was lost by it
	Open     bool    // cut off before the outcome
	Plain    *Plain  // nil where it went in the clear anyway, and in a masked trace
}

// Plain is a command and its answer inside secure messaging.
type Plain struct {
	Command  Message
	Response Message // of length 0 where the recording was cut off before it
}

// Message is an APDU of which some octets may be hidden.
type Message struct {
	octets []byte // zero where hidden
	hidden []span // in order, apart from each other
}

type span struct{ from, n int }

// Len counts the octets, hidden ones too.
func (m Message) Len() int { return len(m.octets) }

// Masked tells whether some octets are hidden.
func (m Message) Masked() bool { return len(m.hidden) > 0 }

// shows tells whether no octet of a range is hidden.
func (m Message) shows(from, n int) bool {
	for _, h := range m.hidden {
		if h.from < from+n && from < h.from+h.n {
			return false
		}
	}
	return from+n <= len(m.octets)
}

func (m *Message) hide(from, n int) {
	if n > 0 {
		clear(m.octets[from : from+n])
		m.hidden = append(m.hidden, span{from, n})
	}
}

// String writes shown octets in hexadecimal, and hidden ones as their number:
// 0CB081000D[13]00.
func (m Message) String() string {
	var b strings.Builder
	at := 0
	for _, h := range m.hidden {
		fmt.Fprintf(&b, "%X[%d]", m.octets[at:h.from], h.n)
		at = h.from + h.n
	}
	fmt.Fprintf(&b, "%X", m.octets[at:])
	return b.String()
}

// MarshalText is String.
func (m Message) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func parseMessage(s string) (Message, error) {
	var m Message
	for s != "" {
		if s[0] != '[' {
			shown, _, _ := strings.Cut(s, "[")
			octets, err := hex.DecodeString(shown)
			if err != nil || strings.ToUpper(shown) != shown {
				return m, errors.New("an APDU is not in hexadecimal")
			}
			m.octets, s = append(m.octets, octets...), s[len(shown):]
			continue
		}
		count, rest, closed := strings.Cut(s[1:], "]")
		n, err := strconv.Atoi(count)
		if err != nil || !closed || n < 1 || n > maxAPDU || strconv.Itoa(n) != count {
			return m, errors.New("a number of hidden octets is none")
		}
		if last := len(m.hidden) - 1; last >= 0 && m.hidden[last].from+m.hidden[last].n == len(m.octets) {
			return m, errors.New("hidden octets stand apart that belong together")
		}
		m.hidden = append(m.hidden, span{len(m.octets), n})
		if len(m.octets)+n > maxAPDU {
			return m, ErrBounds
		}
		m.octets, s = append(m.octets, make([]byte, n)...), rest
	}
	if len(m.octets) > maxAPDU {
		return m, ErrBounds
	}
	return m, nil
}

// whole is a message of which nothing is hidden.
func whole(b []byte) Message { return Message{octets: bytes.Clone(b)} }

// command is a command under a mask: what it leaves out is the data field, and
// all of one that is malformed.
func (k Mask) command(b []byte) Message {
	m := whole(b)
	if k == MaskNothing {
		return m
	}
	shown := publicName
	if k == MaskKeys {
		shown = keyless
	}
	c, err := iso7816.ParseCommand(b)
	switch {
	case err != nil:
		m.hide(0, len(b))
	case len(c.Data) > 0 && !shown(c):
		m.hide(dataOffset(c, b), len(c.Data))
	}
	return m
}

// response is an answer under a mask: MaskData hides all but the status word.
func (k Mask) response(b []byte) Message {
	m := whole(b)
	if k == MaskData {
		m.hide(0, max(0, len(b)-2))
		if len(b) < 2 {
			m.hide(0, len(b))
		}
	}
	return m
}

// keyless tells the commands that put no key and no password on a card. It
// lists those that do not, since who makes a card may have made commands too.
func keyless(c iso7816.Command) bool {
	if c.CLA&0x80 != 0 {
		return false
	}
	switch c.INS {
	case insSelect, insReadBinary, insReadBinaryOdd, insGetResponse, insManageEnvironment, insPerformSecurityOperation,
		insExternalAuthenticate, insGetChallenge, insGeneralAuthenticate, insInternalAuthenticate, insGetData, insGetDataOdd,
		perso.InsUpdateBinary, perso.InsUpdateBinaryOdd, perso.InsCreateFile:
		return true
	case perso.InsPutData:
		object := uint16(c.P1)<<8 | uint16(c.P2)
		return object == perso.PutHabits || object == perso.PutTrust
	}
	return false
}

// dataOffset is where the data field begins: behind the header and Lc, which
// has three octets in the extended form (ISO/IEC 7816-3 §12.1.3).
func dataOffset(c iso7816.Command, b []byte) int {
	if len(c.Data) > 0 && b[4] == 0 {
		return 7
	}
	return 5
}

// publicName tells a SELECT in the clear of the application or of one of its
// files: their names are the same for every card.
func publicName(c iso7816.Command) bool {
	if c.CLA != 0 || c.INS != insSelect {
		return false
	}
	_, known := fileByID(c.Data)
	return known || bytes.Equal(c.Data, lds.EMRTDApplication()) || bytes.Equal(c.Data, masterFile)
}

var masterFile = []byte{0x3F, 0x00}

// header is the part of the file in front of the exchanges.
func (t *Trace) header() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\nstart %s\n", magic, t.Mask, t.Start.UTC().Format(startStamp))
	if t.Reader != "" {
		fmt.Fprintf(&b, "reader %s\n", strconv.QuoteToASCII(t.Reader))
	}
	if len(t.ATR) > 0 {
		fmt.Fprintf(&b, "atr %X\n", t.ATR)
	}
	if t.MaxAPDU > 0 {
		fmt.Fprintf(&b, "maxapdu %d\n", t.MaxAPDU)
	}
	if t.Resettable {
		b.WriteString("resettable\n")
	}
	return b.String()
}

func stamp(d time.Duration) string {
	us := d.Microseconds()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

func parseStamp(s string) (time.Duration, error) {
	whole, part, ok := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 32)
	micros, err2 := strconv.ParseUint(part, 10, 32)
	d := time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond
	if !ok || err != nil || err2 != nil || d > maxTime || stamp(d) != s {
		return 0, errors.New("a time is none")
	}
	return d, nil
}

func (x *Exchange) request() string {
	switch {
	case x.Reset:
		return stamp(x.At) + " reset\n"
	case x.Rejoin:
		return stamp(x.At) + " rejoin\n"
	}
	return stamp(x.At) + " > " + x.Command.String() + "\n"
}

func (x *Exchange) outcome() string {
	at := stamp(x.At + x.Took)
	switch {
	case x.Lost:
		return at + " lost " + strconv.QuoteToASCII(x.Failure) + "\n"
	case x.Failure != "":
		return at + " ! " + strconv.QuoteToASCII(x.Failure) + "\n"
	case x.Reset || x.Rejoin:
		return at + " done\n"
	}
	return at + " < " + x.Response.String() + "\n"
}

func (p *Plain) lines(at time.Duration) string {
	text := stamp(at) + " plain > " + p.Command.String() + "\n"
	if p.Response.Len() > 0 {
		text += stamp(at) + " plain < " + p.Response.String() + "\n"
	}
	return text
}

// Marshal writes the trace as Read reads it.
func (t *Trace) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(t.header())
	for i := range t.Exchanges {
		x := &t.Exchanges[i]
		b.WriteString(x.request())
		if !x.Open {
			b.WriteString(x.outcome())
		}
		if x.Plain != nil {
			b.WriteString(x.Plain.lines(x.At + x.Took))
		}
	}
	if t.Complete {
		fmt.Fprintf(&b, "end %d\n", len(t.Exchanges))
	}
	return b.Bytes()
}

// Read reads a trace. One that was cut off, be it within a line, is taken as
// far as it goes, and is not Complete.
func Read(r io.Reader) (*Trace, error) {
	d := decoder{in: bufio.NewReaderSize(io.LimitReader(r, MaxTrace+1), maxLine)}
	t, err := d.trace()
	if err != nil {
		return nil, fmt.Errorf("read the trace, line %d: %w", d.line, err)
	}
	return t, nil
}

type decoder struct {
	in     *bufio.Reader
	line   int
	size   int // of the file so far
	octets int // of APDUs so far
	t      Trace
}

// next gives one line without its end; io.EOF behind the last whole one.
func (d *decoder) next() (string, error) {
	raw, err := d.in.ReadSlice('\n')
	d.line++
	if d.size += len(raw); d.size > MaxTrace {
		return "", ErrBounds
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("%w: the line is too long", ErrFormat)
	case err != nil:
		return "", err // io.EOF, or what the file system says
	}
	return string(raw[:len(raw)-1]), nil
}

func (d *decoder) trace() (*Trace, error) {
	line, err := d.head()
	var last time.Duration
	for ; err == nil; line, err = d.next() {
		if d.t.Complete {
			return nil, fmt.Errorf("%w: something stands behind its end", ErrFormat)
		}
		if count, ok := strings.CutPrefix(line, "end "); ok {
			if count != strconv.Itoa(len(d.t.Exchanges)) || d.open() != nil {
				return nil, fmt.Errorf("%w: exchanges are missing", ErrFormat)
			}
			d.t.Complete = true
			continue
		}
		at, rest, _ := strings.Cut(line, " ")
		now, err := parseStamp(at)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if now < last {
			return nil, fmt.Errorf("%w: time runs backwards", ErrFormat)
		}
		last = now
		if err := d.event(now, rest); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if d.t.Start.IsZero() {
		return nil, fmt.Errorf("%w: it has no beginning", ErrFormat)
	}
	return &d.t, nil
}

// head reads the header and gives the first line behind it.
func (d *decoder) head() (string, error) {
	line, err := d.next()
	if err != nil {
		return "", err
	}
	switch kind, ok := strings.CutPrefix(line, magic); {
	case ok && slices.Contains([]Mask{MaskData, MaskKeys, MaskNothing}, Mask(kind)):
		d.t.Mask = Mask(kind)
	case strings.HasPrefix(line, "chipid-trace "):
		return "", fmt.Errorf("%w: it is of another version; this program reads version 1", ErrFormat)
	default:
		return "", fmt.Errorf("%w: it begins with something else", ErrFormat)
	}
	if line, err = d.next(); err != nil {
		return "", err
	}
	start, ok := strings.CutPrefix(line, "start ")
	if d.t.Start, err = time.Parse(startStamp, start); err != nil || !ok || d.t.Start.IsZero() || d.t.Start.Format(startStamp) != start {
		return "", fmt.Errorf("%w: when it starts is not told", ErrFormat)
	}
	if line, err = d.next(); err != nil {
		return "", err
	}
	if text, ok := strings.CutPrefix(line, "reader "); ok {
		if d.t.Reader, err = unquote(text); err != nil {
			return "", fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if line, err = d.next(); err != nil {
			return "", err
		}
	}
	if text, ok := strings.CutPrefix(line, "atr "); ok {
		if d.t.ATR, err = hex.DecodeString(text); err != nil || len(d.t.ATR) == 0 || len(d.t.ATR) > maxWord || strings.ToUpper(text) != text {
			return "", fmt.Errorf("%w: the ATR is none", ErrFormat)
		}
		if line, err = d.next(); err != nil {
			return "", err
		}
	}
	if text, ok := strings.CutPrefix(line, "maxapdu "); ok {
		if d.t.MaxAPDU, err = strconv.Atoi(text); err != nil || d.t.MaxAPDU < 1 || d.t.MaxAPDU > maxAPDU || strconv.Itoa(d.t.MaxAPDU) != text {
			return "", fmt.Errorf("%w: what the reader takes is no number", ErrFormat)
		}
		if line, err = d.next(); err != nil {
			return "", err
		}
	}
	if d.t.Resettable = line == "resettable"; d.t.Resettable {
		return d.next()
	}
	return line, nil
}

func unquote(s string) (string, error) {
	text, err := strconv.Unquote(s)
	if err != nil || text == "" || len(text) > maxWord || strconv.QuoteToASCII(text) != s {
		return "", errors.New("a text is not in quotes")
	}
	return text, nil
}

// open is the exchange whose outcome is to come.
func (d *decoder) open() *Exchange {
	if n := len(d.t.Exchanges); n > 0 && d.t.Exchanges[n-1].Open {
		return &d.t.Exchanges[n-1]
	}
	return nil
}

func (d *decoder) event(at time.Duration, text string) error {
	kind, rest, _ := strings.Cut(text, " ")
	if kind == "plain" {
		return d.plain(rest)
	}
	x := d.open()
	if kind == ">" || text == "reset" || text == "rejoin" {
		if x != nil {
			return errors.New("a command has no outcome")
		}
		if len(d.t.Exchanges) == MaxExchanges {
			return ErrBounds
		}
		begun := Exchange{At: at, Reset: text == "reset", Rejoin: text == "rejoin", Open: true}
		var err error
		if kind == ">" {
			begun.Command, err = d.message(rest)
		}
		d.t.Exchanges = append(d.t.Exchanges, begun)
		return err
	}
	if x == nil {
		return errors.New("an outcome has no command")
	}
	var err error
	switch noCommand := x.Reset || x.Rejoin; {
	case kind == "!", kind == "lost":
		x.Failure, err = unquote(rest)
		x.Lost = kind == "lost"
	case kind == "<" && !noCommand:
		x.Response, err = d.message(rest)
	case text == "done" && noCommand:
	default:
		return errors.New("a line is not understood")
	}
	x.Took, x.Open = at-x.At, false
	return err
}

// plain is what stood inside the exchange before it.
func (d *decoder) plain(text string) error {
	n := len(d.t.Exchanges)
	if n == 0 || d.t.Exchanges[n-1].Open || d.t.Exchanges[n-1].Response.Len() == 0 {
		return errors.New("something stood inside no exchange")
	}
	x := &d.t.Exchanges[n-1]
	kind, rest, _ := strings.Cut(text, " ")
	m, err := d.message(rest)
	switch {
	case err != nil:
	case kind == ">" && x.Plain == nil:
		x.Plain = &Plain{Command: m}
	case kind == "<" && x.Plain != nil && x.Plain.Response.Len() == 0:
		x.Plain.Response = m
	default:
		err = errors.New("a line is not understood")
	}
	return err
}

func (d *decoder) message(s string) (Message, error) {
	m, err := parseMessage(s)
	if err == nil && m.Masked() && d.t.Mask == MaskNothing {
		return m, errors.New("octets are hidden in a trace that says it is whole")
	}
	if d.octets += m.Len(); d.octets > MaxOctets {
		return m, ErrBounds
	}
	return m, err
}

// word cuts a text to what a trace takes.
func word(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxWord {
		s = s[:maxWord]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

// fileByID is the file of an identifier. An identifier that two directories
// use is known, and its file the one of the application.
func fileByID(id []byte) (lds.File, bool) {
	if len(id) != 2 {
		return 0, false
	}
	all := lds.Files()
	i := slices.IndexFunc(all, func(f lds.File) bool { return f.ID() == uint16(id[0])<<8|uint16(id[1]) })
	if i < 0 {
		return 0, false
	}
	return all[i], true
}
