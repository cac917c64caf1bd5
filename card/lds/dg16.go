package lds

import (
	"fmt"
	"slices"

	"chipid/card/tlv"
)

// Contacts is data group 16, the persons to notify (Doc 9303-10 §4.7.16).
type Contacts struct {
	Persons []Contact
	Unknown []Unknown

	original original
}

// Contact is one person to notify.
type Contact struct {
	Recorded  string // YYYYMMDD
	Name      string // PRIMARY<<SECONDARY
	Telephone string
	Address   string
	Unknown   []Unknown
}

// maxContacts: the entries have the tags A1 to AF.
const maxContacts = 15

const firstContact = 0xA1

func (c *Contact) details() []detail {
	return []detail{
		{tag: 0x5F50, date: &c.Recorded},
		{tag: 0x5F51, text: &c.Name},
		{tag: 0x5F52, text: &c.Telephone},
		{tag: 0x5F53, text: &c.Address},
	}
}

// EncodeDG16 writes data group 16.
func EncodeDG16(c Contacts) ([]byte, error) {
	return written(c.original, c, DecodeDG16, encodeDG16)
}

func encodeDG16(c Contacts) ([]byte, error) {
	if len(c.Persons) > maxContacts {
		return nil, fmt.Errorf("DG16: %d persons, at most %d", len(c.Persons), maxContacts)
	}
	body := tlv.Encode(tagCount, []byte{byte(len(c.Persons))})
	for i, p := range c.Persons {
		var entry []byte
		for _, d := range p.details() {
			v := d.text
			if d.date != nil {
				if v = d.date; !isDigits(*v, 8) {
					return nil, fmt.Errorf("DG16: person %d: a date has eight digits, YYYYMMDD", i+1)
				}
			}
			entry = append(entry, tlv.Encode(d.tag, []byte(*v))...)
		}
		body = append(body, tlv.Encode(tlv.Tag(firstContact+i), entry, encodeUnknown(p.Unknown))...)
	}
	return tlv.Encode(tlv.Tag(DG16.Tag()), body, encodeUnknown(c.Unknown)), nil
}

// DecodeDG16 reads data group 16.
func DecodeDG16(raw []byte) (Contacts, error) {
	fields, err := decodeFields(raw, DG16)
	if err != nil {
		return Contacts{}, err
	}
	var c Contacts
	for _, f := range fields {
		switch {
		case f.Tag == tagCount:
		case f.Tag < firstContact || f.Tag >= firstContact+maxContacts:
			c.Unknown = append(c.Unknown, Unknown{f.Tag, slices.Clone(f.Value)})
		case len(c.Persons) == maxContacts:
			return Contacts{}, malformed(DG16, "more than %d persons", maxContacts)
		default:
			p, err := decodeContact(f.Value)
			if err != nil {
				return Contacts{}, malformed(DG16, "person %d: %v", len(c.Persons)+1, err)
			}
			c.Persons = append(c.Persons, p)
		}
	}
	c.original = keep(raw, c, encodeDG16)
	return c, nil
}

func decodeContact(value []byte) (Contact, error) {
	objs, err := tlv.ReadAll(value)
	if err != nil || len(objs) > maxFields {
		return Contact{}, fmt.Errorf("%d data objects, %v", len(objs), err)
	}
	var p Contact
	details := p.details()
	for _, o := range objs {
		d, ok := find(details, o)
		switch {
		case !ok:
			p.Unknown = append(p.Unknown, Unknown{o.Tag, slices.Clone(o.Value)})
		case d.date != nil:
			if *d.date, err = decodeDate(o.Value); err != nil {
				return Contact{}, err
			}
		default:
			*d.text = decodeText(o.Value)
		}
	}
	return p, nil
}
