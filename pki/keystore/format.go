package keystore

import (
	"fmt"
	"io"
	"log/slog"
)

// Format keeps the passphrase and the keys out of logs and messages, whatever
// the verb.
func (s *Sealer) Format(f fmt.State, _ rune) { io.WriteString(f, "sealer (not shown)") }

// LogValue does the same for log/slog.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue("sealer (not shown)") }
