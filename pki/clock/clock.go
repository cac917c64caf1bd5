// Package clock knows which times no clock shows that somebody has set. A
// computer whose battery is flat wakes up in 1970 or in the year its board was
// made, and what it signs, dates or judges then is false: a certificate that was
// out of date when it was made, a record older than the station that took it.
// Nothing here reads a clock.
package clock

import "time"

// earliest is before any authority, station or hub of chipid could have been
// set up.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Unset tells whether a clock that says now was never set.
func Unset(now time.Time) bool { return now.Before(earliest) }
