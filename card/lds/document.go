// Package lds is the logical data structure of Doc 9303-10: the elementary
// files of an eMRTD, each as a Go struct and as bytes, decode(encode(x)) = x.
//
// Files that were hashed or signed are never encoded anew: a Document keeps
// the bytes as they came, and the decoders read from them.
package lds

import (
	"bytes"
	"fmt"
	"slices"
)

// File names an elementary file of the eMRTD application or the master file.
type File uint8

// The files. DG(n) gives the data groups by number.
const (
	EFCOM File = 0x80 + iota
	EFSOD
	EFCardAccess
	EFCardSecurity
	EFDIR
	EFATRInfo
	EFCVCA
)

// Data groups 1 to 16 (Doc 9303-10 §4.7).
const (
	DG1 File = 1 + iota
	DG2
	DG3
	DG4
	DG5
	DG6
	DG7
	DG8
	DG9
	DG10
	DG11
	DG12
	DG13
	DG14
	DG15
	DG16
)

// fileInfo is what Doc 9303-10 tables 31 and 38 say of a file.
type fileInfo struct {
	file     File
	name     string
	fid      uint16
	sfi      byte
	tag      byte // 0: the file is not one template
	inMaster bool
}

var files = []fileInfo{
	{EFCOM, "EF_COM", 0x011E, 0x1E, 0x60, false},
	{EFSOD, "EF_SOD", 0x011D, 0x1D, 0x77, false},
	{EFCVCA, "EF_CVCA", 0x011C, 0x1C, 0, false},
	{EFCardAccess, "EF_CardAccess", 0x011C, 0x1C, 0x31, true},
	{EFCardSecurity, "EF_CardSecurity", 0x011D, 0x1D, 0x30, true},
	{EFDIR, "EF_DIR", 0x2F00, 0x1E, 0, true},
	{EFATRInfo, "EF_ATR_INFO", 0x2F01, 0x01, 0, true},
	{DG1, "DG1", 0x0101, 0x01, 0x61, false},
	{DG2, "DG2", 0x0102, 0x02, 0x75, false},
	{DG3, "DG3", 0x0103, 0x03, 0x63, false},
	{DG4, "DG4", 0x0104, 0x04, 0x76, false},
	{DG5, "DG5", 0x0105, 0x05, 0x65, false},
	{DG6, "DG6", 0x0106, 0x06, 0x66, false},
	{DG7, "DG7", 0x0107, 0x07, 0x67, false},
	{DG8, "DG8", 0x0108, 0x08, 0x68, false},
	{DG9, "DG9", 0x0109, 0x09, 0x69, false},
	{DG10, "DG10", 0x010A, 0x0A, 0x6A, false},
	{DG11, "DG11", 0x010B, 0x0B, 0x6B, false},
	{DG12, "DG12", 0x010C, 0x0C, 0x6C, false},
	{DG13, "DG13", 0x010D, 0x0D, 0x6D, false},
	{DG14, "DG14", 0x010E, 0x0E, 0x6E, false},
	{DG15, "DG15", 0x010F, 0x0F, 0x6F, false},
	{DG16, "DG16", 0x0110, 0x10, 0x70, false},
}

func (f File) info() fileInfo {
	for _, i := range files {
		if i.file == f {
			return i
		}
	}
	return fileInfo{}
}

// Files lists every file there is, those of the application first.
func Files() []File {
	all := make([]File, len(files))
	for i, f := range files {
		all[i] = f.file
	}
	return all
}

// DG gives data group n, 1 to 16.
func DG(n int) (File, bool) { return File(n), n >= 1 && n <= 16 }

// DataGroup gives the number of a data group.
func (f File) DataGroup() (int, bool) { return int(f), f >= DG1 && f <= DG16 }

// ID is the file identifier, ShortID the short one.
func (f File) ID() uint16    { return f.info().fid }
func (f File) ShortID() byte { return f.info().sfi }

// Tag is the tag of the template that is the whole file, zero where the file
// is not one template (EF.DIR, EF.ATR/INFO, EF.CVCA).
func (f File) Tag() byte { return f.info().tag }

// InMasterFile tells the files under the master file from those of the
// eMRTD application.
func (f File) InMasterFile() bool { return f.info().inMaster }

// String is the file's name, as it also stands on disk without ".bin".
func (f File) String() string {
	if n := f.info().name; n != "" {
		return n
	}
	return fmt.Sprintf("File(%d)", uint8(f))
}

// FileByName is the inverse of String.
func FileByName(name string) (File, bool) {
	for _, i := range files {
		if i.name == name {
			return i.file, true
		}
	}
	return 0, false
}

// FileByTag finds a data group, EF.COM or EF.SOD by its template tag.
func FileByTag(tag byte) (File, bool) {
	for _, i := range files {
		if i.tag == tag && !i.inMaster {
			return i.file, true
		}
	}
	return 0, false
}

// Document is what a chip holds: its files as bytes, exactly as they are or
// will be on the chip. The zero value is empty and ready for use.
type Document struct {
	files map[File][]byte
}

// Format keeps the holder out of logs and messages.
func (d Document) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "document of %d files (not shown)", len(d.files))
}

// Set stores a file's bytes; the document keeps its own copy.
func (d *Document) Set(f File, raw []byte) {
	if d.files == nil {
		d.files = make(map[File][]byte)
	}
	d.files[f] = bytes.Clone(raw)
}

// Get gives a file's bytes, which the caller must not change.
func (d *Document) Get(f File) ([]byte, bool) {
	raw, ok := d.files[f]
	return raw, ok
}

// Delete takes a file out.
func (d *Document) Delete(f File) { delete(d.files, f) }

// Files lists the files present, data groups first and in order.
func (d *Document) Files() []File {
	present := make([]File, 0, len(d.files))
	for f := range d.files {
		present = append(present, f)
	}
	slices.Sort(present)
	return present
}

// DataGroups lists the numbers of the data groups present, in order.
func (d *Document) DataGroups() []int {
	var dgs []int
	for _, f := range d.Files() {
		if n, ok := f.DataGroup(); ok {
			dgs = append(dgs, n)
		}
	}
	return dgs
}
