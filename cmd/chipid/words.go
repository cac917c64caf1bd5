package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"chipid/card/artwork"
	"chipid/card/bac"
	"chipid/card/iso7816"
	"chipid/card/pace"
	"chipid/enroll"
	"chipid/enroll/hub"
	"chipid/enroll/packet"
	"chipid/enroll/queue"
	"chipid/enroll/sync"
	"chipid/pki/clock"
	"chipid/pki/durable"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
	"chipid/reader/kinds"
	"chipid/reader/pcsc"
)

// The rooms word their errors in English. Here the errors that people at a
// station, a counter or a line meet are told in Vietnamese too: by their type
// and what is in it, never by the English text (but for wrong usage, usage.go). What nobody but an engineer
// meets stays English.

// inWords is an error in the user's language.
func (a *app) inWords(err error) string {
	if a.lang == "vi" {
		return inVietnamese(err)
	}
	return inEnglish(err)
}

// inEnglish is the rooms' own words, but for what a card does to stop a read:
// these say what went over the line, and a clerk wants to know what to do.
func inEnglish(err error) string {
	if several := joined(err); several != nil {
		lines := make([]string, len(several))
		for i, e := range several {
			lines[i] = inEnglish(e)
		}
		return strings.Join(lines, "\n")
	}
	if f, ok := faultOf(err); ok {
		return f.en + " (" + err.Error() + ")"
	}
	return err.Error()
}

// cardFault is what a card did that stopped a read. The sentence stands first;
// what engineers want to know follows it.
type cardFault struct {
	cause  error
	vi, en string
}

// cardFaults are asked in this order.
func cardFaults() []cardFault {
	return []cardFault{
		{
			reader.ErrTried,
			"thẻ đã nhận mật khẩu mà không trả lời đúng hay sai, và có thể đã tính một lần thử: hãy kiểm tra kỹ số CAN, MRZ hoặc mã PIN trước khi thử lại",
			"the card took the password and answered neither yes nor no, and may have counted a try: make sure of the CAN, MRZ or PIN before you try again",
		}, {
			reader.ErrTooSlow,
			"thẻ trả lời quá chậm: hãy lấy thẻ ra, đặt lại rồi thử lại; nếu vẫn vậy, thử đầu đọc khác",
			"the card answers too slowly: take it off, put it back and try again; if it stays so, try another reader",
		}, {
			reader.ErrBounds,
			"thẻ gửi nhiều dữ liệu hơn mọi thẻ thật: không tin thẻ này, hãy chuyển cho người kiểm tra",
			"the card sends more than any real card does: do not believe it, hand it to whoever looks into cards",
		}, {
			iso7816.ErrSecureMessaging,
			"kênh bảo mật với thẻ bị ngắt giữa chừng: hãy lấy thẻ ra, đặt lại rồi thử lại; nếu vẫn vậy, thẻ hỏng hoặc có thiết bị chen giữa thẻ và đầu đọc",
			"the protected channel to the card broke: take it off, put it back and try again; if it stays so, the card is faulty or something sits between card and reader",
		}, {
			pace.ErrAuthentication,
			"thẻ không mở được: số CAN hoặc MRZ không đúng, hoặc thẻ không phải thẻ đã cấp; hãy đối chiếu với những gì in trên thẻ rồi thử lại",
			"the card does not open: CAN or MRZ are not its own, or it is not the card that was issued; compare them with what is printed on it and try again",
		}, {
			bac.ErrAuthentication,
			"thẻ không mở được: MRZ không đúng, hoặc thẻ không phải thẻ đã cấp; hãy đối chiếu với những gì in trên thẻ rồi thử lại",
			"the card does not open: the MRZ is not its own, or it is not the card that was issued; compare it with what is printed on the card and try again",
		}, {
			pace.ErrProtocol,
			"thẻ trả lời sai giao thức khi mở: hãy lấy thẻ ra, đặt lại rồi thử lại; nếu vẫn vậy, không tin thẻ này",
			"the card answers wrongly while it is opened: take it off, put it back and try again; if it stays so, do not believe it",
		}, {
			iso7816.ErrAPDU,
			"thẻ hoặc đầu đọc trả lời không đúng dạng: hãy lấy thẻ ra, đặt lại rồi thử lại; nếu vẫn vậy, thử đầu đọc khác",
			"the card or the reader answers in no form that a card has: take it off, put it back and try again; if it stays so, try another reader",
		},
	}
}

func faultOf(err error) (cardFault, bool) {
	// A wrong password or none that fits, a card that is gone, another program:
	// these say themselves what to do.
	var wrong *reader.PasswordError
	if errors.As(err, &wrong) || errors.Is(err, reader.ErrAnotherCard) || errors.Is(err, inspect.ErrNoPassword) || errors.As(err, new(*toldError)) {
		return cardFault{}, false
	}
	for _, f := range cardFaults() {
		if errors.Is(err, f.cause) {
			return f, true
		}
	}
	var refused *iso7816.StatusError
	if errors.As(err, &refused) && !errors.As(err, new(*bureau.RecordError)) && !errors.As(err, new(*reader.PersonaliseError)) {
		return cardFault{
			vi: "thẻ từ chối lệnh: hãy lấy thẻ ra, đặt lại rồi thử lại; nếu vẫn vậy, đây không phải loại thẻ cần đọc hoặc thẻ hỏng",
			en: "the card refuses: take it off, put it back and try again; if it stays so, it is another kind of card or a faulty one",
		}, true
	}
	return cardFault{}, false
}

func inVietnamese(err error) string {
	if several := joined(err); several != nil {
		lines := make([]string, len(several))
		for i, e := range several {
			lines[i] = inVietnamese(e)
		}
		return strings.Join(lines, "\n")
	}
	for _, tell := range vietnamese() {
		if text := tell(err); text != "" {
			return text
		}
	}
	if f, ok := faultOf(err); ok {
		return f.vi + " (" + err.Error() + ")"
	}
	return err.Error()
}

// joined takes apart what errors.Join made; an error with two causes in one
// sentence is one error.
func joined(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(j.Unwrap()...).Error() {
		return nil
	}
	return j.Unwrap()
}

// toldError has its words in the user's language already.
type toldError struct {
	text  string
	cause error
}

func (e *toldError) Error() string { return e.text }
func (e *toldError) Unwrap() error { return e.cause }

// told words an error where it is met, for what only the command knows.
func (a *app) told(cause error, vi, en string) error {
	return &toldError{a.say(vi, en), cause}
}

// is tells a sentinel error.
func is(target error, text string) func(error) string {
	return func(err error) string {
		if errors.Is(err, target) {
			return text
		}
		return ""
	}
}

// as tells an error by what its type holds; no text is none of it.
func as[E error](tell func(E) string) func(error) string {
	return func(err error) string {
		var found E
		if errors.As(err, &found) {
			return tell(found)
		}
		return ""
	}
}

// vietnamese are asked in this order: an error that says what another one is
// about stands before it.
func vietnamese() []func(error) string {
	return []func(error) string{
		// What was being done.
		as(func(e *toldError) string { return e.text }),
		as(func(e *misuse) string { return e.inVietnamese() }),
		as(func(e *bureau.RecordError) string {
			return fmt.Sprintf("hồ sơ %s: %s", e.Record, inVietnamese(e.Err))
		}),

		// The reader and the card on it.
		as(func(e *pcsc.NoSuchReaderError) string {
			return fmt.Sprintf("không có đầu đọc nào tên là %q: hãy chọn theo số hoặc tên trong số này: %s", e.Selector, readerNames(e.Readers))
		}),
		as(func(e *pcsc.AmbiguousError) string {
			if e.Selector == "" {
				return "có thẻ trên nhiều đầu đọc: hãy chọn một bằng --reader: " + readerNames(e.Readers)
			}
			return fmt.Sprintf("có nhiều đầu đọc khớp với %q: hãy chọn một: %s", e.Selector, readerNames(e.Readers))
		}),
		is(pcsc.ErrNoService, "dịch vụ thẻ thông minh chưa chạy: hãy khởi động nó (Linux: systemctl start pcscd, hoặc pcscd -f, trong gói pcscd; Windows: cắm đầu đọc thì dịch vụ tự chạy, hoặc khởi động dịch vụ SCardSvr)"),
		is(pcsc.ErrStuck, "dịch vụ thẻ thông minh không trả lời: hãy rút đầu đọc rồi cắm lại, hoặc khởi động lại dịch vụ (Linux: systemctl restart pcscd; Windows: dịch vụ SCardSvr)"),
		is(pcsc.ErrNoAccess, "dịch vụ thẻ thông minh không cho người dùng này sử dụng: hãy cấp quyền trong polkit (org.debian.pcsc-lite.access_pcsc), hoặc đăng nhập ngay tại máy"),
		is(pcsc.ErrNoReader, "chưa cắm đầu đọc thẻ nào: hãy cắm đầu đọc, hoặc xem chipid reader list"),
		is(pcsc.ErrNoCard, "không có thẻ trên đầu đọc: hãy đặt thẻ lên rồi thử lại"),
		is(pcsc.ErrCardRemoved, "thẻ đã bị lấy ra khỏi đầu đọc: hãy đặt lại, để yên đến khi xong, và thử lại"),
		is(pcsc.ErrCardMute, "thẻ không phản hồi: hãy lấy ra, lau sạch hoặc lật mặt thẻ, rồi thử lại"),
		is(pcsc.ErrInUse, "một chương trình khác đang dùng thẻ này: hãy đóng chương trình đó (hoặc chipid thứ hai) rồi thử lại"),
		is(pcsc.ErrReset, "thẻ đã bị khởi động lại giữa chừng, do chương trình khác hoặc do máy tính: hãy đóng các chương trình khác đang dùng thẻ rồi thử lại"),
		is(pcsc.ErrIdle, "thẻ không được hỏi gì trong nhiều phút nên đã được nhả ra: hãy thử lại"),
		is(pcsc.ErrNoCommands, "thẻ này không nhận lệnh nên không phải thẻ căn cước: hãy đặt thẻ khác lên đầu đọc rồi thử lại"),
		is(reader.ErrAnotherCard, "thẻ được đặt lại không phải thẻ lúc đầu: hãy đặt đúng thẻ lúc đầu, hoặc đọc lại từ đầu với thẻ này"),
		is(chipfile.ErrPlugged, "chip này đang cắm ở một đầu đọc khác: hãy rút ra ở đó trước (Ctrl-C trong lệnh chipid card simulate kia)"),
		is(pcsc.ErrNotBuilt, "bản chipid này được dựng không có PC/SC: hãy dựng lại với CGO_ENABLED=1 và libpcsclite-dev"),
		as(wrongPassword),
		as(func(e *inspect.IncompleteError) string {
			return fmt.Sprintf("dạng %s cần %s mà lần đọc này không có: hãy đọc lại toàn bộ thẻ", e.Form, strings.ReplaceAll(strings.Join(e.Missing, ", "), inspect.MissingSignature, "chữ ký xác thực chủ động"))
		}),
		is(inspect.ErrNoChipRead, "chưa đọc chip nào, chỉ có các tệp: hãy đọc thẻ bằng chipid read --out rồi xuất từ đó"),
		is(inspect.ErrEvidence, "đây không phải bằng chứng do chipid read --out ghi, hoặc tệp đã hỏng: hãy chọn tệp khác"),
		is(kinds.ErrForeign, "tệp đã chọn chứa dữ liệu khác nên không bị ghi đè: hãy chọn tệp khác hoặc xóa nó"),
		is(inspect.ErrBlank, "thẻ này là thẻ trắng: chưa có gì được ghi lên"),
		as(func(e *reader.NoSuchPasswordError) string {
			return "thẻ này không có " + passwordVI(e.Password)
		}),
		is(inspect.ErrNoPassword, "chip chưa mở được bằng những gì đã nhập: hãy nhập số CAN (sáu chữ số ở mặt trước thẻ), hoặc MRZ, hoặc số giấy tờ cùng ngày sinh và ngày hết hạn"),

		// Keys and folders.
		is(keystore.ErrWrongPassphrase, "sai mật khẩu: hãy kiểm tra mật khẩu (--passphrase-file hoặc CHIPID_PASSPHRASE) rồi làm lại"),
		as(func(e *trust.FolderError) string {
			if errors.Is(e.Err, fs.ErrNotExist) {
				return fmt.Sprintf("không có thư mục tin cậy %s: hãy chỉ đúng thư mục chứa chứng thư CSCA bằng --trust DIR", e.Dir)
			}
			return fmt.Sprintf("không mở được thư mục tin cậy %s: %s", e.Dir, inVietnamese(e.Err))
		}),
		as(func(e *noFontError) string {
			return fmt.Sprintf("không có phông chữ OCR-B tại %s: hãy cài gói fonts-ocr-b của Debian, hoặc chỉ một phông khác bằng --ocrb-font FILE", e.path)
		}),
		is(artwork.ErrFont, "không dùng được phông chữ OCR-B đã chọn: hãy cài gói fonts-ocr-b của Debian"),

		// The queue.
		as(func(e *queue.ClockError) string {
			if e.Newest.IsZero() || clock.Unset(e.Now) {
				return fmt.Sprintf("đồng hồ của trạm chỉ %s, không thể đúng: hãy chỉnh ngày giờ rồi làm lại; chưa có gì bị thay đổi", minute(e.Now))
			}
			return fmt.Sprintf("đồng hồ của trạm chỉ %s, nhưng mục mới nhất của hàng đợi được ghi lúc %s: hãy chỉnh ngày giờ rồi làm lại (nếu trước đó đồng hồ chạy nhanh, xem chipid audit clock --help); chưa có gì bị thay đổi",
				minute(e.Now), minute(e.Newest))
		}),
		as(func(e *enroll.FourEyesError) string {
			return fmt.Sprintf("không duyệt được: hồ sơ %s do chính người này nhập hoặc sửa; phải có người thứ hai duyệt", e.ID)
		}),
		as(func(e *enroll.TransitionError) string {
			wants := make([]string, len(e.Wants))
			for i, s := range e.Wants {
				wants[i] = stateVI(s)
			}
			return fmt.Sprintf("không làm được bước %q: hồ sơ %s đang ở trạng thái %q; bước này chỉ dành cho hồ sơ %s",
				actionVI(e.Action), e.ID, stateVI(e.State), strings.Join(wants, " hoặc "))
		}),
		as(func(e *queue.DuplicateError) string {
			return fmt.Sprintf("số định danh của người này đã có trong hàng đợi: hồ sơ %s, trạng thái %s", e.ID, stateVI(e.State))
		}),
		as(func(e *queue.TakenError) string {
			return fmt.Sprintf("dòng này đã được nhận từ trước: hồ sơ %s, trạng thái %s", e.ID, stateVI(e.State))
		}),
		as(func(e *queue.AssignedError) string {
			if e.Batch == "" {
				return fmt.Sprintf("hồ sơ %s không thuộc lô nào", e.ID)
			}
			return fmt.Sprintf("hồ sơ %s đang thuộc lô %s: hãy để lô đó làm xong (chipid batch run), hoặc nếu lô đã mất: chipid batch abandon", e.ID, e.Batch)
		}),
		is(queue.ErrHasCard, "hồ sơ này đã được phát hành thẻ"),
		is(queue.ErrNotFound, "không có hồ sơ nào với mã hoặc số định danh đó trong hàng đợi của trạm này"),
		is(queue.ErrLocked, "một chipid khác trên máy này đang dùng hàng đợi; hãy thử lại khi nó xong"),
		is(queue.ErrDamaged, "hàng đợi bị hỏng: hãy giữ nguyên thư mục và khôi phục từ bản sao lưu"),
		is(queue.ErrDiskFull, "đĩa đã đầy: hãy giải phóng chỗ rồi làm lại; chưa có gì bị thay đổi"),
		is(queue.ErrTooLarge, "quá lớn, không nhận được vào hàng đợi"),

		// The line.
		is(bureau.ErrLocked, "một chương trình khác đang làm việc với lô hoặc kho chip này; hãy thử lại khi nó xong"),
		is(bureau.ErrNoBatch, "thư mục này không có lô nào (tạo lô bằng: chipid batch plan)"),
		is(bureau.ErrNoBlanks, "đã hết thẻ trắng"),
		is(bureau.ErrNotFound, "không tìm thấy chip"),

		// The centre.
		as(func(e *sync.ClockError) string {
			return fmt.Sprintf("đồng hồ của trạm chỉ %s, của trung tâm chỉ %s: hãy chỉnh đồng hồ rồi gửi lại; chưa gửi gì", second(e.Station), second(e.Hub))
		}),
		as(func(e *sync.IdentityError) string { return notOurHub(e) }),
		as(func(e *packet.Refusal) string { return refusalVI(e.Code, e.Reason) }),
		as(func(e *sync.UnreachableError) string {
			return fmt.Sprintf("không liên lạc được với trung tâm tại %s: mọi hồ sơ vẫn ở đây, hãy gửi lại sau", e.Hub)
		}),
		is(hub.ErrLocked, "một chipid hub khác đang phục vụ thư mục này"),

		// Files.
		as(func(e *durable.TooLargeError) string {
			return fmt.Sprintf("%s lớn hơn %s nên không phải là tệp cần dùng: hãy chọn tệp khác", e.Path, durable.Size(e.Limit))
		}),
		as(func(e *durable.NotFileError) string {
			return fmt.Sprintf("%s không phải là một tệp: hãy chọn tệp khác", e.Path)
		}),
		as(func(e *fs.PathError) string {
			switch {
			case errors.Is(e.Err, fs.ErrNotExist):
				return "không có tệp hoặc thư mục " + e.Path
			case errors.Is(e.Err, fs.ErrPermission):
				return "không có quyền dùng " + e.Path
			}
			return ""
		}),
	}
}

func passwordVI(name string) string {
	switch name {
	case "CAN":
		return "số CAN"
	case "MRZ":
		return "dữ liệu MRZ"
	case "PIN", "PUK":
		return "mã " + name
	}
	return name
}

func wrongPassword(e *reader.PasswordError) string {
	what := passwordVI(e.Password)
	switch {
	case e.Blocked && e.Password == "CAN":
		return "thẻ không nhận số CAN nữa vì đã nhập sai quá nhiều lần: hãy mở thẻ bằng MRZ; nếu vẫn không được, chỉ cơ quan cấp thẻ mới giúp được"
	case e.Blocked && e.Password == "PIN":
		return "thẻ đã khóa mã PIN vì nhập sai quá nhiều lần: hãy mở khóa bằng mã PUK (chipid card unblock), hoặc mở thẻ bằng số CAN hay MRZ"
	case e.Blocked && e.Password == "PUK":
		return "mã PUK của thẻ đã dùng hết số lần: chỉ cơ quan cấp thẻ mới giúp được; số CAN và MRZ vẫn mở được thẻ"
	case e.Blocked:
		return "thẻ đã khóa " + what + ": chỉ cơ quan cấp thẻ mới giúp được"
	case e.Suspended && e.Untried:
		return "thẻ đã tạm ngưng mã PIN sau hai lần nhập sai: hãy nhập số CAN cùng với mã PIN; nhập sai PIN một lần nữa thì thẻ khóa"
	case e.Suspended:
		return "sai mã PIN: chỉ còn 1 lần thử, và thẻ chỉ nhận khi có cả số CAN; hãy chắc chắn mã PIN trước khi thử lại, sai nữa thì thẻ khóa"
	case e.TriesLeft == 1:
		return "sai " + what + ": chỉ còn 1 lần thử trước khi thẻ khóa; hãy kiểm tra kỹ trước khi thử lại"
	case e.TriesLeft > 1:
		return fmt.Sprintf("sai %s: còn %d lần thử", what, e.TriesLeft)
	case e.Password == "PIN" || e.Password == "PUK":
		return "sai " + what + ": hãy kiểm tra kỹ trước khi thử lại"
	}
	return "sai " + what + ": hãy đối chiếu với những gì in trên thẻ rồi thử lại"
}

func notOurHub(e *sync.IdentityError) string {
	switch e.Kind {
	case sync.OutOfDate:
		return "chứng thư của trung tâm ngoài thời hạn theo đồng hồ của trạm này: hãy chỉnh đồng hồ, hoặc gia hạn chứng thư của trung tâm"
	case sync.OtherAddress:
		return fmt.Sprintf("chứng thư của trung tâm không dành cho địa chỉ %s: hãy dùng địa chỉ có trong chứng thư, hoặc cấp lại chứng thư (chipid pki init --host)", e.Host)
	case sync.NoTLS:
		return fmt.Sprintf("máy trả lời tại %s không dùng TLS: đó không phải trung tâm", e.Host)
	case sync.NotOurselves:
		return "trung tâm không chấp nhận chứng thư của trạm này: chứng thư do nơi khác cấp, hoặc đã hết hạn"
	}
	return fmt.Sprintf("máy trả lời tại %s không có chứng thư của trung tâm ta: đó là chương trình khác, trung tâm khác, hoặc có kẻ đứng giữa", e.Host)
}

// reason is why the gate or the hub refused a record.
func (a *app) reason(code packet.Code, english string) string {
	if a.lang == "vi" {
		return refusalVI(code, english)
	}
	return english
}

// refusalVI adds the English detail where the code alone does not say enough.
func refusalVI(code packet.Code, detail string) string {
	switch code {
	case packet.EvidenceRejected:
		return "lần đọc chip không đạt kiểm tra (" + detail + ")"
	case packet.EvidenceUndetermined:
		return "chưa chứng minh được chip đã đọc là thật (" + detail + ")"
	case packet.EvidenceMissing:
		return "thiếu dữ liệu đọc chip mà hồ sơ nói đến"
	case packet.EvidenceMismatch:
		return "chip là thật, nhưng của người khác"
	case packet.NotApproved:
		return "hồ sơ phải do hai người khác nhau nhập và duyệt"
	case packet.BadManifest, packet.NotReadable, packet.PacketMismatch:
		return "gói hồ sơ không hợp lệ (" + detail + ")"
	case packet.BadSignature:
		return "chữ ký của trạm trên gói hồ sơ không đúng"
	case packet.WrongStation:
		return "gói hồ sơ của trạm khác"
	case packet.PacketReused, packet.DigestReused, packet.SequenceReused, packet.RecordReused:
		return "trung tâm đã có hồ sơ, gói hoặc số thứ tự này từ một gói khác (" + detail + ")"
	case packet.DigestMismatch:
		return "gói hồ sơ bị hỏng trên đường truyền: hãy gửi lại"
	case packet.UnknownStation:
		return "trung tâm không biết trạm này, hoặc không nhận trạm này nữa: hãy báo người quản lý trung tâm"
	case packet.TooMany:
		return "trung tâm đang quá tải: hãy gửi lại sau"
	case packet.DiskFull:
		return "đĩa của trung tâm đã đầy: hãy báo người quản lý trung tâm"
	case packet.HubFailed:
		return "trung tâm gặp sự cố: hãy gửi lại sau"
	case packet.NotReceived:
		return "trung tâm chưa nhận đủ gói hồ sơ: hãy gửi lại"
	}
	return detail
}

// state is an application's state in the user's language; flags and JSON keep
// the one word.
func (a *app) state(s enroll.State) string { return a.say(stateVI(s), string(s)) }

func stateVI(s enroll.State) string {
	switch s {
	case enroll.Draft:
		return "chưa đủ"
	case enroll.Complete:
		return "chờ duyệt"
	case enroll.Approved:
		return "đã duyệt"
	case enroll.Sealed:
		return "đã niêm phong"
	case enroll.Sent:
		return "đã gửi"
	case enroll.Received:
		return "đã nhận"
	case enroll.Quarantined:
		return "cách ly"
	case enroll.Rejected:
		return "bị từ chối"
	}
	return string(s)
}

func actionVI(action enroll.Action) string {
	switch action {
	case enroll.Add:
		return "nhập"
	case enroll.Amend:
		return "sửa"
	case enroll.Assess:
		return "kiểm tra"
	case enroll.AttachEvidence:
		return "gắn lần đọc chip"
	case enroll.Approve:
		return "duyệt"
	case enroll.Assign:
		return "giao cho lô"
	case enroll.Unassign:
		return "rút khỏi lô"
	case enroll.Reject:
		return "từ chối"
	case enroll.Quarantine:
		return "cách ly"
	case enroll.Release:
		return "bỏ cách ly"
	case enroll.Seal:
		return "niêm phong"
	case enroll.Send:
		return "gửi"
	case enroll.Receive:
		return "ghi biên nhận"
	}
	return string(action)
}

// cardState is a card's state at the line in the user's language.
func (a *app) cardState(s bureau.CardState) string {
	vi, known := map[bureau.CardState]string{
		bureau.Planned: "đang chờ",
		bureau.Bound:   "đang làm dở",
		bureau.Locked:  "đã khóa chip",
		bureau.Issued:  "đã phát hành",
		bureau.Failed:  "bị gác lại",
	}[s]
	if !known {
		vi = string(s)
	}
	return a.say(vi, string(s))
}

// notBlank is why a chip is none to write on.
func (a *app) notBlank(why string) string {
	if why == bureau.ReasonLocked {
		return a.say("thẻ đã được ghi và khóa", why)
	}
	return why
}

// verdict is the short word for how a read was judged.
func (a *app) verdict(v inspect.Verdict) string {
	switch v {
	case inspect.Genuine:
		return a.say("thẻ thật", string(v))
	case inspect.Rejected:
		return a.say("từ chối", string(v))
	case inspect.Undetermined:
		return a.say("chưa xác định", string(v))
	}
	return string(v)
}

func readerNames(readers []pcsc.Reader) string {
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = fmt.Sprintf("%d %q", r.Index, r.Name)
	}
	return strings.Join(names, ", ")
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
