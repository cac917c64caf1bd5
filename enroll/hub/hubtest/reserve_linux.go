package hubtest

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Reserve gives an address on the loopback device that the system gives to
// nobody else until release is called. It can be listened on, again and again,
// by whoever names it; while nobody listens, connections to it are refused.
//
// It is held by a socket that is bound and never listens. Linux lets a listener
// have a port that such a socket has, where both say SO_REUSEADDR, as Go's
// listeners do, and passes it over when it looks for a free one.
func Reserve() (address string, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("reserve an address: %w", err)
	}
	release = sync.OnceFunc(func() { unix.Close(fd) })
	bound, err := bind(fd)
	if err != nil {
		release()
		return "", nil, fmt.Errorf("reserve an address: %w", err)
	}
	return bound, release, nil
}

func bind(fd int) (string, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return "", err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	in, ok := at.(*unix.SockaddrInet4)
	if !ok {
		return "", errors.New("the system gave an address of another kind")
	}
	return net.JoinHostPort(net.IP(in.Addr[:]).String(), strconv.Itoa(in.Port)), nil
}
