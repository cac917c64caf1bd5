package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chipid/enroll/queue"
	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// Exit codes, the same for every command.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitRejected     = 3
	exitUndetermined = 4
)

// maxPassphraseFile is more than anybody types.
const maxPassphraseFile = 4 << 10

// app is what every command may use of the world. Commands take clock,
// randomness and streams from here and nowhere else.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	rand     io.Reader
	costs    keystore.Params // of what is sealed under the passphrase

	cacheDir string // of the user; empty: none

	asJSON         bool
	oneLine        bool // each object of JSON on a line of its own
	lang           string
	passphraseFile string
	typeTwice      bool // a passphrase at the prompt, so that no slip of a finger seals new keys for ever
	cachedPass     []byte
	cachedSealer   *keystore.Sealer
	keyboard       *term.Terminal // set by the first question at it
}

func newApp() *app {
	return &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		now: time.Now, rand: rand.Reader, costs: keystore.DefaultParams(),
	}
}

// exitCode carries an exit code other than 1 out of a command. A nil err has
// been told to the user already, as a verdict.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitCode) Unwrap() error { return e.err }

// output is standard output, which remembers that something could not be written:
// a verdict that nobody can read is no work done.
type output struct {
	w      io.Writer
	failed error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	return n, err
}

// told says that a command ended with nothing more to tell: well, or with a
// verdict that it has told.
func told(err error) bool {
	var coded *exitCode
	return err == nil || errors.As(err, &coded) && coded.err == nil
}

// mistyped is wrong usage by what stands on the card: what a clerk types, told in
// his language.
func (a *app) mistyped(vi, en string) error {
	return &exitCode{exitUsage, &toldError{text: a.say(vi, en)}}
}

func (a *app) run(ctx context.Context, args []string) int {
	out := &output{w: a.out}
	a.out = out
	root := newRootCommand(a)
	a.lang = language(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if out.failed != nil && told(err) {
		err = a.withFailure(err, out.failed)
	}
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var coded *exitCode
	if errors.As(err, &coded) {
		code, err = coded.code, coded.err
	}
	if err != nil {
		fmt.Fprintf(a.err, "chipid: %s\n", strings.TrimSpace(a.plain(ctx, err)))
	}
	return code
}

// plain is an error in words for people. The rooms word what they know of; here
// is what any of them may meet, and what to do about it.
func (a *app) plain(ctx context.Context, err error) string {
	text := a.inWords(err)
	var path *fs.PathError
	switch {
	case errors.Is(err, context.Canceled) || ctx.Err() != nil:
		stopped := a.say("đã dừng theo yêu cầu", "interrupted")
		text = strings.ReplaceAll(text, context.Canceled.Error(), stopped)
		if cause := context.Cause(ctx); cause != nil {
			text = strings.ReplaceAll(text, cause.Error(), stopped)
		}
	case durable.IsFull(err) && !errors.Is(err, queue.ErrDiskFull):
		text = a.say("đĩa đã đầy: hãy giải phóng chỗ rồi làm lại", "the disk is full: free some space and do it again") + " (" + text + ")"
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		text += a.say("; hãy chạy bằng người dùng có quyền với thư mục này, hoặc chọn thư mục khác",
			"; run it as a user who may use this folder, or choose another one")
	}
	return text
}

// printJSON prints v as one object, indented unless others go before it.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(jsonOutput{a.out})
	if !a.oneLine {
		enc.SetIndent("", "  ")
	}
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// jsonOutput is where JSON goes that quotes a card. encoding/json escapes the
// control characters of seven bits only: those of eight, which begin an escape
// sequence too, and the marks that turn a line round are escaped here. Outside a
// string there are none.
type jsonOutput struct{ w io.Writer }

func (o jsonOutput) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p))
	for _, r := range string(p) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	if _, err := o.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// printf prints for people; with --json it prints nothing, so that standard
// output stays one object.
func (a *app) printf(format string, args ...any) {
	if !a.asJSON {
		fmt.Fprintf(a.out, format, args...)
	}
}

// createFile writes a file that the user named. What is there already may be
// another card's or another day's, and stays.
func (a *app) createFile(path string, data []byte) error {
	err := durable.CreateFile(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return a.alreadyThere(path)
	}
	return err
}

// say picks the Vietnamese or the English wording.
func (a *app) say(vi, en string) string {
	if a.lang == "vi" {
		return vi
	}
	return en
}

// passphrase gives the passphrase that sealed files open with: from
// --passphrase-file, else CHIPID_PASSPHRASE, else a prompt on the terminal.
func (a *app) passphrase() ([]byte, error) {
	if a.cachedPass != nil {
		return a.cachedPass, nil
	}
	pass, err := a.readPassphrase()
	if err != nil {
		return nil, err
	}
	if len(pass) == 0 {
		return nil, errors.New(a.say("mật khẩu rỗng", "the passphrase is empty"))
	}
	a.cachedPass = pass
	return pass, nil
}

func (a *app) readPassphrase() ([]byte, error) {
	if a.passphraseFile != "" {
		// A pipe serves too: it is how a shell hands a secret over.
		f, err := os.Open(a.passphraseFile)
		if err != nil {
			return nil, fmt.Errorf("read the passphrase: %w", err)
		}
		defer f.Close()
		raw, err := io.ReadAll(io.LimitReader(f, maxPassphraseFile+1))
		if err != nil {
			return nil, fmt.Errorf("read the passphrase: %w", err)
		}
		if len(raw) > maxPassphraseFile {
			return nil, fmt.Errorf("read the passphrase: %w", &durable.TooLargeError{Path: a.passphraseFile, Limit: maxPassphraseFile})
		}
		return bytes.TrimRight(raw, "\r\n"), nil
	}
	if env := os.Getenv("CHIPID_PASSPHRASE"); env != "" {
		return []byte(env), nil
	}
	if a.terminal() != nil {
		pass, err := a.prompt(a.say("Mật khẩu: ", "Passphrase: "))
		if err != nil || !a.typeTwice {
			return pass, err
		}
		again, err := a.prompt(a.say("Nhập lại một lần nữa: ", "The same once more: "))
		if err == nil && !bytes.Equal(pass, again) {
			err = errors.New(a.say("hai lần nhập mật khẩu khác nhau", "the two passphrases differ"))
		}
		return pass, err
	}
	return nil, a.mistyped("khóa được niêm phong: hãy cho mật khẩu bằng --passphrase-file FILE hoặc CHIPID_PASSPHRASE, hoặc chạy trên terminal",
		"keys are sealed: give the passphrase with --passphrase-file FILE or CHIPID_PASSPHRASE, or run on a terminal")
}

// newKeysSealer is sealer for a command that makes the first keys under a
// passphrase.
func (a *app) newKeysSealer() (*keystore.Sealer, error) {
	a.typeTwice = true
	return a.sealer()
}

// sealer seals and opens files under the user's passphrase; a command has one,
// so that the slow derivation of its key is done once.
func (a *app) sealer() (*keystore.Sealer, error) {
	if a.cachedSealer != nil {
		return a.cachedSealer, nil
	}
	pass, err := a.passphrase()
	if err != nil {
		return nil, err
	}
	a.cachedSealer, err = keystore.NewSealer(pass, a.costs, a.rand)
	return a.cachedSealer, err
}

// exactArgs is cobra.ExactArgs with an exit code of wrong usage and a sentence
// that names the arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(names) == 0 && len(args) > 0 {
			return usageErrorf("%s takes no arguments (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		if len(args) != len(names) {
			return usageErrorf("%s takes %s (see %s --help)", cmd.CommandPath(), strings.Join(names, " "), cmd.CommandPath())
		}
		return nil
	}
}
