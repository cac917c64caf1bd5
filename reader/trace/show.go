package trace

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
)

// Instructions (ISO/IEC 7816-4 table 4, 7816-8, TR-03110-3 B); those of
// personalisation are in card/perso.
const (
	insManageEnvironment        = 0x22
	insPerformSecurityOperation = 0x2A
	insResetRetryCounter        = 0x2C
	insExternalAuthenticate     = 0x82
	insGetChallenge             = 0x84
	insGeneralAuthenticate      = 0x86
	insInternalAuthenticate     = 0x88
	insSelect                   = 0xA4
	insReadBinary               = 0xB0
	insReadBinaryOdd            = 0xB1
	insGetResponse              = 0xC0
	insGetData                  = 0xCA
	insGetDataOdd               = 0xCB
)

// instruction is what an instruction is called.
func instruction(ins byte) string {
	switch ins {
	case 0x0C, 0x0E:
		return "ERASE BINARY"
	case 0x20, 0x21:
		return "VERIFY"
	case insManageEnvironment:
		return "MANAGE SECURITY ENVIRONMENT"
	case 0x24:
		return "CHANGE REFERENCE DATA"
	case insPerformSecurityOperation:
		return "PERFORM SECURITY OPERATION"
	case insResetRetryCounter:
		return "RESET RETRY COUNTER"
	case 0x70:
		return "MANAGE CHANNEL"
	case insExternalAuthenticate:
		return "EXTERNAL AUTHENTICATE"
	case insGetChallenge:
		return "GET CHALLENGE"
	case insGeneralAuthenticate, 0x87:
		return "GENERAL AUTHENTICATE"
	case insInternalAuthenticate:
		return "INTERNAL AUTHENTICATE"
	case insSelect:
		return "SELECT"
	case insReadBinary, insReadBinaryOdd:
		return "READ BINARY"
	case 0xB2, 0xB3:
		return "READ RECORD"
	case insGetResponse:
		return "GET RESPONSE"
	case insGetData, insGetDataOdd:
		return "GET DATA"
	case perso.InsUpdateBinary, perso.InsUpdateBinaryOdd:
		return "UPDATE BINARY"
	case perso.InsPutData, 0xDB:
		return "PUT DATA"
	case perso.InsCreateFile:
		return "CREATE FILE"
	}
	return fmt.Sprintf("INS %02X", ins)
}

func insName(command []byte) string {
	if len(command) < 2 {
		return "command"
	}
	return instruction(command[1])
}

// Description is one exchange in words.
type Description struct {
	Name     string   `json:"name"`              // of the instruction
	Meaning  string   `json:"meaning,omitempty"` // of P1, P2, the lengths and what is shown of the data
	Secure   bool     `json:"secureMessaging"`
	Chained  bool     `json:"chained,omitempty"` // more of this command follows
	Lc       int      `json:"lc"`                // octets of the command's data
	Ne       int      `json:"ne"`                // octets expected at most
	Length   int      `json:"length"`            // octets of the response's data
	Status   string   `json:"status,omitempty"`  // status word with its meaning
	Command  []string `json:"commandData,omitempty"`
	Response []string `json:"responseData,omitempty"` // the data objects, as far as they are shown
	Inside   *Inside  `json:"inside,omitempty"`       // what secure messaging carried, where the trace has it
}

// Inside is a command and its answer without their secure messaging.
type Inside struct {
	Lc       int      `json:"lc"`
	Ne       int      `json:"ne"`
	Length   int      `json:"length"`
	Status   string   `json:"status,omitempty"`
	Command  []string `json:"commandData,omitempty"`
	Response []string `json:"responseData,omitempty"`
}

// Totals are what a conversation came to.
type Totals struct {
	Exchanges int           `json:"exchanges"`
	Resets    int           `json:"resets,omitempty"`
	Sent      int           `json:"bytesOut"`
	Received  int           `json:"bytesIn"`
	Duration  time.Duration `json:"-"` // from the start to the last answer
	Waiting   time.Duration `json:"-"` // of which for the card and the line
	ByName    []Count       `json:"-"` // those with the most waiting first
}

// Count is how often a command went, and how long it was waited for.
type Count struct {
	Name    string
	Times   int
	Octets  int // of the answers' data
	Waiting time.Duration
}

// Totals adds up.
func (t *Trace) Totals() Totals {
	var sum Totals
	by := map[string]*Count{}
	for i := range t.Exchanges {
		x := &t.Exchanges[i]
		sum.Duration = max(sum.Duration, x.At+x.Took)
		if x.Rejoin {
			continue // somebody's hand is waited for, and no card
		}
		sum.Waiting += x.Took
		if x.Reset {
			sum.Resets++
			continue
		}
		sum.Exchanges++
		sum.Sent += x.Command.Len()
		sum.Received += x.Response.Len()
		name := "malformed command"
		if x.Command.Len() >= 2 && x.Command.shows(0, 2) {
			name = insName(x.Command.octets)
		}
		c := by[name]
		if c == nil {
			c = &Count{Name: name}
			by[name] = c
		}
		c.Times++
		c.Octets += max(0, x.Response.Len()-2)
		c.Waiting += x.Took
	}
	for _, c := range by {
		sum.ByName = append(sum.ByName, *c)
	}
	slices.SortFunc(sum.ByName, func(a, b Count) int {
		if a.Waiting != b.Waiting {
			return int(b.Waiting - a.Waiting)
		}
		return bytes.Compare([]byte(a.Name), []byte(b.Name))
	})
	return sum
}

// Describe puts every exchange into words. What a command means may hang on
// those before it: which directory and file are the current ones, and which
// protocol is under way.
func (t *Trace) Describe() []Description {
	var c card
	out := make([]Description, len(t.Exchanges))
	for i, x := range t.Exchanges {
		out[i] = c.describe(x)
	}
	return out
}

// card is what a person keeps in mind of the chip while reading a trace.
type card struct {
	application bool     // selected
	file        string   // current; empty where it is hidden
	protocol    protocol // for which the security environment was set last
	step        int      // of it: GENERAL AUTHENTICATE commands that went through
}

// protocol is what GENERAL AUTHENTICATE, GET CHALLENGE and EXTERNAL
// AUTHENTICATE belong to. They are the same commands in several protocols.
type protocol int

const (
	none protocol = iota
	inPACE
	inChipAuthentication
	inTerminalAuthentication
)

func (c *card) describe(x Exchange) Description {
	switch {
	case x.Rejoin:
		*c = card{}
		return Description{Name: "WAIT", Meaning: "for the lost card; where one came, its master file is selected"}
	case x.Reset:
		*c = card{}
		return Description{Name: "RESET", Meaning: "of the card; the master file is selected"}
	}
	var d Description
	command, err := iso7816.ParseCommand(x.Command.octets)
	switch {
	case err != nil && x.Command.Masked():
		d.Name, d.Meaning = "malformed command", "hidden"
		answer(&d, x, nil)
		return d
	case err != nil:
		d.Name, d.Meaning = "malformed command", err.Error()
		answer(&d, x, nil)
		return d
	}
	d.Name = instruction(command.INS)
	d.Secure = secure(command.CLA)
	d.Chained = command.CLA&0xE0 == 0 && command.CLA&0x10 != 0
	d.Lc, d.Ne = len(command.Data), command.Ne
	data := visible(x.Command, command)
	sw, _ := statusOf(x.Response)
	if !d.Secure {
		var objects dictionary
		d.Meaning, objects = c.means(command, data, sw)
		d.Command = describeData(command, data, objects)
		answer(&d, x, objects)
		return d
	}
	if data != nil {
		d.Command = outline(data, secureMessaging)
	}
	answer(&d, x, secureMessaging)
	inner, err := plainCommand(x)
	if err != nil {
		// What is left in the clear are header and status word.
		d.Meaning, _ = c.means(iso7816.Command{CLA: command.CLA, INS: command.INS, P1: command.P1, P2: command.P2, Data: hiddenData(command)}, nil, sw)
		return d
	}
	data = visible(x.Plain.Command, inner)
	in := &Inside{Lc: len(inner.Data), Ne: inner.Ne, Length: max(0, x.Plain.Response.Len()-2)}
	sw, known := statusOf(x.Plain.Response)
	var objects dictionary
	d.Meaning, objects = c.means(inner, data, sw)
	in.Command = describeData(inner, data, objects)
	if known {
		in.Status = sw.String()
		if in.Length > 0 && x.Plain.Response.shows(0, in.Length) {
			in.Response = outline(x.Plain.Response.octets[:in.Length], objects)
		}
	}
	d.Inside = in
	return d
}

// hiddenData stands for the data of a command under secure messaging: that it
// has some is known, nothing else.
func hiddenData(c iso7816.Command) []byte {
	if len(c.Data) == 0 {
		return nil
	}
	return make([]byte, len(c.Data))
}

func secure(cla byte) bool { return cla&0xE0 == 0 && cla&0x0C != 0 }

// visible is the data field of a command, nil where it is hidden or empty.
func visible(m Message, c iso7816.Command) []byte {
	if len(c.Data) == 0 || !m.shows(dataOffset(c, m.octets), len(c.Data)) {
		return nil
	}
	return c.Data
}

func plainCommand(x Exchange) (iso7816.Command, error) {
	if x.Plain == nil {
		return iso7816.Command{}, ErrMasked
	}
	return iso7816.ParseCommand(x.Plain.Command.octets)
}

// describeData has the lines of a command's data; what SELECT names is in the
// meaning already.
func describeData(c iso7816.Command, data []byte, objects dictionary) []string {
	if data == nil || c.INS == insSelect {
		return nil
	}
	if c.INS == insPerformSecurityOperation {
		if lines := certificateLines(data); lines != nil {
			return lines
		}
	}
	return outline(data, objects)
}

func answer(d *Description, x Exchange, objects dictionary) {
	sw, ok := statusOf(x.Response)
	if !ok {
		if x.Response.Len() > 0 {
			d.Status = "a response without a status word"
		}
		return
	}
	d.Status, d.Length = sw.String(), x.Response.Len()-2
	if d.Length > 0 && x.Response.shows(0, d.Length) {
		d.Response = outline(x.Response.octets[:d.Length], objects)
	}
}

func statusOf(m Message) (iso7816.StatusWord, bool) {
	n := m.Len()
	if n < 2 || !m.shows(n-2, 2) {
		return 0, false
	}
	r, err := iso7816.ParseResponse(m.octets)
	return r.SW, err == nil
}

// means says what a command asks for, and what its data objects and those of
// the answer are called. data is nil where it is hidden.
func (c *card) means(command iso7816.Command, data []byte, sw iso7816.StatusWord) (string, dictionary) {
	done := sw == iso7816.SWSuccess || sw == iso7816.SWEndOfFile || sw>>8 == 0x61
	p1p2 := uint16(command.P1)<<8 | uint16(command.P2)
	switch command.INS {
	case insSelect:
		return c.selects(command, data, done), fileControl
	case insReadBinary:
		return c.reads(command, done), nil
	case insReadBinaryOdd:
		return c.current() + oddOffset(data), oddBinary
	case perso.InsUpdateBinary:
		return fmt.Sprintf("%s, offset %d", c.current(), p1p2), nil
	case perso.InsUpdateBinaryOdd:
		return c.current() + oddOffset(data), oddBinary
	case perso.InsCreateFile:
		return c.creates(data), nil
	case perso.InsPutData:
		return putMeaning(p1p2), nil
	case insGetData:
		if p1p2 == 0x9F7F {
			return "the serial number (CPLC data)", nil
		}
		return fmt.Sprintf("data object %X", p1p2), nil
	case insGetResponse:
		return "the rest of the answer", nil
	case insManageEnvironment:
		return c.environment(p1p2, data, done), environmentObjects(p1p2)
	case insPerformSecurityOperation:
		if p1p2 == 0x00BE {
			return "verify " + certificateName(data) + " (terminal authentication)", nil
		}
	case insGetChallenge:
		if c.protocol == inTerminalAuthentication {
			return "for terminal authentication", nil
		}
		return "for BAC", nil
	case insExternalAuthenticate:
		if c.protocol == inTerminalAuthentication {
			return "the terminal's signature over the challenge (terminal authentication)", nil
		}
		return "mutual authentication (BAC)", nil
	case insGeneralAuthenticate:
		return c.authenticates(command, done), generalAuthenticate(c.protocol)
	case insInternalAuthenticate:
		return "active authentication: the chip signs a challenge", nil
	case insResetRetryCounter:
		switch p1p2 {
		case 0x0203:
			return "of the PIN, with a new one", nil
		case 0x0303:
			return "of the PIN, which stays", nil
		}
	}
	return "", nil
}

// selects names what is selected: by P1 an application, the master file, or a
// file of the current directory (ISO/IEC 7816-4 §11.2.2).
func (c *card) selects(command iso7816.Command, data []byte, done bool) string {
	var what string
	id, known := c.byID(data)
	switch {
	case command.P1 == 0x04 && data != nil:
		what = applicationName(data)
	case command.P1 == 0x04:
		what = "an application by its name"
	case len(command.Data) == 0 || bytes.Equal(data, masterFile):
		what = "the master file"
	case known:
		what = id
	case len(data) == 2:
		what = fmt.Sprintf("file %X", data)
	case data != nil:
		what = fmt.Sprintf("by path %X", data)
	default:
		what = "a file, its name hidden"
	}
	if done {
		switch {
		case command.P1 == 0x04:
			*c = card{application: true}
		case what == "the master file":
			*c = card{}
		default:
			c.file = ""
			if known {
				c.file = id
			}
		}
	}
	if command.P2&0x0C == 0x0C {
		return what + ", no answer wanted"
	}
	return what + ", its control information wanted"
}

// applicationName is what an application identifier belongs to.
func applicationName(aid []byte) string {
	switch {
	case bytes.Equal(aid, lds.EMRTDApplication()):
		return "the eMRTD application"
	case bytes.Equal(aid, []byte{0xA0, 0, 0, 1, 0x51, 0, 0, 0}):
		return "the issuer's security domain (GlobalPlatform)"
	case bytes.HasPrefix(aid, []byte{0xA0, 0, 0, 2, 0x47, 0x20}):
		return fmt.Sprintf("application %X (LDS2)", aid)
	}
	return fmt.Sprintf("application %X", aid)
}

// byID names a file, in the current directory where there are two of the
// identifier.
func (c *card) byID(id []byte) (string, bool) {
	f, ok := fileByID(id)
	if !ok {
		return "", false
	}
	return c.twin(f, func(g lds.File) bool { return g.ID() == f.ID() }), true
}

func (c *card) twin(f lds.File, same func(lds.File) bool) string {
	for _, g := range lds.Files() {
		if same(g) && g.InMasterFile() != c.application {
			return g.String()
		}
	}
	return f.String()
}

func (c *card) reads(command iso7816.Command, done bool) string {
	if command.P1&0x80 == 0 {
		return fmt.Sprintf("%s, offset %d", c.current(), int(command.P1)<<8|int(command.P2))
	}
	short := command.P1 & 0x1F
	what := "a file"
	all := lds.Files()
	if i := slices.IndexFunc(all, func(f lds.File) bool { return f.ShortID() == short && f.InMasterFile() != c.application }); i >= 0 {
		what = all[i].String()
	}
	if done {
		c.file = what
	}
	return fmt.Sprintf("%s by short identifier %02X, offset %d", what, short, command.P2)
}

func (c *card) current() string {
	if c.file == "" {
		return "the current file"
	}
	return c.file
}

// environment is P1-P2 of MANAGE SECURITY ENVIRONMENT (TR-03110-3 B.11), and
// what follows it.
func (c *card) environment(p1p2 uint16, data []byte, done bool) string {
	what, of := fmt.Sprintf("P1-P2 %04X", p1p2), none
	switch p1p2 {
	case 0xC1A4:
		what, of = "set AT for mutual authentication (PACE)", inPACE
	case 0x41A4:
		what, of = "set AT for chip authentication", inChipAuthentication
	case 0x41A6:
		what = "set KAT with the terminal's key (chip authentication with 3DES)"
	case 0x81A4:
		what, of = "set AT for terminal authentication", inTerminalAuthentication
	case 0x81B6:
		what, of = "set DST: whose key verifies the next certificate", inTerminalAuthentication
	}
	// 63Cx is no refusal: the password has that many tries left.
	if done || c.protocol != of {
		c.protocol, c.step = of, 0
	}
	if named := environmentNames(p1p2, data); named != "" {
		what += ": " + named
	}
	return what
}

// paceSteps are those of GENERAL AUTHENTICATE in PACE (Doc 9303-11 §4.4.4.1).
var paceSteps = [...]string{"the encrypted nonce", "mapping the nonce", "key agreement", "the tokens (mutual authentication)"}

// authenticates counts the steps of PACE: what tells them apart is inside the
// data, which may be hidden.
func (c *card) authenticates(command iso7816.Command, done bool) string {
	switch c.protocol {
	case inPACE:
		step := min(c.step, len(paceSteps)-1)
		if done {
			c.step++
		}
		return fmt.Sprintf("PACE, step %d: %s", step+1, paceSteps[step])
	case inChipAuthentication:
		return "chip authentication: key agreement"
	}
	if command.CLA&0x10 != 0 {
		return "a step of PACE"
	}
	return "a step of PACE, or of chip authentication"
}
