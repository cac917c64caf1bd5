//go:build linux && cgo

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"chipid/reader/pcsc/pcsctest"
)

// TestReaderScripts are the scripts that need card readers: pcscd runs with
// vpcd's two slots.
func TestReaderScripts(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) { runReaderScripts(t, "testdata/pcsc") })
}

// TestBatchOnReaders has both slots to itself.
func TestBatchOnReaders(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) { runReaderScripts(t, "testdata/pcsc_batch") })
}

// TestQuirksOnReaders has both slots to itself too.
func TestQuirksOnReaders(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) { runReaderScripts(t, "testdata/pcsc_quirks") })
}

// TestReaderScriptsWithoutService are those that need pcscd not to run.
func TestReaderScriptsWithoutService(t *testing.T) {
	pcsctest.Run(t, func(s *pcsctest.Service) {
		s.Stop()
		runReaderScripts(t, "testdata/nopcsc")
	})
}

func runReaderScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, goRace)
			env.Setenv("CHIPID_PASSPHRASE", "correct horse battery staple")
			return nil
		},
	})
}

// --timeout ends the wait for a reader too, in words.
func TestReadTimesOutBeforeTheCard(t *testing.T) {
	pcsctest.Run(t, func(s *pcsctest.Service) {
		defer s.Suspend()()
		for lang, want := range map[string]string{"en": "the card took longer than 1s", "vi": "đọc thẻ lâu hơn 1s"} {
			var out, errs bytes.Buffer
			a := newApp()
			a.out, a.err = &out, &errs
			code := a.run(t.Context(), []string{"read", "--can", "000015", "--timeout", "1s", "--lang", lang})
			if code != exitFailed || !strings.Contains(errs.String(), want) {
				t.Errorf("%s: exit code %d, %s", lang, code, &errs)
			}
		}
	})
}
