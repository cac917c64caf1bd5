package chip

import (
	"bytes"
	"slices"

	"chipid/card/lds"
	"chipid/card/tlv"
	"chipid/pki/cert"
)

// Habits about EF.SOD: a chip cannot sign anew, but much of a SignedData (RFC
// 5652 §5) is outside the signature, and issuers write it in many ways.

// Tags of SignedData.
const (
	derSequence    tlv.Tag = 0x30
	derSet         tlv.Tag = 0x31
	derOctets      tlv.Tag = 0x04
	derOctetPieces tlv.Tag = 0x24
	derNull        tlv.Tag = 0x05
	derUTF8        tlv.Tag = 0x0C
	derPrintable   tlv.Tag = 0x13
	derContext0    tlv.Tag = 0xA0
	derContext1    tlv.Tag = 0xA1
	derKeyID       tlv.Tag = 0x80
)

// signedData is EF.SOD taken apart.
type signedData struct {
	contentType  []byte // of ContentInfo, whole, as the other fields
	version      []byte
	digests      []byte
	innerType    []byte
	content      []byte   // the value of eContent
	certificates [][]byte // each whole
	crls         []byte
	signers      []signerInfo
}

type signerInfo struct {
	version, sid, digest, attributes, algorithm []byte // each whole
	signature                                   []byte // the value
	unsigned                                    []byte
}

// takeApart reads EF.SOD as far as the habits need it.
func takeApart(raw []byte) (sd signedData, ok bool) {
	inner, err := lds.DecodeSOD(raw)
	if err != nil {
		return sd, false
	}
	info, ok := children(inner, derSequence, 2)
	if !ok {
		return sd, false
	}
	sd.contentType = info[0].Raw
	wrapped, ok := children(info[1].Raw, derContext0, 1)
	if !ok {
		return sd, false
	}
	fields, ok := children(wrapped[0].Raw, derSequence, 4)
	if !ok {
		return sd, false
	}
	sd.version, sd.digests = fields[0].Raw, fields[1].Raw
	encap, ok := children(fields[2].Raw, derSequence, 2)
	if !ok {
		return sd, false
	}
	sd.innerType = encap[0].Raw
	content, ok := children(encap[1].Raw, derContext0, 1)
	if !ok || content[0].Tag != derOctets {
		return sd, false
	}
	sd.content = content[0].Value
	for _, f := range fields[3:] {
		switch f.Tag {
		case derContext0:
			all, err := tlv.ReadAll(f.Value)
			if err != nil {
				return sd, false
			}
			for _, c := range all {
				sd.certificates = append(sd.certificates, c.Raw)
			}
		case derContext1:
			sd.crls = f.Raw
		case derSet:
			all, err := tlv.ReadAll(f.Value)
			if err != nil {
				return sd, false
			}
			for _, s := range all {
				signer, ok := takeSigner(s.Raw)
				if !ok {
					return sd, false
				}
				sd.signers = append(sd.signers, signer)
			}
		}
	}
	return sd, true
}

func takeSigner(raw []byte) (s signerInfo, ok bool) {
	fields, ok := children(raw, derSequence, 6)
	if !ok || fields[3].Tag != derContext0 || fields[5].Tag != derOctets {
		return s, false
	}
	s.version, s.sid, s.digest, s.attributes, s.algorithm = fields[0].Raw, fields[1].Raw, fields[2].Raw, fields[3].Raw, fields[4].Raw
	s.signature = fields[5].Value
	if len(fields) > 6 {
		s.unsigned = fields[6].Raw
	}
	return s, true
}

// children reads what is inside one object, at least so many.
func children(raw []byte, tag tlv.Tag, atLeast int) ([]tlv.Object, bool) {
	obj, err := tlv.ReadOne(raw, tag)
	if err != nil {
		return nil, false
	}
	all, err := tlv.ReadAll(obj.Value)
	return all, err == nil && len(all) >= atLeast
}

// wrapping writes constructed objects.
type wrapping func(tag tlv.Tag, parts ...[]byte) []byte

// indefinite gives them the length 80 and two zeros at the end (X.690 §8.1.3.6).
func indefinite(tag tlv.Tag, parts ...[]byte) []byte {
	return slices.Concat(tag.Bytes(), []byte{0x80}, slices.Concat(parts...), []byte{0, 0})
}

// octets writes an OCTET STRING.
type octets func(value []byte) []byte

func whole(value []byte) []byte { return tlv.Encode(derOctets, value) }

// inPieces gives it in pieces of 100 octets (X.690 §8.7.3).
func inPieces(value []byte) []byte {
	var pieces [][]byte
	for piece := range slices.Chunk(value, 100) {
		pieces = append(pieces, tlv.Encode(derOctets, piece))
	}
	return indefinite(derOctetPieces, pieces...)
}

// putTogether writes EF.SOD. What is under the signature stays as it was.
func (sd signedData) putTogether(wrap wrapping, text octets) []byte {
	var certificates []byte
	if len(sd.certificates) > 0 {
		certificates = wrap(derContext0, sd.certificates...)
	}
	var signers [][]byte
	for _, s := range sd.signers {
		signers = append(signers, wrap(derSequence, s.version, s.sid, s.digest, s.attributes, s.algorithm, text(s.signature), s.unsigned))
	}
	return lds.EncodeSOD(wrap(derSequence, sd.contentType, wrap(derContext0, wrap(derSequence,
		sd.version, sd.digests,
		wrap(derSequence, sd.innerType, wrap(derContext0, text(sd.content))),
		certificates, sd.crls,
		wrap(derSet, signers...),
	))))
}

// securityObjectHabits are complaint 5.
func securityObjectHabits() []habit {
	const clause = "RFC 5652 §5; Doc 9303-10 §4.6.2"
	// written gives the same message in another form; what the chip cannot take
	// apart stays as it is.
	written := func(wrap wrapping, text octets) func([]byte) []byte {
		return func(content []byte) []byte {
			sd, ok := takeApart(content)
			if !ok {
				return content
			}
			return sd.putTogether(wrap, text)
		}
	}
	changed := func(change func(*signedData)) func([]byte) []byte {
		return func(content []byte) []byte {
			sd, ok := takeApart(content)
			if !ok {
				return content
			}
			change(&sd)
			return sd.putTogether(tlv.Encode, whole)
		}
	}
	eachSigner := func(change func(sd *signedData, s *signerInfo)) func([]byte) []byte {
		return changed(func(sd *signedData) {
			for i := range sd.signers {
				change(sd, &sd.signers[i])
			}
		})
	}
	return []habit{
		row("sod-indefinite", 5, "X.690 §8.1.3.6", "has an EF.SOD with indefinite lengths", "EF.SOD dùng độ dài bất định").onFile(lds.EFSOD, written(indefinite, whole)),
		row("sod-in-pieces", 5, "X.690 §8.7.3", "has an EF.SOD whose content and signature come in pieces", "nội dung và chữ ký trong EF.SOD bị chia mảnh").onFile(lds.EFSOD, written(indefinite, inPieces)),
		row("sod-two-signers", 5, clause, "has an EF.SOD with a signature of a new kind before the one that all know", "EF.SOD có thêm chữ ký kiểu mới trước chữ ký thông thường").
			onFile(lds.EFSOD, changed(func(sd *signedData) {
				if len(sd.signers) > 0 {
					first := sd.signers[0]
					first.algorithm = tlv.Encode(derSequence, tlv.Encode(tagOID, oidMLDSA44))
					sd.signers = slices.Insert(sd.signers, 0, first)
				}
			})),
		row("sod-signer-by-key-id", 5, "RFC 5652 §5.3", "names the signer by its subject key identifier", "chỉ bên ký bằng mã khóa (SKI)").
			onFile(lds.EFSOD, eachSigner(func(sd *signedData, s *signerInfo) {
				if len(sd.certificates) == 0 {
					return
				}
				if c, err := cert.Parse(sd.certificates[0]); err == nil && len(c.SubjectKeyID) > 0 {
					s.version, s.sid = []byte{0x02, 0x01, 0x03}, tlv.Encode(derKeyID, c.SubjectKeyID)
				}
			})),
		row("sod-versions", 5, "RFC 5652 §5.1, §5.3", "has the version numbers of SignedData and signer the wrong way round", "số phiên bản của SignedData và bên ký bị đảo").
			onFile(lds.EFSOD, changed(func(sd *signedData) {
				for i := range sd.signers {
					sd.version, sd.signers[i].version = sd.signers[i].version, sd.version
				}
			})),
		row("sod-issuer-respelled", 5, "RFC 5280 §7.1", "names the signer's issuer in other letters, string types and blanks than its certificate", "tên bên cấp chứng thư viết khác kiểu chuỗi, chữ hoa và dấu cách").
			onFile(lds.EFSOD, eachSigner(func(_ *signedData, s *signerInfo) { s.sid = respell(s.sid) })),
		row("sod-digest-parameters", 5, "RFC 5754 §2", "writes NULL parameters where the digest algorithm had none, and none where it had", "đảo tham số NULL của thuật toán băm").
			onFile(lds.EFSOD, eachSigner(func(_ *signedData, s *signerInfo) { s.digest = otherParameters(s.digest) })),
		row("sod-odd-certificate", 5, clause, "brings a certificate along that nobody can read, before the signer's", "kèm một chứng thư không đọc được trước chứng thư bên ký").
			onFile(lds.EFSOD, changed(func(sd *signedData) {
				sd.certificates = slices.Insert(sd.certificates, 0, tlv.Encode(derSequence, tlv.Encode(derSequence), tlv.Encode(derNull)))
			})),
		row("sod-no-certificate", 5, "Doc 9303-10 §4.6.2.2", "leaves the signer's certificate out", "thiếu chứng thư bên ký").
			onFile(lds.EFSOD, changed(func(sd *signedData) { sd.certificates = nil })),
		row("sod-unsigned", 5, clause, "has an EF.SOD that nobody has signed", "EF.SOD không ai ký").
			onFile(lds.EFSOD, changed(func(sd *signedData) { sd.signers = nil })),
		row("dg-unsigned", 5, "Doc 9303-11 §5.1", "has a DG16 that EF.COM lists and EF.SOD does not", "có DG16 trong EF.COM nhưng không được ký trong EF.SOD").
			onFiles(map[lds.File]func([]byte) []byte{
				lds.DG16: func([]byte) []byte { return tlv.Encode(tlv.Tag(lds.DG16.Tag()), []byte{0x02, 0x01, 0x00}) },
				lds.EFCOM: listing(func(groups []int) []int {
					groups = append(groups, 16)
					slices.Sort(groups)
					return slices.Compact(groups)
				}),
			}),
		row("com-short", 5, "Doc 9303-10 §4.6.1", "lists DG1 and DG2 only in EF.COM", "EF.COM chỉ liệt kê DG1 và DG2").
			onFile(lds.EFCOM, listing(func([]int) []int { return []int{1, 2} })),
		row("com-missing", 5, "Doc 9303-10 §4.6.1", "has no EF.COM", "không có EF.COM").
			onFile(lds.EFCOM, func([]byte) []byte { return nil }),
	}
}

// oidMLDSA44 is 2.16.840.1.101.3.4.3.17, id-ml-dsa-44 (FIPS 204).
var oidMLDSA44 = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11}

// listing changes the data groups that EF.COM lists.
func listing(change func([]int) []int) func([]byte) []byte {
	return func(content []byte) []byte {
		com, err := lds.DecodeCOM(content)
		if err != nil {
			return content
		}
		other, err := lds.NewCommon(change(com.DataGroups()))
		if err != nil {
			return content
		}
		raw, err := lds.EncodeCOM(other)
		if err != nil {
			return content
		}
		return raw
	}
}

// respell writes the strings of a name as another encoder would: UTF8String for
// PrintableString and the other way round, in the other case, with two blanks
// for one. RFC 5280 §7.1 takes both for one name.
func respell(raw []byte) []byte {
	obj, rest, err := tlv.Read(raw)
	if err != nil || len(rest) > 0 {
		return raw
	}
	switch {
	case obj.Tag.Constructed():
		all, err := tlv.ReadAll(obj.Value)
		if err != nil {
			return raw
		}
		var parts [][]byte
		for _, o := range all {
			parts = append(parts, respell(o.Raw))
		}
		return tlv.Encode(obj.Tag, parts...)
	case obj.Tag == derPrintable:
		return tlv.Encode(derUTF8, otherLetters(obj.Value))
	case obj.Tag == derUTF8 && isASCII(obj.Value):
		return tlv.Encode(derPrintable, otherLetters(obj.Value))
	}
	return raw
}

func otherLetters(s []byte) []byte {
	if lower := bytes.ToLower(s); !bytes.Equal(lower, s) {
		s = lower
	} else {
		s = bytes.ToUpper(s)
	}
	return bytes.ReplaceAll(s, []byte(" "), []byte("  "))
}

func isASCII(s []byte) bool {
	return !slices.ContainsFunc(s, func(b byte) bool { return b >= 0x80 })
}

// otherParameters gives an AlgorithmIdentifier NULL parameters where it has
// none, and takes them away where it has.
func otherParameters(raw []byte) []byte {
	fields, ok := children(raw, derSequence, 1)
	switch {
	case !ok:
		return raw
	case len(fields) == 1:
		return tlv.Encode(derSequence, fields[0].Raw, tlv.Encode(derNull))
	case fields[1].Tag == derNull:
		return tlv.Encode(derSequence, fields[0].Raw)
	}
	return raw
}
