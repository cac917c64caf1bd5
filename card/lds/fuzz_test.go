package lds

import (
	"bytes"
	"encoding/asn1"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"chipid/card/biometric"
	"chipid/card/tlv"
	"chipid/pki/cert"
	"chipid/pki/curve"
	"chipid/pki/dh"
	"chipid/testdata/doc9303"
)

// FuzzDG14 reads the file with the keys of chip authentication, whose encoding
// is that of what was read.
func FuzzDG14(f *testing.F) {
	f.Add(doc9303.Load(f, "dg14-ca-dh-sample").Fields.Hex(f, "dg14"))
	f.Add(doc9303.Hex(f, "6E023100"))
	fuzzFile(f, DecodeDG14, EncodeDG14)
}

// FuzzTemplates: files of which this package takes nothing but the tag off.
func FuzzTemplates(f *testing.F) {
	for _, file := range []File{EFSOD, DG6, DG13} {
		f.Add(tlv.Encode(tlv.Tag(file.Tag()), []byte{0x30, 0x00}))
	}
	f.Add(doc9303.Hex(f, "7784FFFFFFFF"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for file, decode := range map[File]func([]byte) ([]byte, error){EFSOD: DecodeSOD, DG6: DecodeDG6, DG13: DecodeDG13} {
			if value, err := decode(raw); err == nil && !bytes.HasSuffix(bytes.TrimRight(raw, "\x00\xFF"), bytes.TrimRight(value, "\x00\xFF")) {
				t.Fatalf("%v holds %X", file, value)
			}
		}
	})
}

// FuzzPrints reads the data groups of fingers and irises, record and all.
func FuzzPrints(f *testing.F) {
	fingers := make([]biometric.FingerRecord, 2)
	for i, position := range []byte{biometric.RightIndex, biometric.LeftIndex} {
		record, err := biometric.NewFinger(position, wsqPicture())
		if err != nil {
			f.Fatal(err)
		}
		fingers[i] = record
	}
	raw, err := EncodeDG3(nil, fingers...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(doc9303.Hex(f, "63067F6103020100"))
	f.Add(doc9303.Hex(f, "76067F6103020100"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		size := 0
		if records, err := DecodeDG3(raw); err == nil {
			for _, r := range records {
				for _, finger := range r.Fingers {
					size += len(finger.Image)
				}
			}
		}
		if records, err := DecodeDG4(raw); err == nil {
			for _, r := range records {
				for _, iris := range r.Irises {
					size += len(iris.Image)
				}
			}
		}
		if size > len(raw) {
			t.Fatalf("%d octets of pictures in a file of %d", size, len(raw))
		}
	})
}

// FuzzParameters: parameters that nobody has signed are known ones, strong ones or
// refused, and what one parser takes, so does the other.
func FuzzParameters(f *testing.F) {
	add := func(oid asn1.ObjectIdentifier, params []byte) {
		var b cryptobyte.Builder
		cert.Algorithm{OID: oid, Params: params}.AddTo(&b)
		f.Add(b.BytesOrPanic())
	}
	for id := range byte(20) {
		add(oidStandardizedParameters, []byte{2, 1, id})
	}
	add(oidECPublicKey, curve.BrainpoolP256r1().ExplicitParameters())
	if g, ok := dh.ByDomainParameterID(1); ok {
		der, err := g.AlgorithmIdentifier()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := ParseUnsignedParameters(der)
		if err != nil {
			if len(der) <= 600 { // larger groups take a second to be judged
				_, _ = ParseDomainParameters(der)
			}
			return
		}
		if p.Curve != nil && !p.Known() && p.Curve.BitSize() < minUnsignedCurve || p.Agreement() == 0 {
			t.Fatalf("%X are taken unsigned", der)
		}
		if _, err := ParseDomainParameters(der); err != nil {
			t.Fatalf("%X: %v", der, err)
		}
	})
}

// FuzzParametersAlgorithm: whatever a file of domain parameters holds, what is
// made of it is one AlgorithmIdentifier, that stays as it is, or an error.
func FuzzParametersAlgorithm(f *testing.F) {
	f.Add(curve.BrainpoolP256r1().ExplicitParameters())
	f.Add([]byte{6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7})
	f.Add([]byte{0x30, 9, 2, 1, 23, 2, 1, 5, 2, 1, 11})
	if g, ok := dh.ByDomainParameterID(0); ok {
		der, err := g.AlgorithmIdentifier()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		algorithm, err := ParametersAlgorithm(der)
		if err != nil {
			return
		}
		again, err := ParametersAlgorithm(algorithm)
		if err != nil || string(again) != string(algorithm) {
			t.Fatalf("%X: %X, and then %X, %v", der, algorithm, again, err)
		}
		if len(der) <= 600 { // larger groups take a while to be judged
			_, _ = ParseUnsignedParameters(algorithm)
		}
	})
}
