package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chipid/card/artwork"
	"chipid/card/artwork/portrait"
	"chipid/enroll/hub/hubtest"
	"chipid/pki/keystore"
	"chipid/reader/bureau"
)

// TestMain lets the test binary stand in for chipid: the scripts under
// testdata/script run it as a user would. CHIPID_TEST_CLOCK sets its clock;
// the real program has no such switch. `portrait SEED FILE` draws a photo of
// nobody, as JPEG or PNG, `code N COMMAND` expects an exit code.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"chipid": func() {
			a := scriptApp()
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := a.run(ctx, os.Args[1:])
			stop()
			os.Exit(code)
		},
		// `code N COMMAND` succeeds where the command ends with exit code N.
		"code": func() {
			c := exec.Command(os.Args[2], os.Args[3:]...)
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
			err := c.Run()
			if got := strconv.Itoa(c.ProcessState.ExitCode()); got != os.Args[1] {
				fmt.Fprintf(os.Stderr, "exit code %s, want %s (%v)\n", got, os.Args[1], err)
				os.Exit(1)
			}
		},
		// `await PATTERN COMMAND` runs a command until it prints what matches:
		// another process gives no other sign.
		"await": func() {
			pattern, deadline := regexp.MustCompile(os.Args[1]), time.Now().Add(time.Minute)
			for {
				out, err := exec.Command(os.Args[2], os.Args[3:]...).CombinedOutput()
				if pattern.Match(out) {
					return
				}
				if time.Now().After(deadline) {
					fmt.Fprintf(os.Stderr, "never printed %s; last: %s (%v)\n", pattern, out, err)
					os.Exit(1)
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		// `bind BATCH SERIAL` leaves a batch as a run does that died at its first card.
		"bind": func() {
			ledger, err := bureau.OpenLedger(os.Args[1], time.Now)
			if err != nil {
				panic(err)
			}
			defer ledger.Close()
			cards, err := ledger.Cards()
			if err != nil {
				panic(err)
			}
			if err := ledger.Bind(cards[0].Record, os.Args[2], nil); err != nil {
				panic(err)
			}
		},
		// `assign NUMBER BATCH` leaves an application as a batch does whose folder
		// is lost.
		"assign": func() {
			q, err := (&stationFlags{}).queue(scriptApp())
			if err != nil {
				panic(err)
			}
			x, err := findApplication(q, os.Args[1])
			if err != nil {
				panic(err)
			}
			if _, err := q.Assign("an", x.ID, os.Args[2]); err != nil {
				panic(err)
			}
		},
		"portrait": func() {
			seed, err := strconv.ParseUint(os.Args[1], 10, 64)
			if err != nil {
				panic(err)
			}
			look := portrait.Look{Seed: seed, Age: 30}
			data := portrait.JPEG(look)
			if filepath.Ext(os.Args[2]) == ".png" { // for tools that take no JPEG
				var b bytes.Buffer
				if err := png.Encode(&b, portrait.Draw(look, 360)); err != nil {
					panic(err)
				}
				data = b.Bytes()
			}
			if err := os.WriteFile(os.Args[2], data, 0o600); err != nil {
				panic(err)
			}
		},
	})
}

// scriptApp is the app of a chipid that runs in a script.
func scriptApp() *app {
	a := newApp()
	// The scripts run hundreds of commands; each would spend most of a second on
	// guarding a passphrase that stands in this file.
	a.costs = keystore.Params{Passes: 1, MemoryKiB: 64, Lanes: 1}
	if s := os.Getenv("CHIPID_TEST_CLOCK"); s != "" {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			panic(err)
		}
		a.now = func() time.Time { return at }
	}
	return a
}

// goRace keeps a chipid that the race detector watches from waiting a second
// at its end, for races of goroutines that are still running then.
const goRace = "GORACE=atexit_sleep_ms=0"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		// [ocrb] tells whether the font of the machine readable zone is there.
		Condition: func(name string) (bool, error) {
			if name != "ocrb" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			_, err := os.Stat(artwork.OCRBPath)
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, goRace)
			env.Setenv("CHIPID_PASSPHRASE", "correct horse battery staple")
			// For scripts that serve.
			address, release, err := hubtest.Reserve()
			if err != nil {
				return err
			}
			env.Defer(release)
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return err
			}
			env.Setenv("HUB_PORT", port)
			return nil
		},
	})
}
