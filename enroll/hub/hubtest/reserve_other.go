//go:build !linux

package hubtest

import (
	"fmt"
	"net"
)

// Reserve gives an address on the loopback device that is free now: other
// systems cannot hold one for a listener of another process.
func Reserve() (address string, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("reserve an address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), func() {}, nil
}
