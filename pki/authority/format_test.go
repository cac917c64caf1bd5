package authority

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKitsPrintNoKey(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	station, hub := Station{Config: StationConfig{ID: "hanoi-1"}, SignKey: key}, Hub{ReceiptKey: key}
	for _, v := range []any{station, &station, hub, &hub} {
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "kit", v)
		outputs := []string{log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
		for _, out := range outputs {
			if !strings.Contains(out, "(keys not shown)") || strings.Contains(out, "7 7 7") || strings.Contains(out, hex.EncodeToString(key[:8])) || strings.Contains(out, "BwcH") {
				t.Errorf("%T prints %s", v, out)
			}
		}
	}
}
