package inspect

import (
	"fmt"
	"slices"
	"strings"

	"chipid/card/passiveauth"
	"chipid/pki/cert"
)

// codeDocumentType is about a signer that was not appointed for documents of this
// kind.
const codeDocumentType = "document_type"

// otherType compares the type of the document with those that its signer's
// certificate lists (Doc 9303-12 §7.1.1.6): a state that has one signer for
// visas and another for passports limits what is lost with a key. nil: they
// agree, or the certificate has no list, which older profiles did not ask for. A
// list that is empty, cannot be read or is there twice is not none.
//
// It does not fail a document. Real lists are wrong now and then, and nobody but
// the state itself could say whether this one is; but a document is not genuine
// either that its signer was never appointed for. An operator who knows of a
// state's wrong lists can let them pass: see Policy.AnyDocumentType.
func (c *checker) otherType() *Outcome {
	if c.fields.mrz == nil || c.passive.Status(1) != passiveauth.Match || len(c.path.Chain) == 0 {
		return nil // passive authentication says what is wrong
	}
	signer, is := c.path.Chain[0], c.fields.mrz.DocumentCode
	listed := signer.DocumentTypes
	types, typesVI := strings.Join(listed, ", "), strings.Join(listed, ", ")
	switch {
	case !signer.Has(cert.OIDDocumentType):
		return nil
	case len(listed) == 0, slices.ContainsFunc(signer.Unread, func(e cert.Extension) bool { return e.OID.Equal(cert.OIDDocumentType) }):
		types, typesVI = "types that its certificate does not tell in a form that can be read", "mà chứng thư ghi không đọc được"
	case slices.ContainsFunc(listed, func(l string) bool { return coversType(l, is) }):
		return nil
	}
	en := fmt.Sprintf("the document is of type %s, and its signer was appointed for %s", is, types)
	vi := fmt.Sprintf("giấy tờ loại %s, nhưng bên ký chỉ được phép ký loại %s", is, typesVI)
	check := missing(codeDocumentType, en, vi)
	if c.policy.AnyDocumentType {
		check = passed(codeDocumentType, en+", which is let pass", vi+"; đã cho qua theo yêu cầu")
	}
	return &check
}

// coversType tells whether an entry of the list is for a document code. Lists
// have fillers and small letters, and a single letter for all types that begin
// with it, as the code of a passport of the zone does.
func coversType(listed, code string) bool {
	clean := func(s string) string { return strings.ToUpper(strings.Trim(s, "< ")) }
	listed, code = clean(listed), clean(code)
	return listed != "" && (listed == code || len(listed) == 1 && strings.HasPrefix(code, listed))
}
