package biometric

import (
	"errors"
	"fmt"
	"slices"

	"chipid/card/tlv"
)

// ISO/IEC 39794, the extensible formats that Doc 9303-10 brings in for faces,
// fingers and irises in place of ISO/IEC 19794, are ASN.1: sequences whose
// fields have context tags, so that later editions can add some. In a chip they
// stand DER encoded in a constructed data block (7F2E), inside of a tag A1:
//
//	A1 { 65 { A0 { 80 generation, 81 year },           version
//	          A1 { 30 { representation } … } } }       one or more
//
// 64 are fingers (part 4), 65 faces (part 5), 66 irises (part 6). What a
// representation says of its image is in dozens of optional fields. Those that
// a reader needs have a name here; all others are kept as they stand, quality
// and landmarks among them, so that a record is written again octet by octet.
//
// The standard was not at hand. The tags are those of its ASN.1 modules as
// public decoders cite them, and were compared between two of these.

// ErrExtensible says that octets are no record of ISO/IEC 39794.
var ErrExtensible = errors.New("not a record of ISO/IEC 39794")

// Part is a part of ISO/IEC 39794.
type Part int

// The parts that travel documents use.
const (
	FingerPart Part = 4
	FacePart   Part = 5
	IrisPart   Part = 6
)

// Field is a data object as it stands.
type Field struct {
	Tag   tlv.Tag
	Value []byte
}

// Extensible is a record of ISO/IEC 39794.
type Extensible struct {
	Part             Part
	Generation, Year int
	VersionFields    []Field // behind them
	Representations  []Representation
	Other            []Field // behind version and representations
	Bare             bool    // without the tag A1 around it
}

// Representation is one image. A number is -1 where it is absent, or where an
// extension that is kept in Fields stands in its place.
type Representation struct {
	ID         int // of a face
	Position   int // of a finger as in ISO/IEC 19794-4; of an iris 1 right, 2 left
	Impression int // of a finger
	DataFormat int // as declared
	Image      []byte
	Fields     []Field // everything else of the representation
	// Of a face, everything else of its two-dimensional image, and of the
	// information about it.
	ImageFields, InformationFields []Field
}

// Format tells how the picture is encoded, by the picture itself.
func (r Representation) Format() Format { return FormatOf(r.Image) }

// Declared formats of images. Each part has numbers of its own.
const (
	face39794JPEG    = 2
	face39794JP2     = 3 // with loss
	finger39794WSQ   = 1
	finger39794JP2   = 2
	finger39794PNG   = 4
	iris39794PNG     = 2
	iris39794JP2     = 4
	generation39794  = 3 // ISO/IEC 19794:2005 and :2011 were the first two
	year39794        = 2019
	maxFields39794   = 64
	tagExtensible    = 0xA1
	tagApplication   = 0x60 // with the number of the part
	tagSequence      = 0x30
	firstField       = 0x80
	constructedField = 0xA0
)

// NewExtensible wraps a picture as a record of one representation. position is
// the finger, or the eye; of a face it is ignored. captured is the year that a
// record of an iris has to have.
func NewExtensible(part Part, position int, picture []byte, captured int) (Extensible, error) {
	info, _, err := ReadInfo(picture)
	if err != nil {
		return Extensible{}, err
	}
	formats := map[Part]map[Format]int{
		FacePart:   {JPEG: face39794JPEG, JPEG2000: face39794JP2},
		FingerPart: {WSQ: finger39794WSQ, JPEG2000: finger39794JP2, PNG: finger39794PNG},
		IrisPart:   {PNG: iris39794PNG, JPEG2000: iris39794JP2},
	}
	format, ok := formats[part][info.Format]
	if !ok {
		return Extensible{}, fmt.Errorf("%w: part %d has no images in %s", ErrExtensible, part, info.Format)
	}
	r := Representation{DataFormat: format, Image: picture}
	switch part {
	case FingerPart:
		r.Position = position
	case FacePart:
		r.InformationFields = []Field{{constructedField + 7, slices.Concat(
			tlv.Encode(firstField, integer(info.Width)), tlv.Encode(firstField+1, integer(info.Height)))}}
	case IrisPart:
		r.Position = position
		r.Fields = []Field{
			{constructedField + 1, tlv.Encode(firstField, integer(1))},                               // uncropped
			{firstField + 2, integer(8)},                                                             // bits
			{firstField + 4, integer(0)}, {firstField + 5, integer(0)}, {firstField + 6, integer(0)}, // undefined
			{constructedField + 7, tlv.Encode(firstField+1, integer(0))}, // range unassigned
			{constructedField + 8, tlv.Encode(firstField, integer(captured))},
		}
	}
	return Extensible{Part: part, Generation: generation39794, Year: year39794, Representations: []Representation{r}}, nil
}

// integer is the content of a non-negative INTEGER.
func integer(v int) []byte {
	out := []byte{byte(v)}
	for v >>= 8; v > 0; v >>= 8 {
		out = append([]byte{byte(v)}, out...)
	}
	if out[0]&0x80 != 0 {
		out = append([]byte{0}, out...)
	}
	return out
}

// number reads an INTEGER of 0 to 2^31 - 1.
func number(content []byte) (int, bool) {
	if len(content) == 0 || len(content) > 4 || content[0]&0x80 != 0 || len(content) > 1 && content[0] == 0 && content[1]&0x80 == 0 {
		return 0, false
	}
	v := 0
	for _, o := range content {
		v = v<<8 | int(o)
	}
	return v, true
}

// layout says where the named fields of a part's representation are. A code is
// a choice between a number [0] and an extension.
type layout struct {
	image                        tlv.Tag
	position                     tlv.Tag // a number
	positionCode, impressionCode tlv.Tag // codes
	formatCode                   tlv.Tag
}

var (
	fingerLayout = layout{positionCode: 0xA0, impressionCode: 0xA1, formatCode: 0xA2, image: 0x83}
	irisLayout   = layout{position: 0x80, formatCode: 0xA3, image: 0x89}
)

// Tags within the representation of a face.
const (
	tagFaceID             = 0x80
	tagFaceRepresentation = 0xA1 // { A0 base { A0 two-dimensional block } }
	tagFaceBase           = 0xA0
	tagFace2D             = 0xA0
	tagFaceImage          = 0x80
	tagFaceInformation    = 0xA1
	tagFaceFormat         = 0xA0
)

// EncodeExtensible writes the content of a constructed data block.
func EncodeExtensible(e Extensible) ([]byte, error) {
	if e.Part != FingerPart && e.Part != FacePart && e.Part != IrisPart {
		return nil, fmt.Errorf("%w: part %d", ErrExtensible, e.Part)
	}
	if len(e.Representations) == 0 || len(e.Representations) > maxFingers {
		return nil, fmt.Errorf("%w: %d representations, one to %d are possible", ErrExtensible, len(e.Representations), maxFingers)
	}
	var representations []byte
	for i, r := range e.Representations {
		if len(r.Image) == 0 || len(r.Image) > maxImage {
			return nil, fmt.Errorf("%w: representation %d has an image of %d octets", ErrExtensible, i+1, len(r.Image))
		}
		representations = append(representations, tlv.Encode(tagSequence, r.encode(e.Part))...)
	}
	block := tlv.Encode(tagApplication|tlv.Tag(e.Part),
		tlv.Encode(constructedField, tlv.Encode(firstField, integer(e.Generation)), tlv.Encode(firstField+1, integer(e.Year)), encodeFields(e.VersionFields)),
		tlv.Encode(constructedField+1, representations), encodeFields(e.Other))
	if e.Bare {
		return block, nil
	}
	return tlv.Encode(tagExtensible, block), nil
}

func (r Representation) encode(part Part) []byte {
	fields := slices.Clone(r.Fields)
	number := func(to []Field, tag tlv.Tag, v int) []Field {
		if v < 0 {
			return to
		}
		return append(to, Field{tag, integer(v)})
	}
	code := func(to []Field, tag tlv.Tag, v int) []Field {
		if v < 0 {
			return to
		}
		return append(to, Field{tag, tlv.Encode(firstField, integer(v))})
	}
	switch part {
	case FacePart:
		information := code(slices.Clone(r.InformationFields), tagFaceFormat, r.DataFormat)
		image := append(slices.Clone(r.ImageFields), Field{tagFaceImage, r.Image}, Field{tagFaceInformation, sortedFields(information)})
		fields = number(fields, tagFaceID, r.ID)
		fields = append(fields, Field{tagFaceRepresentation, tlv.Encode(tagFaceBase, tlv.Encode(tagFace2D, sortedFields(image)))})
	case FingerPart:
		fields = code(fields, fingerLayout.positionCode, r.Position)
		fields = code(fields, fingerLayout.impressionCode, r.Impression)
		fields = code(fields, fingerLayout.formatCode, r.DataFormat)
		fields = append(fields, Field{fingerLayout.image, r.Image})
	case IrisPart:
		fields = number(fields, irisLayout.position, r.Position)
		fields = code(fields, irisLayout.formatCode, r.DataFormat)
		fields = append(fields, Field{irisLayout.image, r.Image})
	}
	return sortedFields(fields)
}

// sortedFields writes fields in the order of their numbers, as a sequence of
// rising tags has them.
func sortedFields(fields []Field) []byte {
	slices.SortStableFunc(fields, func(a, b Field) int { return fieldNumber(a.Tag) - fieldNumber(b.Tag) })
	return encodeFields(fields)
}

func fieldNumber(t tlv.Tag) int {
	if t > 0xFF {
		return int(t & 0x7F)
	}
	return int(t & 0x1F)
}

func encodeFields(fields []Field) []byte {
	var out []byte
	for _, f := range fields {
		out = append(out, tlv.Encode(f.Tag, f.Value)...)
	}
	return out
}

// DecodeExtensible reads the content of a constructed data block. The images
// alias record.
func DecodeExtensible(record []byte) (Extensible, error) {
	obj, err := wholeObject(record)
	if err != nil {
		return Extensible{}, err
	}
	e := Extensible{Bare: true}
	if obj.Tag == tagExtensible {
		e.Bare = false
		if obj, err = wholeObject(obj.Value); err != nil {
			return Extensible{}, err
		}
	}
	e.Part = Part(obj.Tag &^ tagApplication)
	if obj.Tag&^0x1F != tagApplication || e.Part != FingerPart && e.Part != FacePart && e.Part != IrisPart {
		return Extensible{}, fmt.Errorf("%w: tag %s", ErrExtensible, obj.Tag)
	}
	fields, err := readFields(obj.Value)
	if err != nil {
		return Extensible{}, err
	}
	versions, blocks := 0, 0
	for _, f := range fields {
		switch f.Tag {
		case constructedField:
			versions++
			err = e.version(f.Value)
		case constructedField + 1:
			blocks++
			err = e.representations(f.Value)
		default:
			e.Other = append(e.Other, f)
		}
		if err != nil {
			return Extensible{}, err
		}
	}
	if versions != 1 || blocks != 1 || len(e.Representations) == 0 {
		return Extensible{}, fmt.Errorf("%w: it has no version or no representation, or some twice", ErrExtensible)
	}
	return e, nil
}

func wholeObject(b []byte) (tlv.Object, error) {
	obj, rest, err := tlv.Read(b)
	if err != nil {
		return tlv.Object{}, fmt.Errorf("%w: %w", ErrExtensible, err)
	}
	if len(rest) > 0 {
		return tlv.Object{}, fmt.Errorf("%w: %d octets follow it", ErrExtensible, len(rest))
	}
	return obj, nil
}

func readFields(b []byte) ([]Field, error) {
	objs, err := tlv.ReadAll(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExtensible, err)
	}
	if len(objs) > maxFields39794 {
		return nil, fmt.Errorf("%w: %d fields", ErrExtensible, len(objs))
	}
	fields := make([]Field, len(objs))
	for i, o := range objs {
		fields[i] = Field{o.Tag, o.Value}
	}
	return fields, nil
}

func (e *Extensible) version(b []byte) error {
	fields, err := readFields(b)
	if err != nil {
		return err
	}
	e.Generation, e.Year = -1, -1
	for _, f := range fields {
		switch f.Tag {
		case firstField:
			err = readNumber(f, &e.Generation)
		case firstField + 1:
			err = readNumber(f, &e.Year)
		default:
			e.VersionFields = append(e.VersionFields, f)
		}
		if err != nil {
			return fmt.Errorf("%w: its version: %w", ErrExtensible, err)
		}
	}
	if e.Generation < 0 || e.Year < 0 {
		return fmt.Errorf("%w: its version is not complete", ErrExtensible)
	}
	return nil
}

func (e *Extensible) representations(b []byte) error {
	objs, err := tlv.ReadAll(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrExtensible, err)
	}
	if len(objs) > maxFingers {
		return fmt.Errorf("%w: %d representations", ErrExtensible, len(objs))
	}
	for i, o := range objs {
		fields, err := readFields(o.Value)
		if err != nil {
			return err
		}
		r := Representation{DataFormat: -1}
		switch e.Part {
		case FacePart:
			r.ID = -1
			err = r.decodeFace(fields)
		case FingerPart:
			r.Position, r.Impression = -1, -1
			err = r.decode(fields, fingerLayout)
		case IrisPart:
			r.Position = -1
			err = r.decode(fields, irisLayout)
		}
		if err == nil && (o.Tag != tagSequence || len(r.Image) == 0) {
			err = errors.New("it is no sequence or has no image")
		}
		if err != nil {
			return fmt.Errorf("%w: representation %d: %w", ErrExtensible, i+1, err)
		}
		e.Representations = append(e.Representations, r)
	}
	return nil
}

func (r *Representation) decode(fields []Field, at layout) error {
	for _, f := range fields {
		var err error
		switch f.Tag {
		case at.image:
			err = readImage(f, &r.Image)
		case at.position:
			err = readNumber(f, &r.Position)
		case at.positionCode:
			err = readCode(f, &r.Position, &r.Fields)
		case at.impressionCode:
			err = readCode(f, &r.Impression, &r.Fields)
		case at.formatCode:
			err = readCode(f, &r.DataFormat, &r.Fields)
		default:
			r.Fields = append(r.Fields, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Representation) decodeFace(fields []Field) error {
	for _, f := range fields {
		var err error
		switch f.Tag {
		case tagFaceID:
			err = readNumber(f, &r.ID)
		case tagFaceRepresentation:
			err = r.decodeFaceImage(f.Value)
		default:
			r.Fields = append(r.Fields, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Representation) decodeFaceImage(choice []byte) error {
	base, err := tlv.ReadOne(choice, tagFaceBase)
	if err != nil {
		return fmt.Errorf("it is no image: %w", err)
	}
	block, err := tlv.ReadOne(base.Value, tagFace2D)
	if err != nil {
		return fmt.Errorf("it is no two-dimensional image: %w", err)
	}
	fields, err := readFields(block.Value)
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch f.Tag {
		case tagFaceImage:
			err = readImage(f, &r.Image)
		case tagFaceInformation:
			err = r.decodeFaceInformation(f.Value)
		default:
			r.ImageFields = append(r.ImageFields, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Representation) decodeFaceInformation(b []byte) error {
	fields, err := readFields(b)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if f.Tag != tagFaceFormat {
			r.InformationFields = append(r.InformationFields, f)
		} else if err := readCode(f, &r.DataFormat, &r.InformationFields); err != nil {
			return err
		}
	}
	return nil
}

var errTwice = errors.New("it stands there twice")

func readImage(f Field, to *[]byte) error {
	if *to != nil {
		return fmt.Errorf("field %s: %w", f.Tag, errTwice)
	}
	*to = f.Value
	return nil
}

// readNumber reads a number that is -1 so far.
func readNumber(f Field, to *int) error {
	v, ok := number(f.Value)
	switch {
	case *to >= 0:
		return fmt.Errorf("field %s: %w", f.Tag, errTwice)
	case !ok:
		return fmt.Errorf("field %s: no number from 0 on in %d octets", f.Tag, len(f.Value))
	}
	*to = v
	return nil
}

// readCode reads a choice between a number and an extension, which is kept.
func readCode(f Field, to *int, keep *[]Field) error {
	if obj, err := tlv.ReadOne(f.Value, firstField); err == nil {
		return readNumber(Field{f.Tag, obj.Value}, to)
	}
	*keep = append(*keep, f)
	return nil
}

// Faces gives the images as faces, with what the record says of them in numbers:
// for whoever wants a portrait and does not care for the standard around it.
func (e Extensible) Faces() []Face {
	var faces []Face
	for _, r := range e.Representations {
		f := Face{ImageType: fullFrontal, Image: r.Image}
		if info, _, err := ReadInfo(r.Image); err == nil && info.Width <= 0xFFFF && info.Height <= 0xFFFF {
			f.Width, f.Height = uint16(info.Width), uint16(info.Height)
		}
		if f.Format() == JPEG2000 {
			f.DataType = dataJPEG2000
		}
		faces = append(faces, f)
	}
	return faces
}
