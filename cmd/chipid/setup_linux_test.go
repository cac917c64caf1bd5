package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetupScript: scripts/setup waits for another apt, for a while, and for
// nothing else: who may not install is told so at once.
func TestSetupScript(t *testing.T) {
	for name, test := range map[string]struct {
		sudo    string // what it does; empty: there is none
		asked   int    // how often
		says    string
		install bool
	}{
		"no sudo":               {says: "run it as root"},
		"not allowed to":        {sudo: "exit 1", asked: 1},
		"apt is busy for a bit": {sudo: `case "$*" in *update) [ $(wc -l <"$LOG") -gt 2 ] || exit 100 ;; *) exit 3 ;; esac`, asked: 4, install: true},
		"apt is busy for ever":  {sudo: "exit 100", asked: 12},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			log := filepath.Join(t.TempDir(), "log")
			fakes := map[string]string{"id": "echo 1000", "dpkg-query": "exit 1", "apt-get": "exit 9", "sleep": "exit 0"}
			if test.sudo != "" {
				fakes["sudo"] = `echo "$*" >>"$LOG"` + "\n" + test.sudo
			}
			for _, real := range []string{"bash", "sh", "grep", "wc"} {
				at, err := exec.LookPath(real)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(at, filepath.Join(bin, real)); err != nil {
					t.Fatal(err)
				}
			}
			for name, does := range fakes {
				if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+does+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			setup := exec.CommandContext(t.Context(), "../../scripts/setup")
			setup.Env = []string{"PATH=" + bin, "LOG=" + log}
			out, err := setup.CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.says) {
				t.Errorf("%v\n%s", err, out)
			}
			asked, err := os.ReadFile(log)
			if err != nil && test.sudo != "" {
				t.Fatal(err)
			}
			if n := strings.Count(string(asked), "\n"); n != test.asked || strings.Contains(string(asked), " install ") != test.install {
				t.Errorf("asked %d times, want %d:\n%s%s", n, test.asked, asked, out)
			}
		})
	}
}
