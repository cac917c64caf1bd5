package chip

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/tlv"
)

// Habit is one way in which a locked chip differs from Doc 9303. Its name is
// part of a chip's state and of its personalisation: names are never changed.
type Habit string

// Habits that the protocols themselves ask for. All others act from outside
// them, through the hooks of their row in the table.
const (
	// NoMasterFile makes SELECT of the master file answer 6D00, as Vietnamese
	// CCCD chips do. The files under it are still there: it is selected after a
	// reset.
	NoMasterFile Habit = "select-mf-6d00"
	// NoSetKAT is a chip whose chip authentication with 3DES knows the commands
	// for AES only (Doc 9303-11 §8.5 note 1).
	NoSetKAT Habit = "ca-3des-set-at"

	shortOnly Habit = "short-only"
)

// Description is what is to be told about a habit.
type Description struct {
	Habit      Habit
	Complaint  int    // the one of Complaints that it stands for
	English    string // what the chip does, in a line
	Vietnamese string
	Source     string // the rule that it bends or breaks
}

// Complaint is one of the things that users of readers complain about: what
// chips of the field do that makes a reader fail, slow or wrong.
type Complaint struct {
	Number              int
	English, Vietnamese string
}

// Complaints lists them. Some are not the chip's doing, or need the issuer's
// key, so that no habit can stand for them: reader/inspect.TestQuirks builds
// such documents.
func Complaints() []Complaint {
	return []Complaint{
		{1, "small pieces", "đọc từng mẩu nhỏ"},
		{2, "extended lengths that lie", "độ dài mở rộng không đúng lời hứa"},
		{3, "SELECT and READ BINARY", "SELECT và READ BINARY"},
		{4, "PACE and passwords", "PACE và mật khẩu"},
		{5, "signatures", "chữ ký"},
		{6, "trust", "tin cậy"},
		{7, "curves and keys", "đường cong và khóa"},
		{8, "pictures", "ảnh"},
		{9, "details of the person", "thông tin chi tiết"},
		{10, "hostile chips", "chip ác ý"},
		{11, "readers and sessions", "đầu đọc và phiên"},
	}
}

// Habits lists every habit there is, in the order of the complaints.
func Habits() []Description {
	rows := habits()
	all := make([]Description, len(rows))
	for i, h := range rows {
		all[i] = h.Description
	}
	return all
}

// HabitByName finds a habit.
func HabitByName(name string) (Habit, error) {
	var known []Habit
	for _, h := range habits() {
		if string(h.Habit) == name {
			return h.Habit, nil
		}
		known = append(known, h.Habit)
	}
	return "", fmt.Errorf("there is no habit %q; known are %v", name, known)
}

// maxHabits bounds those of one chip.
const maxHabits = 32

// habit is a row of the table: what is told of it, and where it takes hold of
// the conversation. Hooks that are nil do nothing; a row without any is asked
// for by name where the chip does the thing in question.
//
//	terminal ─▶ line ─▶ secure messaging ─▶ command ─▶ the chip by the book
//	terminal ◀─ sent ◀─ secure messaging ◀─ result ◀─ (file: what it finds)
type habit struct {
	Description

	line    func(c *Chip, command []byte) []byte                                    // answers in the chip's place; nil: does not
	command func(c *Chip, cmd *iso7816.Command) (iso7816.Response, bool)            // changes a command, or answers it
	file    func(f lds.File, content []byte) []byte                                 // what is found under a file's name; nil: no such file
	result  func(c *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response // changes the answer
	sent    func(c *Chip, command, response []byte) []byte                          // changes what goes out, protected or not
}

// Behave gives the chip habits beside those it was personalised with, in place
// of those that it was given before. They do not become part of its state.
func (c *Chip) Behave(habits ...Habit) {
	c.habits = slices.Clone(habits)
	c.inEffect, c.forgotten = nil, 0
}

func (c *Chip) has(h Habit) bool {
	return slices.ContainsFunc(c.behaviour(), func(row habit) bool { return row.Habit == h })
}

// behaviour are the rows of the chip's habits. A chip that is not locked has
// none yet, and a locked one gets no more but by Behave.
func (c *Chip) behaviour() []habit {
	if c.eeprom.LifeCycle != Locked || len(c.habits)+len(c.eeprom.Habits) == 0 {
		return nil
	}
	if c.inEffect == nil {
		for _, row := range habits() {
			if slices.Contains(c.habits, row.Habit) || slices.Contains(c.eeprom.Habits, string(row.Habit)) {
				c.inEffect = append(c.inEffect, row)
			}
		}
	}
	return c.inEffect
}

// execute has the chip do what a command asks for, in its own way.
func (c *Chip) execute(run func(*Chip, iso7816.Command) iso7816.Response, cmd iso7816.Command) iso7816.Response {
	rows := c.behaviour()
	for _, h := range rows {
		if h.command == nil {
			continue
		}
		if r, answered := h.command(c, &cmd); answered {
			return r
		}
	}
	r := run(c, cmd)
	for _, h := range rows {
		if h.result != nil {
			r = h.result(c, cmd, r)
		}
	}
	return r
}

// shown is a file as the chip's habits let it be seen; nil: not at all. The
// content is the issuer's, or a copy.
func (c *Chip) shown(f lds.File, e *elementary) *elementary {
	for _, h := range c.behaviour() {
		if h.file == nil {
			continue
		}
		var content []byte
		if e != nil {
			content = e.Content
		}
		if content = h.file(f, content); content == nil {
			e = nil
			continue
		}
		e = &elementary{File: f, Content: content, Written: len(content)}
	}
	return e
}

// oddities is what habits remember between commands.
type oddities struct {
	before    *elementary // the current file before the command under way
	exchanges int         // under the channel there is
	reply     []byte      // the last, whole
	plain     iso7816.Response
}

// The table. Rows of one complaint stand together.
func habits() []habit {
	return slices.Concat(lengthHabits(), selectHabits(), accessHabits(), securityObjectHabits(), keyHabits(), hostileHabits(), sessionHabits())
}

func row(name Habit, complaint int, source, english, vietnamese string) habit {
	return habit{Description: Description{Habit: name, Complaint: complaint, English: english, Vietnamese: vietnamese, Source: source}}
}

func (h habit) onLine(f func(c *Chip, command []byte) []byte) habit { h.line = f; return h }

func (h habit) onCommand(f func(c *Chip, cmd *iso7816.Command) (iso7816.Response, bool)) habit {
	h.command = f
	return h
}

func (h habit) onFile(which lds.File, f func(content []byte) []byte) habit {
	h.file = func(file lds.File, content []byte) []byte {
		if file != which {
			return content
		}
		return f(content)
	}
	return h
}

func (h habit) onFiles(changes map[lds.File]func(content []byte) []byte) habit {
	h.file = func(file lds.File, content []byte) []byte {
		if change, ok := changes[file]; ok {
			return change(content)
		}
		return content
	}
	return h
}

func (h habit) onResult(f func(c *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response) habit {
	h.result = f
	return h
}

func (h habit) onSent(f func(c *Chip, command, response []byte) []byte) habit { h.sent = f; return h }

// refuse answers the commands that match with a status word.
func refuse(sw iso7816.StatusWord, match func(c *Chip, cmd iso7816.Command) bool) func(*Chip, *iso7816.Command) (iso7816.Response, bool) {
	return func(c *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
		return answer(sw), match(c, *cmd)
	}
}

func isExtended(command []byte) bool { return len(command) > 5 && command[4] == 0 }

func isRead(cmd iso7816.Command) bool { return cmd.INS == insReadBinary || cmd.INS == insReadBinaryOdd }

const (
	atrInfoClause = "ISO/IEC 7816-4 §12.7.1; Doc 9303-10 §3.11.2"
	lengthClause  = "ISO/IEC 7816-4 §5.1, §5.3"
	shortPiece    = 112  // octets that small-pieces gives
	realLimit     = 1024 // octets that atr-info-boasts takes of the 64 KB it promises
)

// lengthHabits are complaints 1 and 2.
func lengthHabits() []habit {
	toExtended := func(sw iso7816.StatusWord) func(*Chip, []byte) []byte {
		return func(_ *Chip, command []byte) []byte {
			if !isExtended(command) {
				return nil
			}
			return answer(sw).Bytes()
		}
	}
	longRead := func(_ *Chip, cmd iso7816.Command) bool { return isRead(cmd) && cmd.Ne > iso7816.MaxShortNe }
	atrInfo := func(a lds.ATRInfo) func([]byte) []byte {
		return func(content []byte) []byte {
			raw, err := lds.EncodeATRInfo(a)
			if err != nil {
				return content
			}
			return raw
		}
	}
	return []habit{
		// takesExtended asks for this one.
		row(shortOnly, 1, lengthClause, "takes short commands only, and says so", "chỉ nhận lệnh ngắn và có khai báo"),
		row("small-pieces", 1, lengthClause, "gives at most 112 octets a command", "mỗi lệnh chỉ đưa tối đa 112 byte").
			onCommand(func(_ *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
				if isRead(*cmd) {
					cmd.Ne = min(cmd.Ne, shortPiece)
				}
				return iso7816.Response{}, false
			}),
		row("atr-info-missing", 1, atrInfoClause, "takes extended lengths and has no EF.ATR/INFO to say so", "nhận độ dài mở rộng nhưng không có EF.ATR/INFO").
			onFile(lds.EFATRInfo, func([]byte) []byte { return nil }),
		row("atr-info-malformed", 1, atrInfoClause, "has an EF.ATR/INFO that is no BER-TLV", "EF.ATR/INFO không đúng BER-TLV").
			onFile(lds.EFATRInfo, func([]byte) []byte { return []byte{0x7F, 0x66, 0x84, 0xFF} }),
		row("atr-info-boasts", 1, atrInfoClause, "promises 64 KB a response and refuses more than 1024 octets with 6700", "hứa 64 KB mỗi trả lời nhưng từ chối quá 1024 byte (6700)").
			onCommand(refuse(iso7816.SWWrongLength, func(_ *Chip, cmd iso7816.Command) bool { return isRead(cmd) && cmd.Ne > realLimit })).
			onFile(lds.EFATRInfo, atrInfo(lds.NewATRInfo(0xFFFF, 0xFFFF))),
		row("atr-info-modest", 1, atrInfoClause, "takes 32 KB a response and promises 300 octets", "nhận 32 KB mỗi trả lời nhưng chỉ hứa 300 byte").
			onFile(lds.EFATRInfo, atrInfo(lds.NewATRInfo(300, 300))),

		row("extended-6700", 2, lengthClause, "promises extended lengths and answers 6700 to them, outside secure messaging", "hứa độ dài mở rộng nhưng trả 6700, ngoài kênh bảo mật").
			onLine(toExtended(iso7816.SWWrongLength)),
		row("extended-6700-protected", 2, lengthClause, "the same, inside secure messaging", "như trên, trong kênh bảo mật").
			onCommand(refuse(iso7816.SWWrongLength, longRead)),
		row("extended-empty", 2, lengthClause, "answers extended commands with 9000 and nothing, outside secure messaging", "trả 9000 không dữ liệu cho lệnh mở rộng, ngoài kênh bảo mật").
			onLine(toExtended(iso7816.SWSuccess)),
		row("extended-empty-protected", 2, lengthClause, "the same, inside secure messaging", "như trên, trong kênh bảo mật").
			onCommand(refuse(iso7816.SWSuccess, longRead)),
		row("extended-61xx", 2, "ISO/IEC 7816-4 §5.3.4", "gives what exceeds 256 octets by 61xx and GET RESPONSE", "phần vượt 256 byte trả qua 61xx và GET RESPONSE").
			onSent(func(c *Chip, _, response []byte) []byte {
				if len(response)-2 <= iso7816.MaxShortNe {
					return response
				}
				return c.part(response, iso7816.MaxShortNe)
			}),
		row("extended-6cxx", 2, "ISO/IEC 7816-4 §5.3.4", "answers extended commands with 6C00: ask for 256 octets", "trả 6C00 cho lệnh mở rộng: chỉ hỏi 256 byte").
			onLine(toExtended(swWrongLe)),
		row("extended-6cxx-protected", 2, "ISO/IEC 7816-4 §5.3.4", "answers with 6CC0, inside secure messaging: ask for 192 octets", "trả 6CC0 trong kênh bảo mật: chỉ hỏi 192 byte").
			onCommand(refuse(swWrongLe|0xC0, longRead)),
		row("extended-cut-256", 2, lengthClause, "cuts responses at 256 octets and says nothing", "lặng lẽ cắt trả lời ở 256 byte").
			onSent(func(_ *Chip, _, response []byte) []byte {
				if len(response)-2 <= iso7816.MaxShortNe {
					return response
				}
				return slices.Concat(response[:iso7816.MaxShortNe], response[len(response)-2:])
			}),
		row("extended-drops-channel", 2, "Doc 9303-11 §9.8.2", "ends secure messaging at an extended command, with 6988", "hủy kênh bảo mật khi gặp lệnh mở rộng (6988)").
			onLine(func(c *Chip, command []byte) []byte {
				if !isExtended(command) || c.channel == nil {
					return nil
				}
				c.endSession()
				return answer(iso7816.SWSecureMessagingIncorrect).Bytes()
			}),
		row("aa-cut-231", 2, "Doc 9303-11 §6.1.2", "cuts the signature of active authentication at what a short response holds", "cắt chữ ký xác thực chủ động theo trả lời ngắn").
			onResult(func(c *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
				if cmd.INS == insInternalAuthenticate && cmd.Ne <= iso7816.MaxShortNe && c.channel != nil {
					r.Data = r.Data[:min(len(r.Data), c.channel.MaxPlainResponse(false, 0))]
				}
				return r
			}),
		row("aa-cut-always", 2, "Doc 9303-11 §6.1.2", "cuts it at 231 octets whatever is asked for", "luôn cắt chữ ký ở 231 byte").
			onResult(func(_ *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
				if cmd.INS == insInternalAuthenticate {
					r.Data = r.Data[:min(len(r.Data), 231)]
				}
				return r
			}),
	}
}

// swWrongLe is 6Cxx: xx octets are there, 00 being 256.
const swWrongLe iso7816.StatusWord = 0x6C00

// selectHabits are complaint 3.
func selectHabits() []habit {
	const clause = "ISO/IEC 7816-4 §11.2.2"
	const readClause = "ISO/IEC 7816-4 §11.3"
	isMaster := func(cmd iso7816.Command) bool {
		return cmd.INS == insSelect && cmd.P1 == selectByID && (len(cmd.Data) == 0 || string(cmd.Data) == "\x3F\x00")
	}
	selecting := func(match func(iso7816.Command) bool) func(*Chip, iso7816.Command) bool {
		return func(_ *Chip, cmd iso7816.Command) bool { return cmd.INS == insSelect && match(cmd) }
	}
	// The end of a file: the chip by the book gives what there is, with 6282.
	atEnd := func(change func(iso7816.Response) iso7816.Response) func(*Chip, iso7816.Command, iso7816.Response) iso7816.Response {
		return func(_ *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
			if cmd.INS != insReadBinary || r.SW != iso7816.SWEndOfFile {
				return r
			}
			return change(r)
		}
	}
	endsWith := func(sw iso7816.StatusWord) func(*Chip, iso7816.Command, iso7816.Response) iso7816.Response {
		return atEnd(func(iso7816.Response) iso7816.Response { return answer(sw) })
	}
	byShortID := func(cmd iso7816.Command) bool { return cmd.INS == insReadBinary && cmd.P1&shortIDMark != 0 }
	return []habit{
		// selectMaster asks for this one.
		row(NoMasterFile, 3, clause, "does not know SELECT of the master file (6D00), as CCCD chips", "không có lệnh SELECT thư mục gốc (6D00), như chip CCCD"),
		row("select-mf-6a82", 3, clause, "does not find its master file (6A82)", "không tìm thấy thư mục gốc (6A82)").
			onCommand(refuse(iso7816.SWFileNotFound, func(_ *Chip, cmd iso7816.Command) bool { return isMaster(cmd) })),
		row("select-mf-6a87", 3, clause, "selects the master file without its identifier only (6A87)", "chỉ chọn thư mục gốc khi không kèm mã 3F00 (6A87)").
			onCommand(refuse(swWrongLc, func(_ *Chip, cmd iso7816.Command) bool { return isMaster(cmd) && len(cmd.Data) > 0 })),
		row("select-p2-00", 3, clause, "refuses SELECT with P2 = 0C (6A86)", "từ chối SELECT với P2 = 0C (6A86)").
			onCommand(refuse(iso7816.SWWrongP1P2, selecting(func(cmd iso7816.Command) bool { return cmd.P2 == wantNone }))),
		row("select-p2-00-no-le", 3, clause, "wants SELECT with P2 = 00 and without Le (6A86, 6700)", "chỉ nhận SELECT với P2 = 00 và không có Le (6A86, 6700)").
			onCommand(func(_ *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
				switch {
				case cmd.INS != insSelect:
					return iso7816.Response{}, false
				case cmd.P2 == wantNone:
					return answer(iso7816.SWWrongP1P2), true
				}
				return answer(iso7816.SWWrongLength), cmd.Ne > 0
			}),
		row("select-wants-le", 3, clause, "refuses SELECT without Le (6700)", "từ chối SELECT không có Le (6700)").
			onCommand(refuse(iso7816.SWWrongLength, selecting(func(cmd iso7816.Command) bool { return cmd.Ne == 0 }))),
		row("select-gives-fci", 3, clause, "gives file control information though P2 = 0C forbids it", "trả thông tin tệp dù P2 = 0C không cho phép").
			onCommand(func(_ *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
				if cmd.INS == insSelect && cmd.P2 == wantNone {
					cmd.P2, cmd.Ne = wantFCI, iso7816.MaxShortNe
				}
				return iso7816.Response{}, false
			}),
		row("dir-6982", 3, "Doc 9303-10 §3.11", "keeps EF.DIR and EF.ATR/INFO to itself until access is open (6982)", "giữ kín EF.DIR và EF.ATR/INFO trước khi mở truy cập (6982)").
			onCommand(refuse(iso7816.SWSecurityStatus, func(c *Chip, cmd iso7816.Command) bool {
				if c.application || c.secured {
					return false
				}
				for _, f := range []lds.File{lds.EFDIR, lds.EFATRInfo} {
					if cmd.INS == insSelect && string(cmd.Data) == string([]byte{byte(f.ID() >> 8), byte(f.ID())}) ||
						byShortID(cmd) && cmd.P1&^shortIDMark == f.ShortID() {
						return true
					}
				}
				return false
			})),
		row("sfi-none", 3, readClause, "knows no short file identifiers (6A86)", "không nhận mã tệp ngắn (6A86)").
			onCommand(refuse(iso7816.SWWrongP1P2, func(_ *Chip, cmd iso7816.Command) bool { return byShortID(cmd) })),
		row("sfi-wrong", 3, readClause, "takes every short file identifier of the application for EF.COM", "coi mọi mã tệp ngắn là EF.COM").
			onCommand(func(c *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
				if byShortID(*cmd) && c.application {
					cmd.P1 = shortIDMark | lds.EFCOM.ShortID()
				}
				return iso7816.Response{}, false
			}),
		row("sfi-not-current", 3, readClause, "reads by short file identifier and leaves another file selected", "đọc theo mã tệp ngắn nhưng không chọn tệp đó").
			onCommand(func(c *Chip, _ *iso7816.Command) (iso7816.Response, bool) {
				c.odd.before = c.file
				return iso7816.Response{}, false
			}).
			onResult(func(c *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
				if byShortID(cmd) {
					c.file = c.odd.before
				}
				return r
			}),
		row("end-9000", 3, readClause, "gives less than was asked for at the end of a file, with 9000", "cuối tệp trả thiếu kèm 9000").
			onResult(atEnd(func(r iso7816.Response) iso7816.Response { r.SW = iso7816.SWSuccess; return r })),
		row("end-6b00", 3, readClause, "gives nothing where more is asked for than is left (6B00)", "hỏi quá cuối tệp thì không trả gì (6B00)").
			onResult(endsWith(iso7816.SWWrongOffset)),
		row("end-6a86", 3, readClause, "the same with 6A86", "như trên với 6A86").onResult(endsWith(iso7816.SWWrongP1P2)),
		row("end-6700", 3, readClause, "the same with 6700", "như trên với 6700").onResult(endsWith(iso7816.SWWrongLength)),
		row("end-6282", 3, readClause, "the same with 6282 and no data", "như trên với 6282, không dữ liệu").onResult(endsWith(iso7816.SWEndOfFile)),
		row("end-6cxx", 3, readClause, "the same with 6Cxx, the octets that are left", "như trên với 6Cxx là số byte còn lại").
			onResult(atEnd(func(r iso7816.Response) iso7816.Response {
				left := len(r.Data)
				if left > 0xFF {
					left = 0 // 256, the most that the status word can say
				}
				return answer(swWrongLe | iso7816.StatusWord(left))
			})),
	}
}

// swWrongLc says that Lc does not fit P1-P2.
const swWrongLc iso7816.StatusWord = 0x6A87

// accessHabits are complaint 4.
func accessHabits() []habit {
	const paceClause = "Doc 9303-11 §4.4"
	const infoClause = "Doc 9303-11 §9.2"
	// withPACE changes the offers in EF.CardAccess. Where the signed DG14 repeats
	// them, the issuer's do not change with them.
	withPACE := func(change func(*lds.SecurityInfos)) func([]byte) []byte {
		return func(content []byte) []byte {
			infos, err := lds.DecodeCardAccess(content)
			if err != nil {
				return content
			}
			change(&infos)
			raw, err := lds.EncodeCardAccess(infos)
			if err != nil {
				return content
			}
			return raw
		}
	}
	isSetPACE := func(cmd iso7816.Command) bool {
		return cmd.INS == insManageSecurity && uint16(cmd.P1)<<8|uint16(cmd.P2) == setPACE
	}
	wrongBAC := func(sw iso7816.StatusWord) func(*Chip, iso7816.Command, iso7816.Response) iso7816.Response {
		return func(_ *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
			if cmd.INS == insExternalAuthenticate && r.SW == iso7816.SWAuthenticationFailed {
				return answer(sw)
			}
			return r
		}
	}
	return []habit{
		row("pace-no-parameter-id", 4, infoClause, "leaves the number of the domain parameters out of its PACEInfo", "PACEInfo thiếu số tham số miền").
			onFile(lds.EFCardAccess, withPACE(func(infos *lds.SecurityInfos) {
				for i := range infos.PACE {
					infos.PACE[i].HasParameterID, infos.PACE[i].ParameterID = false, 0
				}
			})),
		row("pace-unsupported-first", 4, infoClause, "lists two kinds of PACE before its own that nobody speaks", "liệt kê trước hai kiểu PACE không ai hỗ trợ").
			onFile(lds.EFCardAccess, withPACE(func(infos *lds.SecurityInfos) {
				infos.PACE = append([]lds.PACEInfo{
					{Protocol: lds.OIDPACE(lds.ECDH, lds.IntegratedMapping, iso7816.AES128), Version: 2, ParameterID: 10, HasParameterID: true},
					{Protocol: lds.OIDPACE(lds.ECDH, lds.GenericMapping, iso7816.AES128), Version: 2, ParameterID: 30, HasParameterID: true},
				}, infos.PACE...)
			})),
		row("pace-hidden", 4, paceClause, "has PACE and no EF.CardAccess to say so", "có PACE nhưng giấu EF.CardAccess").
			onFile(lds.EFCardAccess, func([]byte) []byte { return nil }),
		row("pace-refused", 4, paceClause, "offers PACE and answers 6A80 to MSE:Set AT", "mời PACE rồi trả 6A80 cho MSE:Set AT").
			onCommand(refuse(iso7816.SWWrongData, func(_ *Chip, cmd iso7816.Command) bool { return isSetPACE(cmd) })),
		row("pace-breaks-off", 4, paceClause, "begins PACE and answers 6F00 to its second step", "bắt đầu PACE rồi trả 6F00 ở bước hai").
			onCommand(refuse(iso7816.SWUnknown, func(c *Chip, cmd iso7816.Command) bool {
				return cmd.INS == insGeneralAuthenticate && !c.secured && len(cmd.Data) > 2
			})),
		row("pace-in-application", 4, paceClause, "runs PACE after its application was selected only (6985)", "chỉ chạy PACE sau khi chọn ứng dụng (6985)").
			onCommand(refuse(iso7816.SWConditionsNotSatisfied, func(c *Chip, cmd iso7816.Command) bool { return isSetPACE(cmd) && !c.application })),
		row("pace-63cx-at-once", 4, "Doc 9303-11 §4.4.4.1; TR-03110-3 §B.14", "answers 63C3 to every MSE:Set AT, right as it is", "trả 63C3 cho mọi MSE:Set AT dù lệnh đúng").
			onResult(func(_ *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
				if isSetPACE(cmd) && r.SW == iso7816.SWSuccess {
					r.SW = swTriesLeft | 3
				}
				return r
			}),
		row("card-access-trailing", 4, infoClause, "fills EF.CardAccess up with zeros", "EF.CardAccess có byte 00 thừa ở cuối").
			onFile(lds.EFCardAccess, func(content []byte) []byte {
				if content == nil {
					return nil
				}
				return append(slices.Clone(content), make([]byte, 64)...)
			}),
		row("bac-missing", 4, "Doc 9303-11 §4.3", "has PACE and no BAC (6D00)", "có PACE nhưng không có BAC (6D00)").
			onCommand(refuse(iso7816.SWInstructionNotSupported, func(c *Chip, cmd iso7816.Command) bool {
				return !c.secured && (cmd.INS == insGetChallenge || cmd.INS == insExternalAuthenticate)
			})),
		row("wrong-can-6300", 4, paceClause, "answers a wrong CAN with 6300, without the tries that are left", "CAN sai trả 6300, không cho biết số lần còn lại").
			onResult(func(_ *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
				if cmd.INS == insGeneralAuthenticate && r.SW&0xFFF0 == swTriesLeft {
					return answer(iso7816.SWAuthenticationFailed)
				}
				return r
			}),
		row("wrong-mrz-6982", 4, "Doc 9303-11 §4.3", "answers a wrong MRZ with 6982, not 6300", "MRZ sai trả 6982 thay vì 6300").onResult(wrongBAC(iso7816.SWSecurityStatus)),
		row("wrong-mrz-6985", 4, "Doc 9303-11 §4.3", "answers a wrong MRZ with 6985", "MRZ sai trả 6985").onResult(wrongBAC(iso7816.SWConditionsNotSatisfied)),
		row("wrong-mrz-6988", 4, "Doc 9303-11 §4.3", "answers a wrong MRZ with 6988", "MRZ sai trả 6988").onResult(wrongBAC(iso7816.SWSecureMessagingIncorrect)),
	}
}

// keyHabits are complaints 7 and 8, as far as they are the chip's.
func keyHabits() []habit {
	const clause = "Doc 9303-11 §4.4.4.2; TR-03111 §3.2"
	// withPoint changes the chip's points of PACE: of its mapping and its key.
	withPoint := func(change func(point []byte) []byte) func(*Chip, iso7816.Command, iso7816.Response) iso7816.Response {
		return func(c *Chip, cmd iso7816.Command, r iso7816.Response) iso7816.Response {
			if cmd.INS != insGeneralAuthenticate || c.secured || r.SW != iso7816.SWSuccess {
				return r
			}
			dynamic, err := tlv.ReadOne(r.Data, tagDynamic)
			if err != nil {
				return r
			}
			obj, rest, err := tlv.Read(dynamic.Value)
			if err != nil || len(rest) > 0 || obj.Tag != tagMappingData && obj.Tag != tagEphemeral || len(obj.Value) == 0 || obj.Value[0] != uncompressed {
				return r
			}
			r.Data = tlv.Encode(tagDynamic, tlv.Encode(obj.Tag, change(slices.Clone(obj.Value))))
			return r
		}
	}
	// withHeader gives DG2 another length than it has.
	withHeader := func(length int) func([]byte) []byte {
		return func(content []byte) []byte {
			obj, _, err := tlv.Read(content)
			if err != nil {
				return content
			}
			return append(tlv.AppendHeader(nil, obj.Tag, len(obj.Value)+length), obj.Value...)
		}
	}
	return []habit{
		// setChipAuthentication and agreeWith3DES ask for this one.
		row(NoSetKAT, 7, "Doc 9303-11 §8.5", "runs chip authentication with 3DES by the commands for AES only", "xác thực chip 3DES chỉ chạy bằng lệnh của AES"),
		row("pace-point-compressed", 7, clause, "sends its points of PACE compressed", "gửi điểm PACE ở dạng nén").
			onResult(withPoint(func(p []byte) []byte {
				half := 1 + (len(p)-1)/2
				p[0] = 0x02 | p[len(p)-1]&1
				return p[:half]
			})),
		row("pace-point-off-curve", 7, clause, "sends points of PACE that are not on the curve", "gửi điểm PACE không nằm trên đường cong").
			onResult(withPoint(func(p []byte) []byte { p[len(p)-1] ^= 1; return p })),
		row("dg2-claims-more", 8, "Doc 9303-10 §4.7.2", "has a DG2 that claims 1000 octets more than there are", "DG2 khai dài hơn thực tế 1000 byte").onFile(lds.DG2, withHeader(1000)),
		row("dg2-claims-less", 8, "Doc 9303-10 §4.7.2", "has a DG2 that claims 1000 octets less than there are", "DG2 khai ngắn hơn thực tế 1000 byte").onFile(lds.DG2, withHeader(-1000)),
	}
}

const (
	tagDynamic     tlv.Tag = 0x7C
	tagMappingData tlv.Tag = 0x82
	tagEphemeral   tlv.Tag = 0x84
	uncompressed           = 0x04 // leads a point with both coordinates
)

// hostileAfter is the exchange of a channel at which the chip turns: when the
// reader has learned to rely on it.
const hostileAfter = 8

// hostileHabits are complaint 10.
func hostileHabits() []habit {
	const smClause = "Doc 9303-11 §9.8"
	const tlvClause = "ISO/IEC 7816-4 §5.2"
	endless := func() []byte { return bytes.Repeat([]byte{0x04, 0x01, 0xAA}, 100_000) }
	// From the inside out, and turned around in the end.
	nested := func(tag tlv.Tag, depth int) []byte {
		out := []byte{0x00, 0x05}
		for range depth {
			header := tlv.AppendHeader(nil, tag, len(out))
			slices.Reverse(header)
			out = append(out, header...)
		}
		slices.Reverse(out)
		return out
	}
	protected := func(change func(c *Chip, response []byte) []byte) func(*Chip, []byte, []byte) []byte {
		return func(c *Chip, command, response []byte) []byte {
			if len(command) == 0 || command[0]&claSecured != claSecured || c.odd.exchanges < hostileAfter {
				return response
			}
			return change(c, response)
		}
	}
	claims := func(length int) func([]byte) []byte {
		return func(content []byte) []byte {
			if len(content) == 0 {
				return content
			}
			out := tlv.AppendHeader(nil, tlv.Tag(content[0]), length)
			return append(out, content...)
		}
	}
	return []habit{
		row("atr-info-endless", 10, tlvClause, "has an EF.ATR/INFO of 300 KB", "EF.ATR/INFO dài 300 KB").
			onFile(lds.EFATRInfo, func([]byte) []byte { return endless() }),
		row("sod-claims-2gb", 10, tlvClause, "has an EF.SOD that claims 2 GB", "EF.SOD khai dài 2 GB").onFile(lds.EFSOD, claims(math.MaxInt32)),
		row("com-claims-2gb", 10, tlvClause, "has an EF.COM that claims 2 GB", "EF.COM khai dài 2 GB").onFile(lds.EFCOM, claims(math.MaxInt32)),
		row("dg2-claims-16mb", 10, tlvClause, "has a DG2 that claims 16 MB and goes on without end", "DG2 khai dài 16 MB và không có điểm cuối").
			onFile(lds.DG2, func(content []byte) []byte { return claims(1 << 24)(append(slices.Clone(content), endless()...)) }),
		row("sod-nested", 10, tlvClause, "has an EF.SOD nested 3000 deep", "EF.SOD lồng nhau 3000 tầng").
			onFile(lds.EFSOD, func([]byte) []byte { return tlv.Encode(tlv.Tag(lds.EFSOD.Tag()), nested(0x30, 3000)) }),
		row("card-access-nested", 10, tlvClause, "has an EF.CardAccess nested 3000 deep", "EF.CardAccess lồng nhau 3000 tầng").
			onFile(lds.EFCardAccess, func([]byte) []byte { return nested(0x31, 3000) }),
		row("counts-2-31", 10, atrInfoClause, "has counts of 2^31-1 in EF.ATR/INFO and EF.CardAccess", "các số đếm 2^31-1 trong EF.ATR/INFO và EF.CardAccess").
			onFiles(map[lds.File]func([]byte) []byte{
				lds.EFATRInfo: func([]byte) []byte {
					most := tlv.Encode(0x02, []byte{0x7F, 0xFF, 0xFF, 0xFF})
					return tlv.Encode(0x7F66, most, most)
				},
				lds.EFCardAccess: func(content []byte) []byte {
					infos, err := lds.DecodeCardAccess(content)
					if err != nil {
						return content
					}
					for i := range infos.PACE {
						infos.PACE[i].ParameterID, infos.PACE[i].HasParameterID = math.MaxInt32, true
					}
					raw, err := lds.EncodeCardAccess(infos)
					if err != nil {
						return content
					}
					return raw
				},
			}),
		row("dribbles", 10, lengthClause, "gives its files octet by octet", "đưa dữ liệu từng byte một").
			onCommand(func(_ *Chip, cmd *iso7816.Command) (iso7816.Response, bool) {
				if isRead(*cmd) {
					cmd.Ne = min(cmd.Ne, 1)
				}
				return iso7816.Response{}, false
			}),
		row("61xx-endless", 10, "ISO/IEC 7816-4 §5.3.4", "announces more octets after every response, for ever", "luôn báo còn dữ liệu (61xx), không bao giờ hết").
			onLine(func(*Chip, []byte) []byte {
				return iso7816.Response{Data: make([]byte, iso7816.MaxShortNe), SW: 0x6100}.Bytes()
			}),
		row("sm-drops", 10, smClause, "leaves secure messaging at the eighth exchange and answers in plain", "bỏ kênh bảo mật ở lần trao đổi thứ tám, trả lời trần").
			onResult(func(c *Chip, _ iso7816.Command, r iso7816.Response) iso7816.Response { c.odd.plain = r; return r }).
			onSent(protected(func(c *Chip, _ []byte) []byte { return c.odd.plain.Bytes() })),
		row("sm-repeats", 10, smClause, "repeats its last response from the eighth exchange on, counter and all", "lặp lại trả lời cũ từ lần trao đổi thứ tám").
			onSent(func(c *Chip, command, response []byte) []byte {
				if c.odd.exchanges >= hostileAfter && c.odd.reply != nil {
					return c.odd.reply
				}
				c.odd.reply = response
				return response
			}),
		row("sm-garbage", 10, smClause, "gives noise for cryptograms from the eighth exchange on", "trả bản mã rác từ lần trao đổi thứ tám").
			onSent(protected(func(_ *Chip, response []byte) []byte {
				noise := slices.Clone(response)
				for i := 4; i < len(noise)-16; i++ {
					noise[i] ^= 0xA5
				}
				return noise
			})),
		// newChannel asks for this one.
		row(wrongCounter, 10, smClause, "begins its send sequence counter one too high", "bộ đếm SSC bắt đầu lệch một"),
	}
}

const wrongCounter Habit = "sm-wrong-counter"

// newChannel starts secure messaging on the chip's side.
func (c *Chip) newChannel(keys iso7816.SessionKeys) (*iso7816.SecureMessaging, error) {
	if c.has(wrongCounter) {
		counter := make([]byte, keys.Cipher.BlockSize())
		copy(counter, keys.SSC)
		counter[len(counter)-1]++
		keys.SSC = counter
	}
	return iso7816.NewSecureMessaging(keys)
}

// The exchanges after which a chip forgets its session.
const (
	forgetsAfter = 10
	forgetsOften = 3
)

// sessionHabits are complaint 11, as far as they are the chip's.
func sessionHabits() []habit {
	const clause = "ISO/IEC 7816-3 §6.2.2; PC/SC part 5"
	forgets := func(after, times int) func(*Chip, []byte) []byte {
		return func(c *Chip, _ []byte) []byte {
			if c.channel != nil && c.odd.exchanges >= after && c.forgotten < times {
				c.forgotten++
				c.session = session{}
			}
			return nil
		}
	}
	return []habit{
		row("forgets-once", 11, clause, "loses its session once, as one that its reader has reset", "mất phiên một lần, như khi đầu đọc khởi động lại chip").onLine(forgets(forgetsAfter, 1)),
		row("forgets-often", 11, clause, "loses its session every third exchange", "cứ ba lần trao đổi lại mất phiên").onLine(forgets(forgetsOften, math.MaxInt)),
	}
}
