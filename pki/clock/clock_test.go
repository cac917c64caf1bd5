package clock

import (
	"testing"
	"time"
)

func TestUnset(t *testing.T) {
	for at, want := range map[time.Time]bool{
		{}: true, time.Unix(0, 0): true,
		time.Date(2024, 12, 31, 23, 59, 59, 0, time.UTC):                               true,
		time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC):                                    false,
		time.Date(2025, 1, 1, 6, 0, 0, 0, time.FixedZone("Asia/Ho_Chi_Minh", 7*3600)):  true, // still 2024 in UTC
		time.Date(2026, 11, 22, 8, 30, 0, 0, time.FixedZone("Asia/Ho_Chi_Minh", 7*60)): false,
	} {
		if got := Unset(at); got != want {
			t.Errorf("%v: %v", at, got)
		}
	}
}
