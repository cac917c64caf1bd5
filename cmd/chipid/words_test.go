package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
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
	"chipid/pki/durable"
	"chipid/pki/keystore"
	"chipid/pki/trust"
	"chipid/reader"
	"chipid/reader/bureau"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
	"chipid/reader/pcsc"
)

// What people at a station, a counter or a line meet is told in Vietnamese,
// however deep it is wrapped, and with what the error holds; in English the
// rooms' own words stay as they are.
func TestErrorsInVietnamese(t *testing.T) {
	const id = enroll.ID("019a8e5c-7c10-7b3a-9d2e-5f60718293a4")
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	readers := []pcsc.Reader{{Index: 0, Name: "ACS"}, {Index: 1, Name: "Identiv"}}
	for _, c := range []struct {
		err  error
		want []string
	}{
		{pcsc.ErrNoService, []string{"dịch vụ thẻ thông minh chưa chạy", "systemctl start pcscd"}},
		{pcsc.ErrStuck, []string{"không trả lời", "systemctl restart pcscd"}},
		{pcsc.ErrNoAccess, []string{"polkit"}},
		{pcsc.ErrNoReader, []string{"chưa cắm đầu đọc"}},
		{&pcsc.NoSuchReaderError{Selector: "XYZ", Readers: readers}, []string{"không có đầu đọc nào tên là", "XYZ", `0 "ACS", 1 "Identiv"`}},
		{&pcsc.AmbiguousError{Readers: readers}, []string{"nhiều đầu đọc", "--reader", "Identiv"}},
		{&pcsc.AmbiguousError{Selector: "C", Readers: readers}, []string{`khớp với "C"`, "ACS"}},
		{pcsc.ErrNoCard, []string{"không có thẻ trên đầu đọc"}},
		{pcsc.ErrCardRemoved, []string{"đã bị lấy ra"}},
		{pcsc.ErrCardMute, []string{"thẻ không phản hồi"}},
		{pcsc.ErrInUse, []string{"chương trình khác đang dùng thẻ"}},
		{pcsc.ErrReset, []string{"khởi động lại giữa chừng"}},
		{pcsc.ErrIdle, []string{"nhiều phút"}},
		{pcsc.ErrNoCommands, []string{"không nhận lệnh"}},
		{fmt.Errorf("%w (%w)", reader.ErrAnotherCard, &reader.PasswordError{Password: "CAN", TriesLeft: 2}), []string{"không phải thẻ lúc đầu"}},
		{chipfile.ErrPlugged, []string{"đang cắm ở một đầu đọc khác", "Ctrl-C"}},
		{pcsc.ErrNotBuilt, []string{"không có PC/SC"}},
		{&reader.PasswordError{Password: "CAN", TriesLeft: 2}, []string{"sai số CAN", "còn 2 lần"}},
		{&reader.PasswordError{Password: "CAN", TriesLeft: 1}, []string{"sai số CAN", "chỉ còn 1 lần"}},
		{&reader.PasswordError{Password: "CAN", Blocked: true}, []string{"không nhận số CAN nữa", "MRZ"}},
		{&reader.PasswordError{Password: "PIN", TriesLeft: 2}, []string{"sai mã PIN", "còn 2 lần"}},
		{&reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true}, []string{"sai mã PIN", "chỉ còn 1 lần", "số CAN"}},
		{&reader.PasswordError{Password: "PIN", TriesLeft: 1, Suspended: true, Untried: true}, []string{"tạm ngưng mã PIN", "số CAN"}},
		{&reader.PasswordError{Password: "PIN", Blocked: true}, []string{"đã khóa mã PIN", "chipid card unblock"}},
		{&reader.PasswordError{Password: "PUK", Blocked: true}, []string{"mã PUK", "cơ quan cấp thẻ"}},
		{&reader.PasswordError{Password: "PUK", TriesLeft: -1}, []string{"sai mã PUK"}},
		{&reader.PasswordError{Password: "MRZ", TriesLeft: -1}, []string{"sai dữ liệu MRZ", "in trên thẻ"}},
		{&reader.PasswordError{Password: "MRZ", Blocked: true}, []string{"đã khóa dữ liệu MRZ", "cơ quan cấp thẻ"}},
		{&durable.TooLargeError{Path: "big.jpg", Limit: 8 << 20}, []string{"big.jpg", "lớn hơn 8 MiB"}},
		{&durable.NotFileError{Path: "PIPE", Type: fs.ModeNamedPipe}, []string{"PIPE", "không phải là một tệp"}},
		{&inspect.IncompleteError{Form: inspect.FormC06, Missing: []string{"EF_COM"}}, []string{"dạng c06 cần EF_COM"}},
		{inspect.ErrNoChipRead, []string{"chưa đọc chip nào"}},
		{inspect.ErrBlank, []string{"thẻ trắng"}},
		{inspect.ErrNoPassword, []string{"số CAN", "MRZ"}},
		{keystore.ErrWrongPassphrase, []string{"sai mật khẩu"}},
		{&trust.FolderError{Dir: "TRUST", Err: fs.ErrNotExist}, []string{"không có thư mục tin cậy TRUST"}},
		{&trust.FolderError{Dir: "TRUST", Err: errors.New("x.cer: malformed")}, []string{"không mở được thư mục tin cậy TRUST", "x.cer"}},
		{&noFontError{"/f.ttf"}, []string{"OCR-B", "/f.ttf", "fonts-ocr-b"}},
		{artwork.ErrFont, []string{"không dùng được phông chữ OCR-B"}},
		{&queue.ClockError{Now: time.Unix(0, 0), Newest: noon}, []string{"1970-01-01", "không thể đúng"}},
		{&queue.ClockError{Now: noon.Add(-time.Hour), Newest: noon}, []string{"2026-11-22 11:00 UTC", "2026-11-22 12:00 UTC", "chipid audit clock"}},
		{&enroll.FourEyesError{ID: id}, []string{string(id), "người thứ hai"}},
		{&enroll.TransitionError{ID: id, Action: enroll.Approve, State: enroll.Sent, Wants: []enroll.State{enroll.Draft, enroll.Complete}},
			[]string{string(id), `"duyệt"`, `"đã gửi"`, "chưa đủ hoặc chờ duyệt"}},
		{&queue.DuplicateError{ID: id, State: enroll.Approved}, []string{string(id), "đã có trong hàng đợi", "đã duyệt"}},
		{&queue.TakenError{ID: id, State: enroll.Draft}, []string{string(id), "đã được nhận từ trước"}},
		{&queue.AssignedError{ID: id, Batch: "SANG"}, []string{string(id), "lô SANG"}},
		{&queue.AssignedError{ID: id}, []string{"không thuộc lô nào"}},
		{queue.ErrHasCard, []string{"đã được phát hành thẻ"}},
		{queue.ErrNotFound, []string{"không có hồ sơ nào"}},
		{queue.ErrLocked, []string{"đang dùng hàng đợi"}},
		{queue.ErrDamaged, []string{"hàng đợi bị hỏng"}},
		{queue.ErrDiskFull, []string{"đĩa đã đầy"}},
		{queue.ErrTooLarge, []string{"quá lớn"}},
		{bureau.ErrLocked, []string{"chương trình khác đang làm việc với lô"}},
		{bureau.ErrNoBatch, []string{"không có lô nào", "chipid batch plan"}},
		{bureau.ErrNoBlanks, []string{"hết thẻ trắng"}},
		{bureau.ErrNotFound, []string{"không tìm thấy chip"}},
		{&bureau.RecordError{Record: "R1", Err: queue.ErrHasCard}, []string{"hồ sơ R1", "đã được phát hành thẻ"}},
		{&sync.ClockError{Station: noon, Hub: noon.Add(time.Hour)}, []string{"12:00:00", "13:00:00", "chỉnh đồng hồ"}},
		{&sync.UnreachableError{Hub: "https://hub:8443", Err: errors.New("refused")}, []string{"không liên lạc được", "https://hub:8443"}},
		{&sync.IdentityError{Kind: sync.NotOurHub, Host: "hub:1"}, []string{"hub:1", "không có chứng thư"}},
		{&sync.IdentityError{Kind: sync.OutOfDate}, []string{"chỉnh đồng hồ"}},
		{&sync.IdentityError{Kind: sync.OtherAddress, Host: "hub"}, []string{"không dành cho địa chỉ hub"}},
		{&sync.IdentityError{Kind: sync.NoTLS, Host: "hub:1"}, []string{"không dùng TLS"}},
		{&sync.IdentityError{Kind: sync.NotOurselves}, []string{"chứng thư của trạm này"}},
		{packet.Refusef(packet.UnknownStation, "unknown"), []string{"không biết trạm này"}},
		{packet.Refusef(packet.EvidenceRejected, "the signature does not hold"), []string{"không đạt kiểm tra", "the signature does not hold"}},
		{hub.ErrLocked, []string{"chipid hub khác"}},
		{&fs.PathError{Op: "open", Path: "a.json", Err: fs.ErrNotExist}, []string{"không có tệp hoặc thư mục a.json"}},
	} {
		wrapped := fmt.Errorf("some step: %w", c.err)
		vi := (&app{lang: "vi"}).plain(t.Context(), wrapped)
		for _, want := range c.want {
			if !strings.Contains(vi, want) {
				t.Errorf("%T %v: in Vietnamese without %q: %s", c.err, c.err, want, vi)
			}
		}
		if strings.Contains(vi, "some step") || strings.Contains(vi, "%!") {
			t.Errorf("%T: %s", c.err, vi)
		}
		if en := (&app{lang: "en"}).plain(t.Context(), wrapped); en != wrapped.Error() {
			t.Errorf("%T: in English %q, not %q", c.err, en, wrapped)
		}
	}
}

// Every refusal and every state has its words.
func TestVietnameseWordsAreWhole(t *testing.T) {
	vi := &app{lang: "vi"}
	for _, s := range enroll.States() {
		if vi.state(s) == string(s) {
			t.Errorf("state %s has no Vietnamese", s)
		}
		if en := (&app{lang: "en"}).state(s); en != string(s) {
			t.Errorf("state %s is %q in English", s, en)
		}
	}
	for _, s := range []bureau.CardState{bureau.Planned, bureau.Bound, bureau.Locked, bureau.Issued, bureau.Failed} {
		if vi.cardState(s) == string(s) {
			t.Errorf("card state %s has no Vietnamese", s)
		}
	}
	for _, v := range []inspect.Verdict{inspect.Genuine, inspect.Rejected, inspect.Undetermined} {
		if vi.verdict(v) == string(v) {
			t.Errorf("verdict %s has no Vietnamese", v)
		}
	}
	for _, code := range []packet.Code{
		packet.EvidenceRejected, packet.EvidenceUndetermined, packet.EvidenceMissing, packet.EvidenceMismatch, packet.NotApproved,
		packet.BadManifest, packet.BadSignature, packet.WrongStation, packet.PacketReused, packet.DigestReused, packet.SequenceReused,
		packet.RecordReused, packet.PacketMismatch, packet.NotReadable, packet.DigestMismatch, packet.UnknownStation, packet.TooMany,
		packet.DiskFull, packet.HubFailed, packet.NotReceived,
	} {
		if vi.reason(code, "why") == "why" {
			t.Errorf("refusal %s has no Vietnamese", code)
		}
		if (&app{lang: "en"}).reason(code, "why") != "why" {
			t.Errorf("refusal %s is changed in English", code)
		}
	}
	if got := vi.notBlank(bureau.ReasonLocked); !strings.Contains(got, "khóa") {
		t.Errorf("a locked chip is told as %q", got)
	}
}

// Two errors that ended a command together are both told.
func TestJoinedErrorsInVietnamese(t *testing.T) {
	vi := (&app{lang: "vi"}).inWords(errors.Join(pcsc.ErrNoCard, errors.New("odd"), queue.ErrLocked))
	lines := strings.Split(vi, "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "không có thẻ") || lines[1] != "odd" || !strings.Contains(lines[2], "hàng đợi") {
		t.Errorf("%q", vi)
	}
	// One sentence with a cause in brackets is one error.
	if vi := (&app{lang: "vi"}).inWords(fmt.Errorf("%w (%w)", queue.ErrDamaged, errors.New("checksum"))); strings.Contains(vi, "checksum") || !strings.Contains(vi, "bị hỏng") {
		t.Errorf("%q", vi)
	}
}

// The rooms give out the types that the table knows, up to what is printed.
func TestErrorsOfCommandsInVietnamese(t *testing.T) {
	t.Setenv("CHIPID_PASSPHRASE", "")
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"batch", "status", "--batch", dir}, "không có lô nào", exitFailed},
		{[]string{"verify", dir, "--trust", filepath.Join(dir, "none")}, "không có thư mục tin cậy", exitFailed},
		{[]string{"read", "--chip", filepath.Join(dir, "x.chip"), "--can", "123456"}, "khóa được niêm phong", exitUsage},
	} {
		var out, told bytes.Buffer
		a := newApp()
		a.in, a.out, a.err = strings.NewReader(""), &out, &told
		if code := a.run(context.Background(), append([]string{"--lang", "vi"}, c.args...)); code != c.code || !strings.Contains(told.String(), c.want) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", c.args, code, told.String(), c.code, c.want)
		}
	}
}

// What a command words itself stands before what the table knows of its cause.
func TestToldErrors(t *testing.T) {
	for lang, want := range map[string]string{"vi": "đã đọc, nhưng không lưu được", "en": "read, but not kept"} {
		a := &app{lang: lang}
		err := a.told(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, "đã đọc, nhưng không lưu được", "read, but not kept")
		if got := a.plain(t.Context(), fmt.Errorf("%w", err)); got != want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q", lang, got)
		}
	}
}

// What a card does to stop a read is told as a sentence with what to do, before
// what went over the line, which stays English; the names of packages are
// nobody's business.
func TestCardFaults(t *testing.T) {
	for _, c := range []struct {
		err    error
		en, vi string // how it begins
	}{
		{fmt.Errorf("read the chip: DG2: %w: wrong MAC", iso7816.ErrSecureMessaging), "the protected channel to the card broke: take it off", "kênh bảo mật với thẻ bị ngắt"},
		{fmt.Errorf("read the chip: %w", reader.ErrBounds), "the card sends more than any real card does", "thẻ gửi nhiều dữ liệu hơn mọi thẻ thật"},
		{fmt.Errorf("read the chip: %w", reader.ErrTooSlow), "the card answers too slowly", "thẻ trả lời quá chậm"},
		{fmt.Errorf("read the chip: PACE: %w", pace.ErrAuthentication), "the card does not open: CAN or MRZ", "thẻ không mở được: số CAN"},
		{fmt.Errorf("read the chip: %w", bac.ErrAuthentication), "the card does not open: the MRZ", "thẻ không mở được: MRZ"},
		{fmt.Errorf("read the chip: %w: %w", reader.ErrTried, pace.ErrProtocol), "the card took the password and answered neither", "thẻ đã nhận mật khẩu mà không trả lời"},
		{fmt.Errorf("read the chip: %w", pace.ErrProtocol), "the card answers wrongly", "thẻ trả lời sai giao thức"},
		{fmt.Errorf("read the chip: %w", iso7816.ErrAPDU), "the card or the reader answers in no form", "thẻ hoặc đầu đọc trả lời không đúng dạng"},
		{fmt.Errorf("read the chip: %w", &iso7816.StatusError{SW: 0x6F00, Operation: "SELECT"}), "the card refuses: take it off", "thẻ từ chối lệnh"},
		// These say it themselves.
		{&reader.PasswordError{Password: "CAN", TriesLeft: 2}, "wrong CAN: 2 tries left", "sai số CAN: còn 2 lần thử"},
		{fmt.Errorf("read the chip: %w (%w)", reader.ErrAnotherCard, iso7816.ErrSecureMessaging), "read the chip: another card was put back", "thẻ được đặt lại không phải thẻ lúc đầu"},
		{&reader.PersonaliseError{Step: "SELECT", Steps: 3, Err: &iso7816.StatusError{SW: 0x6A82}}, "personalise the chip, step 1 of 3", "personalise the chip"},
		{pcsc.ErrCardMute, "the card does not answer", "thẻ không phản hồi"},
		{errors.Join(reader.ErrTooSlow, errors.New("second")), "the card answers too slowly", "thẻ trả lời quá chậm"},
	} {
		for lang, want := range map[string]string{"en": c.en, "vi": c.vi} {
			got := (&app{lang: lang}).inWords(c.err)
			if !strings.HasPrefix(got, want) {
				t.Errorf("%v: %q, not %q", c.err, got, want)
			}
			if told := strings.Contains(got, c.err.Error()); !told && strings.HasSuffix(got, ")") && lang == "en" {
				t.Errorf("%q does not say what went over the line", got)
			}
			for _, name := range []string{"iso7816:", "pace:", "bac:", "tlv:", "mrz:", "lds:"} {
				if strings.Contains(got, name) {
					t.Errorf("%q names a package", got)
				}
			}
		}
	}
}
