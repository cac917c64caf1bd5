package pace

import (
	"fmt"
	"io"
)

// Format keeps nonce and keys out of logs and messages.
func (t *Terminal) Format(f fmt.State, _ rune) {
	io.WriteString(f, "terminal's side of PACE (not shown)")
}

// Format keeps nonce and keys out of logs and messages.
func (c *Chip) Format(f fmt.State, _ rune) { io.WriteString(f, "chip's side of PACE (not shown)") }
