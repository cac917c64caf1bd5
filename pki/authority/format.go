package authority

import (
	"fmt"
	"log/slog"
)

// Format keeps a station's keys out of logs and messages, whatever the verb.
func (s Station) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.LogValue()) }

// LogValue does the same for log/slog.
func (s Station) LogValue() slog.Value {
	return slog.StringValue("station " + s.Config.ID + " (keys not shown)")
}

// Format keeps the hub's keys out of logs and messages, whatever the verb.
func (h Hub) Format(f fmt.State, _ rune) { fmt.Fprint(f, h.LogValue()) }

// LogValue does the same for log/slog.
func (h Hub) LogValue() slog.Value { return slog.StringValue("hub (keys not shown)") }
