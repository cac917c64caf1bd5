package trace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Instructions with what they are called (ISO/IEC 7816-4 table 4, 7816-8,
// TR-03110-3 B).
const (
	insSelect        = 0xA4
	insReadBinary    = 0xB0
	insReadBinaryOdd = 0xB1
)

func instruction(ins byte) string {
	switch ins {
	case 0x0C, 0x0E:
		return "ERASE BINARY"
	case 0x20, 0x21:
		return "VERIFY"
	case 0x22:
		return "MANAGE SECURITY ENVIRONMENT"
	case 0x24:
		return "CHANGE REFERENCE DATA"
	case 0x2A:
		return "PERFORM SECURITY OPERATION"
	case 0x2C:
		return "RESET RETRY COUNTER"
	case 0x70:
		return "MANAGE CHANNEL"
	case 0x82:
		return "EXTERNAL AUTHENTICATE"
	case 0x84:
		return "GET CHALLENGE"
	case 0x86, 0x87:
		return "GENERAL AUTHENTICATE"
	case 0x88:
		return "INTERNAL AUTHENTICATE"
	case insSelect:
		return "SELECT"
	case insReadBinary, insReadBinaryOdd:
		return "READ BINARY"
	case 0xB2, 0xB3:
		return "READ RECORD"
	case 0xC0:
		return "GET RESPONSE"
	case 0xCA, 0xCB:
		return "GET DATA"
	case 0xD6, 0xD7:
		return "UPDATE BINARY"
	case 0xDA, 0xDB:
		return "PUT DATA"
	case 0xE0:
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
	Meaning  string   `json:"meaning,omitempty"` // of P1, P2 and the lengths
	Secure   bool     `json:"secureMessaging"`
	Chained  bool     `json:"chained,omitempty"` // more of this command follows
	Lc       int      `json:"lc"`                // octets of the command's data
	Ne       int      `json:"ne"`                // octets expected at most
	Length   int      `json:"length"`            // octets of the response's data
	Status   string   `json:"status,omitempty"`  // status word with its meaning
	Command  []string `json:"commandData,omitempty"`
	Response []string `json:"responseData,omitempty"` // the data objects, as far as they are shown
}

// Describe puts every exchange into words. What a command means may hang on
// those before it: which directory and file are the current ones.
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
	application bool   // selected
	file        string // current; empty where it is hidden
}

func (c *card) describe(x Exchange) Description {
	switch {
	case x.Reset:
		*c = card{}
		return Description{Name: "RESET", Meaning: "of the card; the master file is selected"}
	case x.Rejoin:
		*c = card{}
		return Description{Name: "WAIT", Meaning: "for the lost card; where one came, its master file is selected"}
	}
	var d Description
	command, err := iso7816.ParseCommand(x.Command.octets)
	switch {
	case err != nil && x.Command.Masked():
		d.Name, d.Meaning = "malformed command", "hidden"
		return c.answer(d, x)
	case err != nil:
		d.Name, d.Meaning = "malformed command", err.Error()
		return c.answer(d, x)
	}
	d.Name = instruction(command.INS)
	d.Secure = command.CLA&0xE0 == 0 && command.CLA&0x0C != 0
	d.Chained = command.CLA&0xE0 == 0 && command.CLA&0x10 != 0
	d.Lc, d.Ne = len(command.Data), command.Ne
	shown := len(command.Data) > 0 && x.Command.shows(dataOffset(command, x.Command.octets), len(command.Data))
	if shown && command.INS != insSelect {
		d.Command = outline(command.Data)
	}
	sw, _ := statusOf(x)
	done := sw == iso7816.SWSuccess || sw == iso7816.SWEndOfFile || sw>>8 == 0x61
	switch command.INS {
	case insSelect:
		var data []byte // nil: hidden, or inside secure messaging
		if shown && !d.Secure {
			data = command.Data
		}
		d.Meaning = c.selects(command, data, done, d.Secure)
	case insReadBinary:
		d.Meaning = c.reads(command, done)
	case insReadBinaryOdd:
		d.Meaning = c.current() + ", offset in the data"
	case 0x22:
		d.Meaning = environment(command.P1, command.P2)
	case 0x2A:
		if command.P1 == 0x00 && command.P2 == 0xBE {
			d.Meaning = "verify a certificate (terminal authentication)"
		}
	case 0x82:
		d.Meaning = "mutual authentication (BAC), or the terminal's signature"
	case 0x86:
		d.Meaning = "a step of PACE, or of chip authentication"
	case 0x88:
		d.Meaning = "active authentication"
	case 0xCA, 0xDA:
		d.Meaning = fmt.Sprintf("data object %X", uint16(command.P1)<<8|uint16(command.P2))
	}
	return c.answer(d, x)
}

func (c *card) answer(d Description, x Exchange) Description {
	sw, ok := statusOf(x)
	if !ok {
		if x.Response.Len() > 0 {
			d.Status = "a response without a status word"
		}
		return d
	}
	d.Status, d.Length = sw.String(), x.Response.Len()-2
	if d.Length > 0 && x.Response.shows(0, d.Length) {
		d.Response = outline(x.Response.octets[:d.Length])
	}
	return d
}

func statusOf(x Exchange) (iso7816.StatusWord, bool) {
	n := x.Response.Len()
	if n < 2 || !x.Response.shows(n-2, 2) {
		return 0, false
	}
	r, err := iso7816.ParseResponse(x.Response.octets)
	return r.SW, err == nil
}

func (c *card) selects(command iso7816.Command, data []byte, done, secure bool) string {
	var what string
	id, known := c.byID(data)
	switch {
	case command.P1 == 0x04 && bytes.Equal(data, lds.EMRTDApplication()):
		what = "the eMRTD application"
	case command.P1 == 0x04:
		what = "an application by its name"
	case len(command.Data) == 0 || bytes.Equal(data, masterFile):
		what = "the master file"
	case known:
		what = id
	case len(data) == 2:
		what = fmt.Sprintf("file %X", data)
	default:
		what = "a file, its name hidden"
	}
	if done {
		switch {
		case command.P1 == 0x04:
			*c = card{application: true}
		case what == "the master file" && !secure:
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

// environment is P1-P2 of MANAGE SECURITY ENVIRONMENT (TR-03110-3 B.11).
func environment(p1, p2 byte) string {
	switch uint16(p1)<<8 | uint16(p2) {
	case 0xC1A4:
		return "set AT for mutual authentication (PACE)"
	case 0x41A4:
		return "set AT for chip authentication"
	case 0x41A6:
		return "set KAT with the terminal's key (chip authentication with 3DES)"
	case 0x81A4:
		return "set AT for terminal authentication"
	case 0x81B6:
		return "set DST: whose key verifies the next certificate"
	}
	return fmt.Sprintf("P1-P2 %02X%02X", p1, p2)
}

const (
	maxOutline = 40 // lines of one APDU
	maxShown   = 24 // octets of one value
)

// outline has a line for each data object, or the first octets of what is not
// made of such.
func outline(b []byte) []string {
	var lines []string
	left := 0
	err := tlv.Walk(b, func(depth int, o tlv.Object) error {
		if len(lines) == maxOutline {
			left++
			return nil
		}
		line := fmt.Sprintf("%s%s (%d)", strings.Repeat("  ", depth), o.Tag, len(o.Value))
		if !o.Tag.Constructed() && len(o.Value) > 0 {
			line += " " + octets(o.Value)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		return []string{octets(b)}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", left))
	}
	return lines
}

func octets(b []byte) string {
	if len(b) > maxShown {
		return fmt.Sprintf("%X… (%d octets)", b[:maxShown], len(b))
	}
	return fmt.Sprintf("%X", b)
}
