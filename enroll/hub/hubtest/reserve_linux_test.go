package hubtest

import (
	"errors"
	"net"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// A reserved address can be listened on more than once, refuses connections in
// between, and is given to nobody who asks for any.
func TestReserve(t *testing.T) {
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
		if c, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("connected where nobody listens: %v, %v", c, err)
		}
	}
	release()
}

// Whoever asks the system for any port of a range that is the reserved one alone
// gets none.
func TestReservedIsGivenToNobody(t *testing.T) {
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (got int, err error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, os.NewSyscallError("socket", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, port<<16|port); err != nil {
			t.Skip("this kernel (before 6.3) cannot narrow down the ports that a socket is given:", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return 0, err
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			return 0, err
		}
		return at.(*unix.SockaddrInet4).Port, nil
	}
	if got, err := ask(); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("port %d was given to somebody who asked for any: %v", got, err)
	}
	release()
	if got, err := ask(); err != nil || got != port {
		t.Errorf("not reserved any more: %d, %v", got, err)
	}
}
