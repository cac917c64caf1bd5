package passiveauth

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"

	"chipid/card/lds"
	"chipid/pki/cert"
	"chipid/pki/cms"
)

// oidCardSecurity is id-SecurityObject of TR-03110-3 A.1.2.5, the content type of
// EF.CardSecurity.
func oidCardSecurity() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 3, 2, 1}
}

// CardSecurity is EF.CardSecurity, the signed file of the master file: the key
// that the chip authentication mapping of PACE proves stands there (Doc 9303-11
// §9.2.11).
type CardSecurity struct {
	Infos     lds.SecurityInfos
	Signer    *cert.Certificate // nil where there is none; whether to trust it is for pki/trust
	Signature error             // nil where the signature holds; ErrSigner or ErrUnchecked
}

// VerifyCardSecurity reads the file and verifies its signature. An error says
// that it is no such file.
func VerifyCardSecurity(raw []byte) (*CardSecurity, error) {
	signed, err := cms.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("passive authentication: %s: %w", lds.EFCardSecurity, err)
	}
	infos, err := lds.ParseSecurityInfos(signed.Content)
	if err != nil {
		return nil, fmt.Errorf("passive authentication: %s: %w", lds.EFCardSecurity, err)
	}
	c := &CardSecurity{Infos: infos}
	results, err := signed.Verify(cms.VerifyOptions{})
	switch {
	case !signed.ContentType.Equal(oidCardSecurity()):
		c.Signature = fmt.Errorf("%w: it signs a content of type %s", ErrSigner, signed.ContentType)
	case len(results) != 1:
		// Which of two signers' word would count, nobody could say.
		c.Signature = fmt.Errorf("%w: it has %d signatures, one belongs", ErrSigner, len(results))
	case err != nil:
		fault := signatureFault(results)
		if fault == nil {
			fault = ErrSigner
		}
		c.Signature = fmt.Errorf("%w: %w", fault, err)
	default:
		c.Signer = results[0].Certificate
	}
	return c, nil
}

// IssueCardSecurity signs the file, and verifies what it made before it gives
// it out.
func IssueCardSecurity(rand io.Reader, infos lds.SecurityInfos, ds *cert.Certificate, signer crypto.Signer, at time.Time) ([]byte, error) {
	content, err := infos.Encode()
	if err != nil {
		return nil, fmt.Errorf("issue %s: %w", lds.EFCardSecurity, err)
	}
	raw, err := cms.Sign(rand, oidCardSecurity(), content, cms.SignOptions{Certificate: ds, Signer: signer, SigningTime: at})
	if err != nil {
		return nil, fmt.Errorf("issue %s: %w", lds.EFCardSecurity, err)
	}
	made, err := VerifyCardSecurity(raw)
	if err == nil {
		err = made.Signature
	}
	if err == nil && !bytes.Equal(made.Signer.Raw, ds.Raw) {
		err = errors.New("it names another signer")
	}
	if err != nil {
		return nil, fmt.Errorf("issue %s: what was signed does not verify, so it is not given out: %w", lds.EFCardSecurity, err)
	}
	return raw, nil
}
