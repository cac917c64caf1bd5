package inspect

import (
	"fmt"
	"strings"

	"chipid/card/biometric"
	"chipid/card/lds"
)

// Content says what a data group holds that is not shown as text: pictures and
// records of biometrics, by standard, format and size. No picture and nothing
// about the holder is in it.
type Content struct {
	File string `json:"file"`
	// Of data groups 2, 3 and 4: their biometric records.
	Records []biometric.Description `json:"records,omitempty"`
	// Of data groups 5 and 7: their pictures.
	Pictures []biometric.ImageDescription `json:"pictures,omitempty"`
	// Of features: how many data objects, and how many octets that are none. Of
	// data group 16: how many persons.
	Objects int `json:"objects,omitempty"`
	Bytes   int `json:"bytes,omitempty"`
	// Of files that are not about the holder: what they say, in one line.
	Says string `json:"says,omitempty"`
	// How many data objects it holds that Doc 9303 gives no meaning.
	Unknown int      `json:"unknown,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what is odd about it
}

// Images counts the images of a data group.
func (c Content) Images() int {
	n := len(c.Pictures)
	for _, r := range c.Records {
		n += len(r.Images)
	}
	return n
}

// contentReaders are the data groups that Contents looks into.
var contentReaders = []struct {
	file lds.File
	read func(raw []byte, c *Content) error
}{
	{lds.DG2, biometricContent(lds.DG2)},
	{lds.DG3, biometricContent(lds.DG3)},
	{lds.DG4, biometricContent(lds.DG4)},
	{lds.DG5, displayedContent(lds.DecodeDG5)},
	{lds.DG6, opaqueContent},
	{lds.DG7, displayedContent(lds.DecodeDG7)},
	{lds.DG8, featureContent(lds.DecodeDG8)},
	{lds.DG9, featureContent(lds.DecodeDG9)},
	{lds.DG10, featureContent(lds.DecodeDG10)},
	{lds.DG11, func(raw []byte, c *Content) error {
		d, err := lds.DecodeDG11(raw)
		c.Unknown = len(d.Unknown)
		return err
	}},
	{lds.DG12, func(raw []byte, c *Content) error {
		d, err := lds.DecodeDG12(raw)
		c.Unknown = len(d.Unknown)
		return err
	}},
	{lds.DG16, personsContent},
	{lds.EFCOM, commonContent},
	{lds.EFCVCA, func(raw []byte, c *Content) error {
		d, err := lds.DecodeCVCA(raw)
		c.Says, c.Unknown = strings.Join(d.References, ", "), len(d.Unknown)
		return err
	}},
	{lds.EFDIR, directoryContent},
	{lds.EFATRInfo, func(raw []byte, c *Content) error {
		d, err := lds.DecodeATRInfo(raw)
		if c.Unknown = len(d.Unknown); d.MaxCommand > 0 {
			c.Says = fmt.Sprintf("commands of %d, responses of %d octets", d.MaxCommand, d.MaxResponse)
		}
		return err
	}},
}

// Contents describes the files of a document that are not shown as text
// elsewhere: pictures, biometrics, features, persons to notify, what the chip
// says of itself. A file that cannot be read is described by a note; one of
// which there is nothing to say is left out.
func Contents(doc *lds.Document) []Content {
	var all []Content
	for _, r := range contentReaders {
		raw, ok := doc.Get(r.file)
		if !ok {
			continue
		}
		c := Content{File: r.file.String()}
		if err := r.read(raw, &c); err != nil {
			c.Notes = append(c.Notes, err.Error())
		}
		if (r.file == lds.DG11 || r.file == lds.DG12) && c.Unknown == 0 {
			continue // told with the holder, or as a problem
		}
		all = append(all, c)
	}
	return all
}

func biometricContent(f lds.File) func([]byte, *Content) error {
	return func(raw []byte, c *Content) error {
		b, err := lds.DecodeBiometrics(f, raw)
		if err != nil {
			return err
		}
		c.Unknown = len(b.Unknown) + len(b.Beside)
		for i, t := range b.Templates {
			d, _, err := biometric.Describe(t.Record)
			if err != nil {
				c.Notes = append(c.Notes, fmt.Sprintf("%s: record %d: %v", f, i+1, err))
				continue
			}
			if d.Lengths != "" {
				c.Notes = append(c.Notes, fmt.Sprintf("%s: record %d: %s", f, i+1, d.Lengths))
			}
			c.Records = append(c.Records, d)
		}
		return nil
	}
}

func displayedContent(decode func([]byte) (lds.Displayed, error)) func([]byte, *Content) error {
	return func(raw []byte, c *Content) error {
		d, err := decode(raw)
		for _, p := range d.Pictures {
			c.Pictures = append(c.Pictures, biometric.DescribeImage(p))
		}
		return err
	}
}

func featureContent(decode func([]byte) (lds.Features, error)) func([]byte, *Content) error {
	return func(raw []byte, c *Content) error {
		f, err := decode(raw)
		c.Objects, c.Bytes = len(f.Objects), len(f.Opaque)
		return err
	}
}

func opaqueContent(raw []byte, c *Content) error {
	content, err := lds.DecodeDG6(raw)
	c.Bytes = len(content)
	return err
}

func personsContent(raw []byte, c *Content) error {
	contacts, err := lds.DecodeDG16(raw)
	c.Objects, c.Unknown = len(contacts.Persons), len(contacts.Unknown)
	for _, p := range contacts.Persons {
		c.Unknown += len(p.Unknown)
	}
	return err
}

func commonContent(raw []byte, c *Content) error {
	d, err := lds.DecodeCOM(raw)
	if err != nil {
		return err
	}
	c.Says, c.Unknown = fmt.Sprintf("LDS %s, Unicode %s", d.LDSVersion, d.UnicodeVersion), len(d.Unknown)
	for _, n := range d.DataGroups() {
		c.Says += fmt.Sprintf(", DG%d", n)
	}
	return nil
}

func directoryContent(raw []byte, c *Content) error {
	d, err := lds.DecodeDIR(raw)
	var ids []string
	for _, a := range d.Applications {
		ids = append(ids, fmt.Sprintf("%X", a.ID))
		c.Unknown += len(a.Unknown)
	}
	c.Says, c.Unknown = strings.Join(ids, ", "), c.Unknown+len(d.Unknown)
	return err
}

// NamedPicture is a picture of a document with a name for its file.
type NamedPicture struct {
	Name string // photo, printed-portrait, signature; with a number from the second on
	Data []byte
}

// Prints gives the images of fingers and irises in data groups 3 and 4, as they
// are on the chip, named after what they are of. A record that cannot be read
// has none; Contents says so.
func Prints(doc *lds.Document) []NamedPicture {
	var all []NamedPicture
	times := make(map[string]int)
	for _, f := range []lds.File{lds.DG3, lds.DG4} {
		raw, ok := doc.Get(f)
		if !ok {
			continue
		}
		held, err := lds.DecodeBiometrics(f, raw)
		if err != nil {
			continue
		}
		for _, t := range held.Templates {
			description, pictures, err := biometric.Describe(t.Record)
			if err != nil {
				continue
			}
			for i, picture := range pictures {
				name := strings.ReplaceAll(description.Images[i].Of, " ", "-")
				if times[name]++; times[name] > 1 {
					name = fmt.Sprintf("%s-%d", name, times[name])
				}
				all = append(all, NamedPicture{name, picture})
			}
		}
	}
	return all
}

// Pictures gives the pictures that are there for people to see, as they are on
// the chip: the portrait of data group 2, what is printed by data groups 5 and
// 7. Fingers and irises are not among them, but in Prints.
func Pictures(doc *lds.Document) []NamedPicture {
	var all []NamedPicture
	if picture, err := Portrait(doc); err == nil {
		all = append(all, NamedPicture{"photo", picture})
	}
	for _, g := range []struct {
		file   lds.File
		name   string
		decode func([]byte) (lds.Displayed, error)
	}{{lds.DG5, "printed-portrait", lds.DecodeDG5}, {lds.DG7, "signature", lds.DecodeDG7}} {
		raw, ok := doc.Get(g.file)
		if !ok {
			continue
		}
		d, err := g.decode(raw)
		if err != nil {
			continue // told by Contents
		}
		for i, p := range d.Pictures {
			name := g.name
			if i > 0 {
				name = fmt.Sprintf("%s-%d", g.name, i+1)
			}
			all = append(all, NamedPicture{name, p})
		}
	}
	return all
}
