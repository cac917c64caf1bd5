package vpcd

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickAck asks the kernel to acknowledge what comes at once. vpcd sends the
// length and the message as two small packets, and holds the second back until
// the first is acknowledged; a kernel in no hurry lets 40 ms pass, on every
// command. The kernel forgets the wish, so it is repeated. Where it cannot be
// had the card is slower, no more.
func quickAck(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
