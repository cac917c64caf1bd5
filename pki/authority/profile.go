package authority

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxProfile is how many octets a profile may have.
const MaxProfile = 64 << 10

// profile is the file that an unattended `pki init --profile` takes.
type profile struct {
	Country       string     `json:"country"`
	MRZCountry    string     `json:"mrzCountry"`
	Organization  string     `json:"organization"`
	CSCA          profileKey `json:"csca"`
	DS            profileKey `json:"documentSigner"`
	DocumentTypes []string   `json:"documentTypes"`
	DocumentYears int        `json:"documentYears"`
	CRLURL        string     `json:"crlURL"`
	CRLDays       int        `json:"crlDays"`
	Shares        Shares     `json:"shares"`
	Hosts         []string   `json:"hosts"`
	StationID     string     `json:"stationId"`
}

type profileKey struct {
	keyConfig
	KeyYears   int    `json:"keyYears"`   // of the CSCA
	KeyMonths  int    `json:"keyMonths"`  // of document signers
	Signatures uint64 `json:"signatures"` // of document signers
}

// ParseProfile reads a profile, in JSON. What it does not name has its usual
// value; what it names wrongly is an error, lest a slip of the pen stand for
// fifteen years.
func ParseProfile(raw []byte) (Options, error) {
	var p profile
	if len(raw) > MaxProfile {
		return Options{}, fmt.Errorf("read the profile: it has more than %d octets", MaxProfile)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Options{}, fmt.Errorf("read the profile: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Options{}, errors.New("read the profile: something follows its end")
	}
	o := Options{
		Country: p.Country, MRZCountry: p.MRZCountry, Organization: p.Organization,
		CSCAKeyYears: p.CSCA.KeyYears, DSKeyMonths: p.DS.KeyMonths, DSSignatures: p.DS.Signatures,
		DocumentTypes: p.DocumentTypes, DocumentYears: p.DocumentYears, CRLURL: p.CRLURL, CRLDays: p.CRLDays,
		Shares: p.Shares, Hosts: p.Hosts, StationID: p.StationID,
	}
	if p.CSCA.KeyMonths != 0 || p.CSCA.Signatures != 0 || p.DS.KeyYears != 0 {
		return o, errors.New("read the profile: keyYears is the CSCA's, keyMonths and signatures are the document signers'")
	}
	var err error
	if o.CSCA, err = p.CSCA.options(); err != nil {
		return o, fmt.Errorf("read the profile: csca: %w", err)
	}
	if o.DS, err = p.DS.options(); err != nil {
		return o, fmt.Errorf("read the profile: documentSigner: %w", err)
	}
	return o, nil
}
