package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// TestInterruptAtPrompt: Ctrl-C at a question, typed there or sent by another
// process at any moment, ends the command and leaves a terminal that echoes.
func TestInterruptAtPrompt(t *testing.T) {
	t.Setenv("CHIPID_PASSPHRASE", "")
	passphrase := func(a *app) error { _, err := a.passphrase(); return err }
	line := func(a *app) error { _, err := a.line("Passphrase", ""); return err }
	for name, interrupt := range map[string]func(keyboard *os.File) error{
		"signal":                      func(*os.File) error { return syscall.Kill(os.Getpid(), syscall.SIGINT) },
		"Ctrl-C":                      func(keyboard *os.File) error { _, err := keyboard.Write([]byte{3}); return err },
		"Ctrl-C behind an Escape":     func(keyboard *os.File) error { _, err := keyboard.Write([]byte{27, 3}); return err },
		"Ctrl-C behind half a letter": func(keyboard *os.File) error { _, err := keyboard.Write([]byte{0xE9, 3}); return err },
		"Ctrl-D":                      func(keyboard *os.File) error { _, err := keyboard.Write([]byte{4}); return err },
	} {
		for i := range 20 { // the moment is chance
			terminal, keyboard := openTerminal(t)
			before, err := term.GetState(int(terminal.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			a := newApp()
			a.in = terminal
			asked, questions := io.Pipe()
			a.err = questions
			done := make(chan error, 1)
			go func() { done <- []func(*app) error{passphrase, line}[i%2](a) }()
			question := make([]byte, len("Passphrase: "))
			if _, err := io.ReadFull(asked, question); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, asked)
			if err := interrupt(keyboard); err != nil {
				t.Fatal(err)
			}
			got := <-done
			if text := a.plain(t.Context(), got); text != "interrupted" {
				t.Errorf("%s: the command ended with %q", name, text)
			}
			after, err := term.GetState(int(terminal.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			if *before != *after {
				t.Fatalf("%s: the terminal was left as the prompt made it", name)
			}
		}
	}
}

// TestTypedAhead: all answers may be typed before the second question.
func TestTypedAhead(t *testing.T) {
	t.Setenv("CHIPID_PASSPHRASE", "")
	terminal, keyboard := openTerminal(t)
	a := newApp()
	a.in, a.err, a.typeTwice = terminal, io.Discard, true
	if _, err := keyboard.WriteString("mật khẩu\nmật khẩu\n\nP-384\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.passphrase(); err != nil || string(got) != "mật khẩu" {
		t.Errorf("%q, %v", got, err)
	}
	for _, want := range []string{"P-256", "P-384"} {
		if got, err := a.line("Which key", "P-256"); err != nil || got != want {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
	}
}

// TestEndlessKey: what begins as a key and never ends as one does not hang the
// question.
func TestEndlessKey(t *testing.T) {
	terminal, keyboard := openTerminal(t)
	a := newApp()
	a.in, a.err = terminal, io.Discard
	go io.WriteString(keyboard, "\x1b"+strings.Repeat("1", 300))
	if got, err := a.line("Which key", "P-256"); err == nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPasted: a terminal that marks what is pasted, as another program may have
// left it, is understood.
func TestPasted(t *testing.T) {
	t.Setenv("CHIPID_PASSPHRASE", "")
	terminal, keyboard := openTerminal(t)
	a := newApp()
	a.in, a.err = terminal, io.Discard
	if _, err := keyboard.WriteString("\x1b[200~Bộ Công an\x1b[201~\n\x1b[200~mật khẩu\n\x1b[201~"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.line("Organisation", ""); err != nil || got != "Bộ Công an" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := a.passphrase(); err != nil || string(got) != "mật khẩu" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAnswersDoNotComeBack: no key puts an answer of before into another one,
// least of all into one that nobody sees.
func TestAnswersDoNotComeBack(t *testing.T) {
	t.Setenv("CHIPID_PASSPHRASE", "")
	terminal, keyboard := openTerminal(t)
	a := newApp()
	a.in, a.err = terminal, io.Discard
	if _, err := keyboard.WriteString("VN\nsesame\x1b[A\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.line("Country", ""); err != nil || got != "VN" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := a.passphrase(); err != nil || string(got) != "sesame" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPINAtPrompt: --pin - asks for the PIN, and takes what is typed.
func TestPINAtPrompt(t *testing.T) {
	for typed, want := range map[string]string{"271828\n": "271828", "\n": ""} {
		near, far := openTerminal(t)
		a := newApp()
		a.in = near
		asked, questions := io.Pipe()
		a.err = questions
		type answer struct {
			pin string
			err error
		}
		done := make(chan answer, 1)
		go func() {
			f := secretFlag{name: "pin", value: "-"}
			pin, err := f.read(a)
			done <- answer{pin, err}
		}()
		question := make([]byte, len("PIN: "))
		if _, err := io.ReadFull(asked, question); err != nil || string(question) != "PIN: " {
			t.Fatalf("asked %q, %v", question, err)
		}
		go io.Copy(io.Discard, asked)
		if _, err := io.WriteString(far, typed); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got.pin != want || (got.err == nil) != (want != "") {
			t.Errorf("%q was typed: %q, %v", typed, got.pin, got.err)
		}
	}
}

// openTerminal gives both ends of a pseudo-terminal: the one that a command is
// run on, and the keyboard's.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this computer has no pseudo-terminals:", err)
	}
	t.Cleanup(func() { far.Close() })
	if err := unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	near, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

// TestPlain: what any room may meet is told with what to do about it.
func TestPlain(t *testing.T) {
	stopped, stop := context.WithCancelCause(t.Context())
	stop(fmt.Errorf("interrupt signal received"))
	full := &os.PathError{Op: "write", Path: "CARD/DG1.bin", Err: syscall.ENOSPC}
	denied := &os.PathError{Op: "open", Path: "PKI/csca/csca.key", Err: syscall.EACCES}
	for _, c := range []struct {
		ctx    context.Context
		err    error
		vi, en string
	}{
		{stopped, fmt.Errorf("read the chip: %w", context.Canceled), "read the chip: đã dừng theo yêu cầu", "read the chip: interrupted"},
		{stopped, fmt.Errorf("sync: %w", context.Cause(stopped)), "sync: đã dừng theo yêu cầu", "sync: interrupted"},
		{t.Context(), full, "đĩa đã đầy: hãy giải phóng chỗ rồi làm lại (", "the disk is full: free some space and do it again (write CARD/DG1.bin"},
		{t.Context(), denied, "hãy chạy bằng người dùng có quyền", "permission denied; run it as a user who may use this folder"},
		{t.Context(), io.ErrUnexpectedEOF, "unexpected EOF", "unexpected EOF"},
	} {
		for lang, want := range map[string]string{"vi": c.vi, "en": c.en} {
			a := &app{lang: lang, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
			if got := a.plain(c.ctx, c.err); !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", lang, got, want)
			}
		}
	}
}
