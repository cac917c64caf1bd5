//go:build linux

package pcsctest

import (
	"net"
	"testing"
)

// Whoever asks whether vpcd is up keeps its port free for it.
func TestListeningLeavesThePortFree(t *testing.T) {
	const address = "127.35.96.3:9631" // nobody else's
	if err := listening(address); err == nil {
		t.Fatal("something listens where nothing is")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = listening(address)
			}
		}
	}()
	for range 100 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("vpcd could not have its port: %v", err)
			break
		}
		if err := listening(address); err != nil {
			t.Error(err)
		}
		l.Close()
	}
	close(stop)
	<-stopped
}
