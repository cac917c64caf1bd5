package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// terminal is where somebody sits to be asked; nil: nobody does.
func (a *app) terminal() *os.File {
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// prompt asks at the terminal for what must not be seen there.
func (a *app) prompt(question string) ([]byte, error) {
	answer, err := a.ask(func() (string, error) { return a.keyboard.ReadPassword(question) })
	return []byte(answer), err
}

// line asks a question at the terminal; an empty answer takes what is usual.
func (a *app) line(question, usual string) (string, error) {
	if usual != "" {
		question += " [" + usual + "]"
	}
	// What stands above its last line is text, not a prompt to be drawn anew.
	above := strings.LastIndexByte(question, '\n') + 1
	fmt.Fprint(a.err, question[:above])
	answer, err := a.ask(func() (string, error) {
		a.keyboard.SetPrompt(question[above:] + ": ")
		return a.keyboard.ReadLine()
	})
	if answer = strings.TrimSpace(answer); answer == "" && err == nil {
		return usual, nil
	}
	return answer, err
}

// ask runs a question at the terminal, which an interrupt ends. The terminal is
// changed and put back here only: were it the reader that silences it, an early
// interrupt would put it back first, and leave it silent.
func (a *app) ask(read func() (string, error)) (string, error) {
	terminal := a.terminal()
	if a.keyboard == nil { // one for all questions: what is typed ahead stays in it
		a.keyboard = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{keys{terminal}, a.err}, "")
		a.keyboard.History = forgetful{}
	}
	// Signals end the context of a command; nothing would wake the reader.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	fd := int(terminal.Fd())
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		a.keyboard.SetSize(width, height)
	}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := read()
		answered <- answer{text, err}
	}()
	var got answer
	select {
	case got = <-answered:
		switch got.err {
		case io.EOF: // Ctrl-C, Ctrl-D: a raw terminal makes no signal of them
			got.err = context.Canceled
		case term.ErrPasteIndicator:
			got.err = nil // pasted is as good as typed
		case errEndlessKey:
			got.err = errors.New(a.say("không hiểu những phím vừa gõ: hãy làm lại", "what was typed is not understood: do it again"))
		}
	case <-interrupted:
		got.err = context.Canceled
	}
	err = errors.Join(got.err, term.Restore(fd, state))
	if err != nil {
		fmt.Fprintln(a.err)
	}
	return got.text, err
}

// keys are what comes from a raw terminal's keyboard. Ctrl-C ends a question
// wherever it stands: behind an Escape, term takes all up to the next letter for
// one key.
type keys struct{ terminal io.Reader }

var errEndlessKey = errors.New("a key has no end")

func (k keys) Read(p []byte) (int, error) {
	if len(p) == 0 { // such a key has filled term's memory
		return 0, errEndlessKey
	}
	n, err := k.terminal.Read(p)
	const ctrlC = 3
	if bytes.IndexByte(p[:n], ctrlC) >= 0 {
		return 0, io.EOF
	}
	return n, err
}

// forgetful is a history of nothing: no arrow brings an answer back, least of all
// into one that is not shown.
type forgetful struct{}

func (forgetful) Add(string)    {}
func (forgetful) Len() int      { return 0 }
func (forgetful) At(int) string { return "" }
