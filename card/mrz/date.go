package mrz

import (
	"errors"
	"fmt"
	"time"
)

// Dates in the zone have two digits for the year (Doc 9303-3 §4.8), so the
// century is a matter of what can be meant.

// BirthDate gives the date that a date of birth means at the time now: the
// latest that is not in the future.
func BirthDate(yymmdd string, now time.Time) (time.Time, error) {
	d, err := inCentury(yymmdd, now.Year()/100*100)
	if err == nil && !d.After(now) {
		return d, nil
	}
	return inCentury(yymmdd, now.Year()/100*100-100)
}

// ExpiryDate gives the date that a date of expiry means at the time now: the
// one that lies less than fifty years behind or fifty years ahead, except that
// NoExpiry is always ahead. A field of fillers, which some states write on
// documents that do not expire, is ErrNoDate.
func ExpiryDate(yymmdd string, now time.Time) (time.Time, error) {
	if yymmdd == "<<<<<<" {
		return time.Time{}, ErrNoDate
	}
	century := now.Year() / 100 * 100
	d, err := inCentury(yymmdd, century)
	if err != nil {
		return time.Time{}, err
	}
	switch y := now.Year(); {
	case yymmdd == NoExpiry:
		return d, nil
	case d.Year() >= y+50:
		return inCentury(yymmdd, century-100)
	case d.Year() < y-50:
		return inCentury(yymmdd, century+100)
	}
	return d, nil
}

// NoExpiry is the date of expiry that chipid writes into the zone of a document
// that does not expire. Doc 9303 wants a date there and the access keys are
// made from it; this is the last date that six digits can say.
const NoExpiry = "991231"

// ErrNoDate says that the date of expiry was left open.
var ErrNoDate = errors.New("no date of expiry")

func inCentury(yymmdd string, century int) (time.Time, error) {
	if len(yymmdd) != 6 {
		return time.Time{}, fmt.Errorf("%w: a date has six digits, YYMMDD", ErrFormat)
	}
	d, err := time.Parse("20060102", fmt.Sprintf("%02d%s", century/100, yymmdd))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: no such date", ErrFormat)
	}
	return d, nil
}
