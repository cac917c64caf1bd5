package main

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chipid/card/artwork/portrait"
)

// TestMain lets the test binary stand in for chipid: the scripts under
// testdata/script run it as a user would. CHIPID_TEST_CLOCK sets its clock;
// the real program has no such switch. `portrait SEED FILE` draws a photo of
// nobody.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"chipid": func() {
			a := newApp()
			if s := os.Getenv("CHIPID_TEST_CLOCK"); s != "" {
				at, err := time.Parse(time.RFC3339, s)
				if err != nil {
					panic(err)
				}
				a.now = func() time.Time { return at }
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := a.run(ctx, os.Args[1:])
			stop()
			os.Exit(code)
		},
		"portrait": func() {
			seed, err := strconv.ParseUint(os.Args[1], 10, 64)
			if err != nil {
				panic(err)
			}
			if err := os.WriteFile(os.Args[2], portrait.JPEG(portrait.Look{Seed: seed, Age: 30}), 0o600); err != nil {
				panic(err)
			}
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CHIPID_PASSPHRASE", "correct horse battery staple")
			return nil
		},
	})
}
