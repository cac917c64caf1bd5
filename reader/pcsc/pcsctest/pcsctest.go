//go:build linux

// Package pcsctest gives a test a PC/SC service of its own: a pcscd with
// Debian's vpcd driver, two slots that listen on TCP ports 35963 and 35964.
//
// A machine has one pcscd, at one path, and vpcd has fixed ports. So that
// tests neither meet each other nor a service that is in use, the test runs
// once more in a child process with a mount and a network namespace of its
// own, where it has /run and the loopback device to itself.
package pcsctest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses of vpcd's slots, and the names that pcscd gives the readers.
const (
	Slot0, Slot1     = "127.0.0.1:35963", "127.0.0.1:35964"
	Reader0, Reader1 = "Virtual PCD 00 00", "Virtual PCD 00 01"
)

const (
	insideVariable = "CHIPID_PCSCTEST_INSIDE"
	socket         = "/run/pcscd/pcscd.comm"
	patience       = time.Minute // ends a test that hangs; a busy machine is slow
)

// Service is a pcscd under a test's control.
type Service struct {
	t       *testing.T
	command *exec.Cmd
	done    chan struct{}
}

// Run runs body with a PC/SC service that is up. The test is skipped, with
// the reason, where such a service cannot be had: without pcscd and vpcd, or
// without the right to make namespaces.
func Run(t *testing.T, body func(*Service)) {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		isolate(t)
		s := &Service{t: t}
		s.Start()
		t.Cleanup(s.Stop)
		body(s)
		return
	}
	for _, need := range []string{"/usr/sbin/pcscd", "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"} {
		if _, err := os.Stat(need); errors.Is(err, fs.ErrNotExist) {
			t.Skipf("%s is not installed (scripts/setup does it)", need)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=5m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("not allowed to make namespaces for a pcscd of its own: run as root")
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("with a pcscd of its own: %v\n%s", err, out)
	}
	t.Logf("with a pcscd of its own:\n%s", out)
}

// isolate makes /run and the loopback device this process's own.
func isolate(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatalf("mount a /run: %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	loopback.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, loopback); err != nil {
		t.Fatalf("bring the loopback device up: %v", err)
	}
}

// Start starts the service and waits until it and vpcd answer.
func (s *Service) Start() {
	s.t.Helper()
	s.command = exec.Command("/usr/sbin/pcscd", "--foreground")
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := s.command.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.command.Stdout = s.command.Stderr
	if err := s.command.Start(); err != nil {
		s.t.Fatalf("start pcscd: %v", err)
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if strings.Contains(lines.Text(), "rror") {
				s.t.Logf("pcscd: %s", lines.Text())
			}
		}
		s.command.Wait()
	}()
	s.await("pcscd", func() error {
		_, err := os.Stat(socket)
		return err
	})
	for _, slot := range []string{Slot0, Slot1} {
		s.await("vpcd", func() error { return listening(slot) })
	}
}

// listening tells whether something listens on a TCP port, by the kernel's
// table. Neither a connection nor a listener of ours would do: vpcd would take
// the one for a card, and the other may take the port from vpcd.
func listening(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return fmt.Errorf("look for what listens on %s: %w", address, err)
	}
	port := fmt.Sprintf(":%04X", at.Port())
	for line := range strings.Lines(string(table)) {
		const local, state, listen = 1, 3, "0A"
		if f := strings.Fields(line); len(f) > state && strings.HasSuffix(f[local], port) && f[state] == listen {
			return nil
		}
	}
	return fmt.Errorf("nothing listens on %s", address)
}

// await asks until the answer is nil: another process gives no other sign.
func (s *Service) await(what string, ready func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not come up: %v", what, err)
		}
		select {
		case <-s.done:
			s.t.Fatalf("pcscd ended before %s was up", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Suspend has the service answer nothing more, as one whose driver hangs, and
// gives back what has it go on.
func (s *Service) Suspend() (resume func()) {
	s.t.Helper()
	send := func(signal syscall.Signal) {
		if err := s.command.Process.Signal(signal); err != nil {
			s.t.Errorf("signal pcscd: %v", err)
		}
	}
	send(syscall.SIGSTOP)
	return func() { send(syscall.SIGCONT) }
}

// Stop ends the service as a crash would.
func (s *Service) Stop() {
	if s.command == nil {
		return
	}
	s.command.Process.Kill()
	<-s.done
	s.command = nil
	// A crash leaves the socket and the lock behind; systemd or an init
	// script would remove them.
	for _, left := range []string{socket, "/run/pcscd/pcscd.pid"} {
		os.Remove(left)
	}
}
