package inspect

import "testing"

// The state of a machine readable zone and the country of a certificate.
func TestSameState(t *testing.T) {
	for _, tt := range []struct {
		zone, country string
		want          bool
	}{
		{"VNM", "VN", true}, {"VNM", "vn", true}, {"VNM", "VNM", true}, {"D", "DE", true}, {"UTO", "UT", true}, {"GBD", "GB", true}, {"EUE", "EU", true},
		{"VNM", "LA", false}, {"VNM", "UT", false}, {"VN", "LA", false}, {"D", "D", true}, {"D", "DK", false}, {"GBD", "DE", false}, {"DEU", "D", false},
		{"UTO", "UTX", false}, {"XXA", "XX", false}, {"001", "001", true}, {"419", "VN", false},
		// What says nothing agrees with nothing, not with what says nothing either.
		{"", "", false}, {"VNM", "", false}, {"", "VN", false},
	} {
		if got := sameState(tt.zone, tt.country); got != tt.want {
			t.Errorf("%q and %q: %v", tt.zone, tt.country, got)
		}
	}
}
