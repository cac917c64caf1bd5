package lds

import (
	"fmt"

	"chipid/card/tlv"
)

// Contact is one person to notify, an entry of data group 16 (Doc 9303-10
// §4.7.16).
type Contact struct {
	Recorded  string // YYYYMMDD
	Name      string // PRIMARY<<SECONDARY
	Telephone string
	Address   string
}

// maxContacts: the entries have the tags A1 to AF.
const maxContacts = 15

func (c *Contact) details() []detail {
	return []detail{
		{tag: 0x5F50, date: &c.Recorded},
		{tag: 0x5F51, text: &c.Name},
		{tag: 0x5F52, text: &c.Telephone},
		{tag: 0x5F53, text: &c.Address},
	}
}

// EncodeDG16 writes data group 16.
func EncodeDG16(contacts []Contact) ([]byte, error) {
	if len(contacts) > maxContacts {
		return nil, fmt.Errorf("DG16: %d persons, at most %d", len(contacts), maxContacts)
	}
	body := tlv.Encode(tagCount, []byte{byte(len(contacts))})
	for i, c := range contacts {
		var entry []byte
		for _, d := range c.details() {
			v := d.text
			if d.date != nil {
				if v = d.date; !isDigits(*v, 8) {
					return nil, fmt.Errorf("DG16: person %d: a date has eight digits, YYYYMMDD", i+1)
				}
			}
			entry = append(entry, tlv.Encode(d.tag, []byte(*v))...)
		}
		body = append(body, tlv.Encode(tlv.Tag(0xA1+i), entry)...)
	}
	return tlv.Encode(tlv.Tag(DG16.Tag()), body), nil
}

// DecodeDG16 reads data group 16.
func DecodeDG16(raw []byte) ([]Contact, error) {
	fields, err := decodeFields(raw, DG16)
	if err != nil {
		return nil, err
	}
	var contacts []Contact
	for _, f := range fields {
		if f.Tag < 0xA1 || f.Tag >= 0xA1+maxContacts {
			continue
		}
		if len(contacts) == maxContacts {
			return nil, malformed(DG16, "more than %d persons", maxContacts)
		}
		objs, err := tlv.ReadAll(f.Value)
		if err != nil {
			return nil, malformed(DG16, "%v", err)
		}
		var c Contact
		for _, o := range objs {
			d, ok := find(c.details(), o)
			switch {
			case !ok:
			case d.date != nil:
				if *d.date, err = decodeDate(o.Value); err != nil {
					return nil, malformed(DG16, "%v", err)
				}
			default:
				*d.text = decodeText(o.Value)
			}
		}
		contacts = append(contacts, c)
	}
	return contacts, nil
}
