package chip

import (
	"bytes"
	"encoding/binary"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/perso"
	"chipid/card/tlv"
)

// instruction is what the chip does for one INS.
type instruction struct {
	run     func(*Chip, iso7816.Command) iso7816.Response
	writing bool // exists until the chip is locked
}

// instructionFor is the chip's table of commands.
func instructionFor(ins byte) (instruction, bool) {
	switch ins {
	case insSelect:
		return instruction{run: (*Chip).selectFile}, true
	case insReadBinary:
		return instruction{run: (*Chip).readBinary}, true
	case insReadBinaryOdd:
		return instruction{run: (*Chip).readBinaryOdd}, true
	case insGetData:
		return instruction{run: (*Chip).getData}, true
	case insGetChallenge:
		return instruction{run: (*Chip).getChallenge}, true
	case insExternalAuthenticate:
		return instruction{run: (*Chip).externalAuthenticate}, true
	case insManageSecurity:
		return instruction{run: (*Chip).manageSecurity}, true
	case insResetRetryCounter:
		return instruction{run: (*Chip).resetRetryCounter}, true
	case insPerformSecurity:
		return instruction{run: (*Chip).performSecurity}, true
	case insGeneralAuthenticate:
		return instruction{run: (*Chip).generalAuthenticate}, true
	case insInternalAuthenticate:
		return instruction{run: (*Chip).internalAuthenticate}, true
	case perso.InsPutData:
		return instruction{run: (*Chip).putData, writing: true}, true
	case perso.InsCreateFile:
		return instruction{run: (*Chip).createFile, writing: true}, true
	case perso.InsUpdateBinary:
		return instruction{run: (*Chip).updateBinary, writing: true}, true
	case perso.InsUpdateBinaryOdd:
		return instruction{run: (*Chip).updateBinaryOdd, writing: true}, true
	}
	return instruction{}, false
}

// admit finds what the chip does for a command, or why it does nothing.
func (c *Chip) admit(cmd iso7816.Command) (func(*Chip, iso7816.Command) iso7816.Response, iso7816.StatusWord) {
	switch class := cmd.CLA &^ claChained; {
	case class&0x80 != 0:
		if class != claGlobal || cmd.INS != insGetData {
			return nil, iso7816.SWClassNotSupported
		}
	case class&claSecured != 0:
		return nil, iso7816.SWSecureMessagingMissing
	case class&0x03 != 0:
		return nil, swLogicalChannel
	case class != 0:
		return nil, iso7816.SWClassNotSupported
	}
	ins, ok := instructionFor(cmd.INS)
	if !ok || ins.writing && c.eeprom.LifeCycle == Locked {
		return nil, iso7816.SWInstructionNotSupported
	}
	return ins.run, iso7816.SWSuccess
}

// swLogicalChannel says that there is only the basic channel.
const swLogicalChannel iso7816.StatusWord = 0x6881

// What P1 of SELECT says about the data (ISO/IEC 7816-4 table 62).
const (
	selectByID         = 0x00
	selectElementary   = 0x02
	selectParent       = 0x03
	selectByName       = 0x04
	selectPathMaster   = 0x08
	selectPathRelative = 0x09
)

// What P2 of SELECT asks for (table 63).
const (
	wantFCI  = 0x00
	wantFCP  = 0x04
	wantNone = 0x0C
)

const masterFile = 0x3F00

func (c *Chip) selectFile(cmd iso7816.Command) iso7816.Response {
	switch cmd.P2 {
	case wantFCI, wantFCP, wantNone:
	default: // next and previous occurrence, FMD
		return answer(iso7816.SWWrongP1P2)
	}
	switch cmd.P1 {
	case selectByName:
		if !bytes.Equal(cmd.Data, lds.EMRTDApplication()) {
			return answer(iso7816.SWFileNotFound)
		}
		return c.selectDirectory(cmd, true)
	case selectParent:
		if len(cmd.Data) > 0 {
			return answer(iso7816.SWWrongLength)
		}
		return c.selectMaster(cmd)
	case selectPathMaster:
		if len(cmd.Data) != 2 {
			return answer(iso7816.SWFileNotFound)
		}
		if c.has(NoMasterFile) {
			return answer(iso7816.SWInstructionNotSupported)
		}
		application := c.application
		c.application = false
		response := c.selectEF(cmd, binary.BigEndian.Uint16(cmd.Data))
		if response.SW != iso7816.SWSuccess {
			c.application = application
		}
		return response
	case selectByID:
		if len(cmd.Data) == 0 {
			return c.selectMaster(cmd)
		}
		fallthrough
	case selectElementary, selectPathRelative:
		if len(cmd.Data) != 2 {
			return answer(iso7816.SWWrongLength)
		}
		fid := binary.BigEndian.Uint16(cmd.Data)
		if fid == masterFile && cmd.P1 == selectByID {
			return c.selectMaster(cmd)
		}
		return c.selectEF(cmd, fid)
	}
	return answer(iso7816.SWWrongP1P2)
}

func (c *Chip) selectMaster(cmd iso7816.Command) iso7816.Response {
	if c.has(NoMasterFile) {
		return answer(iso7816.SWInstructionNotSupported)
	}
	return c.selectDirectory(cmd, false)
}

func (c *Chip) selectDirectory(cmd iso7816.Command, application bool) iso7816.Response {
	c.application, c.file = application, nil
	name := tlv.Encode(0x83, []byte{masterFile >> 8, masterFile & 0xFF})
	if application {
		name = tlv.Encode(0x84, lds.EMRTDApplication())
	}
	if cmd.P2 == wantFCP {
		name = append(tlv.Encode(0x82, []byte{0x38}), name...) // a DF
	}
	return c.controlInformation(cmd, name)
}

func (c *Chip) selectEF(cmd iso7816.Command, fid uint16) iso7816.Response {
	file, sw := c.look(byID(fid))
	if sw != iso7816.SWSuccess {
		return answer(sw)
	}
	c.file = file
	size := len(file.Content)
	return c.controlInformation(cmd, bytes.Join([][]byte{
		tlv.Encode(0x80, []byte{byte(size >> 16), byte(size >> 8), byte(size)}),
		tlv.Encode(0x82, []byte{0x01}), // transparent
		tlv.Encode(0x83, []byte{byte(fid >> 8), byte(fid)}),
		tlv.Encode(0x88, []byte{file.File.ShortID() << 3}),
	}, nil))
}

// controlInformation answers SELECT with what P2 asks for (ISO/IEC 7816-4
// §7.4.3), where Le asks for anything.
func (c *Chip) controlInformation(cmd iso7816.Command, objects []byte) iso7816.Response {
	if cmd.P2 == wantNone || cmd.Ne == 0 {
		return answer(iso7816.SWSuccess)
	}
	var template tlv.Tag = 0x6F
	if cmd.P2 == wantFCP {
		template = 0x62
	}
	status := tlv.Encode(0x8A, []byte{lifeCycleStatus[c.eeprom.LifeCycle]})
	return iso7816.Response{Data: tlv.Encode(template, objects, status), SW: iso7816.SWSuccess}
}

// lifeCycleStatus is the life cycle as ISO/IEC 7816-4 table 14 has it:
// creation, initialisation, operational and activated.
var lifeCycleStatus = [...]byte{Blank: 0x01, Personalising: 0x03, Locked: 0x05}

// look finds a file that the command under way may reach. Without access
// control the application does not even tell which files it has: the set of
// them gives a holder's nationality away.
func (c *Chip) look(match func(lds.File) bool) (*elementary, iso7816.StatusWord) {
	if c.application && c.eeprom.LifeCycle == Locked && !c.secured {
		return nil, iso7816.SWSecurityStatus
	}
	file := c.find(match)
	switch {
	case file == nil:
		return nil, iso7816.SWFileNotFound
	case c.eeprom.LifeCycle == Locked && !c.readable(file.File):
		return nil, iso7816.SWSecurityStatus
	}
	return file, iso7816.SWSuccess
}

// readable is the table of access conditions in the package comment.
func (c *Chip) readable(f lds.File) bool {
	switch f {
	case lds.EFCardAccess, lds.EFDIR, lds.EFATRInfo:
		return true
	case lds.DG3, lds.DG4:
		return c.entitled(f)
	}
	return c.eeprom.LifeCycle == Locked && c.secured
}

// shortIDMark in P1 says that its other bits are a short file identifier.
const shortIDMark = 0x80

// addressed gives the file that a READ or UPDATE BINARY with an even INS means
// and the offset in it (ISO/IEC 7816-4 §11.3.1), and makes the file current.
func (c *Chip) addressed(cmd iso7816.Command) (*elementary, int, iso7816.StatusWord) {
	if cmd.P1&shortIDMark == 0 {
		file, sw := c.current()
		return file, int(cmd.P1)<<8 | int(cmd.P2), sw
	}
	if cmd.P1&0x60 != 0 {
		return nil, 0, iso7816.SWWrongP1P2
	}
	file, sw := c.look(byShortID(cmd.P1 & 0x1F))
	if sw == iso7816.SWSuccess {
		c.file = file
	}
	return file, int(cmd.P2), sw
}

// current gives the selected file, if the rights are still those it was
// selected with.
func (c *Chip) current() (*elementary, iso7816.StatusWord) {
	if c.file == nil {
		if c.application && c.eeprom.LifeCycle == Locked && !c.secured {
			return nil, iso7816.SWSecurityStatus
		}
		return nil, iso7816.SWNoCurrentFile
	}
	f := c.file.File
	return c.look(func(other lds.File) bool { return other == f })
}

// addressedOdd is addressed for an odd INS: P1-P2 have a file identifier, a
// short one or zero, and the offset is a data object.
func (c *Chip) addressedOdd(cmd iso7816.Command) (file *elementary, offset int, rest []byte, sw iso7816.StatusWord) {
	switch id := uint16(cmd.P1)<<8 | uint16(cmd.P2); {
	case id == 0:
		file, sw = c.current()
	case id < 0x1F:
		file, sw = c.look(byShortID(byte(id)))
	default:
		file, sw = c.look(byID(id))
	}
	if sw != iso7816.SWSuccess {
		return nil, 0, nil, sw
	}
	c.file = file
	obj, rest, err := tlv.Read(cmd.Data)
	if err != nil || obj.Tag != tagOffset || len(obj.Value) == 0 || len(obj.Value) > 4 {
		return nil, 0, nil, iso7816.SWWrongData
	}
	for _, b := range obj.Value {
		offset = offset<<8 | int(b)
	}
	return file, offset, rest, iso7816.SWSuccess
}

// Data objects of the odd instructions (ISO/IEC 7816-4 §11.3.2).
const (
	tagOffset tlv.Tag = 0x54
	tagData   tlv.Tag = 0x53
)

func (c *Chip) readBinary(cmd iso7816.Command) iso7816.Response {
	file, offset, sw := c.addressed(cmd)
	switch {
	case sw != iso7816.SWSuccess:
		return answer(sw)
	case !c.readable(file.File):
		return answer(iso7816.SWSecurityStatus)
	case len(cmd.Data) > 0 || cmd.Ne == 0:
		return answer(iso7816.SWWrongLength)
	case offset >= len(file.Content):
		return answer(iso7816.SWWrongOffset)
	}
	return c.content(cmd, file, offset, 0, func(data []byte) []byte { return data })
}

func (c *Chip) readBinaryOdd(cmd iso7816.Command) iso7816.Response {
	file, offset, rest, sw := c.addressedOdd(cmd)
	switch {
	case sw != iso7816.SWSuccess:
		return answer(sw)
	case !c.readable(file.File):
		return answer(iso7816.SWSecurityStatus)
	case len(rest) > 0:
		return answer(iso7816.SWWrongData)
	case cmd.Ne == 0:
		return answer(iso7816.SWWrongLength)
	case offset >= len(file.Content):
		return answer(iso7816.SWWrongOffset)
	}
	// Le counts the octets of the data object around the content too.
	wrap := func(data []byte) []byte { return tlv.Encode(tagData, data) }
	around := len(tlv.AppendHeader(nil, tagData, c.room))
	if c.room <= around {
		return answer(iso7816.SWWrongLength)
	}
	return c.content(cmd, file, offset, around, wrap)
}

// content answers with up to ne octets of a file, and never more than fit the
// response. A terminal that asked for an exact number beyond the end of the
// file is told so; one that asked for all there is, is not.
func (c *Chip) content(cmd iso7816.Command, file *elementary, offset, around int, wrap func([]byte) []byte) iso7816.Response {
	ne, room := cmd.Ne-around, c.room-around
	exact := cmd.Ne != iso7816.MaxShortNe && cmd.Ne != iso7816.MaxExtendedNe
	rest := file.Content[offset:]
	n := min(len(rest), ne, room)
	sw := iso7816.SWSuccess
	if n == len(rest) && n < ne && exact {
		sw = iso7816.SWEndOfFile
	}
	return iso7816.Response{Data: wrap(rest[:n]), SW: sw}
}

// getData gives the production data with the serial number. Once the card is
// in somebody's pocket, a number that answers to anybody would let anybody
// follow the holder.
func (c *Chip) getData(cmd iso7816.Command) iso7816.Response {
	want := perso.SerialCommand()
	switch {
	case cmd.P1 != want.P1 || cmd.P2 != want.P2:
		return answer(iso7816.SWReferenceNotFound)
	case c.eeprom.LifeCycle == Locked && !c.secured:
		return answer(iso7816.SWSecurityStatus)
	case len(cmd.Data) > 0 || cmd.Ne == 0:
		return answer(iso7816.SWWrongLength)
	}
	return iso7816.Response{Data: perso.EncodeSerial(c.eeprom.Serial), SW: iso7816.SWSuccess}
}
