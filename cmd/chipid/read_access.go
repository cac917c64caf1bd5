package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/pace"
	"chipid/card/termauth"
	"chipid/pki/authority"
	"chipid/pki/cvc"
	"chipid/pki/durable"
	"chipid/reader/inspect"
)

// A secret that a person knows by heart comes as a flag's value, which others on
// the machine may see, from a file, or typed at a prompt.
type secretFlag struct {
	name        string // of the flag
	value, file string
}

// prompted is the value that asks for a prompt.
const prompted = "-"

func (s *secretFlag) register(cmd *cobra.Command, name, usage string) {
	s.name = name
	cmd.Flags().StringVar(&s.value, name, "", usage+`; "-" asks for it, out of sight of others on the computer`)
	cmd.Flags().StringVar(&s.file, name+"-file", "", "file whose first line is the "+strings.ToUpper(name))
}

func (s *secretFlag) given() bool { return s.value != "" || s.file != "" }

// maxSecretFile is far more than a PIN has.
const maxSecretFile = 1 << 10

// read gives the secret, empty where none was given. It is checked by whoever uses
// it; the flag's name stands in every error, the secret in none.
func (s *secretFlag) read(a *app) (string, error) {
	switch {
	case s.value != "" && s.file != "":
		return "", usageErrorf("give either --%s or --%s-file, not both", s.name, s.name)
	case s.file != "":
		raw, err := durable.ReadFile(s.file, maxSecretFile)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			return "", usageErrorf("%s has no %s in its first line", s.file, strings.ToUpper(s.name))
		}
		return line, nil
	case s.value == prompted:
		if a.terminal() == nil {
			return "", usageErrorf("--%s - asks on a terminal, and this is none: give --%s-file FILE", s.name, s.name)
		}
		typed, err := a.prompt(strings.ToUpper(s.name) + ": ")
		if err == nil && len(typed) == 0 {
			err = usageErrorf("no %s was typed", strings.ToUpper(s.name))
		}
		return string(typed), err
	}
	return s.value, nil
}

// pinFlags are the PIN and the PUK of a card.
type pinFlags struct {
	pin, puk secretFlag
}

func (f *pinFlags) register(cmd *cobra.Command, pin, puk string) {
	f.pin.register(cmd, "pin", pin)
	f.puk.register(cmd, "puk", puk)
}

// read gives both, those that were given.
func (f *pinFlags) read(a *app) (pin, puk string, err error) {
	if pin, err = f.pin.read(a); err != nil {
		return "", "", err
	}
	if pin != "" {
		if _, err := pace.PINPassword(pin); err != nil {
			return "", "", usageErrorf("--pin: %v", err)
		}
	}
	if puk, err = f.puk.read(a); err != nil {
		return "", "", err
	}
	if puk != "" {
		if _, err := pace.PUKPassword(puk); err != nil {
			return "", "", usageErrorf("--puk: %v", err)
		}
	}
	return pin, puk, nil
}

// rightsFlags are the ways into a card that few have: its holder's PIN, and the
// key of a terminal.
type rightsFlags struct {
	pinFlags
	terminal, terminalName string
}

func (f *rightsFlags) register(cmd *cobra.Command) {
	f.pinFlags.register(cmd, "the holder's PIN; with --can, that brings a suspended PIN back", "the PUK, in place of the PIN")
	cmd.Flags().StringVar(&f.terminal, "terminal", "", "authority folder with the key of a terminal that may read fingerprints (DG3) and irises (DG4)")
	cmd.Flags().StringVar(&f.terminalName, "terminal-name", "", "which terminal of that folder (default: the newest that is valid)")
}

// passwords adds PIN or PUK to what is printed on the card.
func (f *rightsFlags) passwords(a *app, p inspect.Passwords) (inspect.Passwords, error) {
	if f.pin.given() && f.puk.given() {
		return p, usageErrorf("give either --pin or --puk, not both: the PUK is for a PIN that is blocked (chipid card unblock)")
	}
	var err error
	p.PIN, p.PUK, err = f.pinFlags.read(a)
	return p, err
}

// credential opens the terminal's key; nil where none was asked for.
func (f *rightsFlags) credential(a *app) (*termauth.Credential, func() error, error) {
	none := func() error { return nil }
	if f.terminal == "" {
		if f.terminalName != "" {
			return nil, none, usageErrorf("--terminal-name says which terminal of --terminal DIR: give both")
		}
		return nil, none, nil
	}
	issuer, err := a.openAuthority(f.terminal)
	if err != nil {
		return nil, none, err
	}
	t, err := terminalOf(issuer, cvc.Reference(f.terminalName))
	if err != nil {
		issuer.Close()
		return nil, none, err
	}
	return &termauth.Credential{Name: t.Name, Certificates: t.Certificates, Signer: t.Signer}, issuer.Close, nil
}

func terminalOf(issuer *authority.Authority, name cvc.Reference) (*authority.Terminal, error) {
	if name == "" {
		all, err := issuer.CVCertificates("terminal")
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if c.State == "valid" {
				name = c.Holder
			}
		}
		if name == "" {
			return nil, fmt.Errorf("there is no valid terminal in %s; `chipid pki terminal --dir %s` makes one", issuer.Dir(), issuer.Dir())
		}
	}
	return issuer.OpenTerminal(name)
}
