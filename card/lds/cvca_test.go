package lds

import (
	"errors"
	"reflect"
	"testing"

	"chipid/testdata/doc9303"
)

func TestCVCA(t *testing.T) {
	for _, refs := range [][]string{{"VNCVCA00001"}, {"VNCVCA00002", "VNCVCA00001"}, {"DEMUCHTOOLO00001", "DEMUCHTOOLO00000"}} {
		raw, err := EncodeCVCA(CVCA{References: refs})
		if err != nil || len(raw) != 36 {
			t.Fatalf("%X, %v", raw, err)
		}
		got, err := DecodeCVCA(raw)
		if err != nil || !reflect.DeepEqual(got.References, refs) {
			t.Errorf("%v, %v", got, err)
		}
	}
	for _, bad := range []string{"", "0000", "4200", "42", "4203414243420341424342034142430000", "4303414243", "42114141414141414141414141414141414141"} {
		if got, err := DecodeCVCA(doc9303.Hex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", bad, got, err)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"A", "B", "C"}, {"AAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA"}} {
		if _, err := EncodeCVCA(CVCA{References: bad}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func FuzzCVCA(f *testing.F) {
	raw, err := EncodeCVCA(CVCA{References: []string{"VNCVCA00002", "VNCVCA00001"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	fuzzFile(f, DecodeCVCA, EncodeCVCA)
}
