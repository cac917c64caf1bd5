package enroll

import "time"

// earliest is before any station or hub could have been set up.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// ClockUnset tells whether a clock that says now was never set: one that a
// flat battery put back to 1970. What it dates would be false for ever.
func ClockUnset(now time.Time) bool { return now.Before(earliest) }
