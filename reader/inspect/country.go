package inspect

import (
	"strings"

	"golang.org/x/text/language"
)

// machineReadableCodes are the codes of issuing states in the MRZ that are
// not those of ISO 3166-1 (Doc 9303-3 §5), with what stands as country in the
// certificates of their issuers.
var machineReadableCodes = map[string]string{
	"D":   "DE",
	"EUE": "EU",
	"UNO": "UN", "UNA": "UN", "UNK": "UN",
	"XOM": "XO",
	"XPO": "XP",
	"RKS": "KS",
	"UTO": "UT",
	"GBD": "GB", "GBN": "GB", "GBO": "GB", "GBP": "GB", "GBS": "GB",
}

// sameState tells whether an issuing state of the MRZ is the country of a
// certificate, which Doc 9303-12 §7.1 wants in two letters and which some
// issuers write in three.
func sameState(mrzCode, country string) bool {
	mrzCode, country = strings.ToUpper(mrzCode), strings.ToUpper(country)
	if mrzCode == "" || country == "" {
		return false
	}
	if mrzCode == country || machineReadableCodes[mrzCode] == country {
		return true
	}
	if len(mrzCode) != 3 {
		return false
	}
	region, err := language.ParseRegion(mrzCode)
	return err == nil && region.ISO3() == mrzCode && region.String() == country
}
