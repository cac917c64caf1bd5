package eac

import (
	"fmt"
	"io"
)

// Format keeps keys out of logs and messages.
func (t *Terminal) Format(f fmt.State, _ rune) {
	io.WriteString(f, "terminal's side of chip authentication (not shown)")
}

// Format keeps keys out of logs and messages.
func (c *Chip) Format(f fmt.State, _ rune) {
	io.WriteString(f, "chip's side of chip authentication (not shown)")
}
