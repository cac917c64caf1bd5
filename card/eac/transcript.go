package eac

import (
	"bytes"
	"crypto"
	"fmt"

	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/pki/curve"
	"chipid/pki/dh"
)

// Transcript is what it takes to check a run again without the chip: the
// terminal's ephemeral private key and the first exchange that the new session
// keys protected. The key is of no use for anything else, but it opens that
// session's traffic, so a transcript is kept as carefully as the data read.
type Transcript struct {
	Protocol   string `cbor:"1,keyasint"`           // CA-ECDH-AES-CBC-CMAC-128
	KeyID      []byte `cbor:"2,keyasint,omitempty"` // of the chip's key, unsigned; empty where it has one key
	PrivateKey []byte `cbor:"3,keyasint"`           // the terminal's, a big-endian scalar or exponent
	Command    []byte `cbor:"4,keyasint"`           // the first protected command APDU
	Response   []byte `cbor:"5,keyasint"`           // and the response to it
}

// Format keeps the key out of logs and messages.
func (tr Transcript) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "transcript of %s (not shown)", tr.Protocol)
}

// Transcript records a run with its first protected exchange, as it went over
// the line.
func (t *Terminal) Transcript(command iso7816.Command, response iso7816.Response) (Transcript, error) {
	raw, err := command.Bytes()
	if err != nil {
		return Transcript{}, fmt.Errorf("record chip authentication: %w", err)
	}
	tr := Transcript{Protocol: t.info.Name(), PrivateKey: secretOf(t.private), Command: raw, Response: response.Bytes()}
	if t.info.KeyID != nil {
		tr.KeyID = keyID(t.info.KeyID)
	}
	return tr, nil
}

func secretOf(k PrivateKey) []byte {
	if k, ok := k.(*dh.PrivateKey); ok {
		return k.Exponent()
	}
	return k.(*curve.PrivateKey).Scalar()
}

// newPrivateKey reads a key of the same group as a public one.
func newPrivateKey(public crypto.PublicKey, secret []byte) (PrivateKey, error) {
	if k, ok := public.(*dh.PublicKey); ok {
		return dh.NewPrivateKey(k.Group, secret)
	}
	return curve.NewPrivateKey(public.(*curve.PublicKey).Curve, secret)
}

// Offer finds the offer of data group 14 that the run took.
func (tr Transcript) Offer(infos lds.SecurityInfos) (Offer, bool) {
	for _, o := range Offers(infos) {
		var id []byte
		if o.Info.KeyID != nil {
			id = keyID(o.Info.KeyID)
		}
		if o.Info.Name() == tr.Protocol && bytes.Equal(id, tr.KeyID) {
			return o, true
		}
	}
	return Offer{}, false
}

// VerifyTranscript checks a run again with protocol and key from a data group
// 14 that passive authentication has verified. ErrAuthentication says that the
// exchange does not come from the holder of that key.
func VerifyTranscript(tr Transcript, info lds.ChipAuthenticationInfo, key lds.ChipAuthenticationPublicKeyInfo) error {
	if tr.Protocol != info.Name() {
		return fmt.Errorf("%w: the transcript is of %s, the document offers %s", ErrAuthentication, tr.Protocol, info.Name())
	}
	public, err := publicKey(info, key)
	if err != nil {
		return err
	}
	private, err := newPrivateKey(public, tr.PrivateKey)
	if err != nil {
		return fmt.Errorf("%w: the terminal's key: %w", ErrAuthentication, err)
	}
	t, err := newTerminal(info, public, private)
	if err != nil {
		return err
	}
	command, err := iso7816.ParseCommand(tr.Command)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	response, err := iso7816.ParseResponse(tr.Response)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	// The chip's end must read the command, and the terminal's the response to
	// the same command: both counters at their start.
	chip, err := iso7816.NewSecureMessaging(t.keys)
	if err != nil {
		return err
	}
	plain, err := chip.UnwrapCommand(command)
	if err != nil {
		return fmt.Errorf("%w: the command: %w", ErrAuthentication, err)
	}
	terminal, err := iso7816.NewSecureMessaging(t.keys)
	if err != nil {
		return err
	}
	if _, err := terminal.WrapCommand(plain); err != nil {
		return fmt.Errorf("%w: the command: %w", ErrAuthentication, err)
	}
	if _, err := terminal.UnwrapResponse(response); err != nil {
		return fmt.Errorf("%w: the response: %w", ErrAuthentication, err)
	}
	return nil
}

// Compressed is the terminal's ephemeral key of the run as terminal
// authentication over its channel signs it, with protocol and key as in
// VerifyTranscript.
func (tr Transcript) Compressed(info lds.ChipAuthenticationInfo, key lds.ChipAuthenticationPublicKeyInfo) ([]byte, error) {
	public, err := publicKey(info, key)
	if err != nil {
		return nil, err
	}
	private, err := newPrivateKey(public, tr.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: the terminal's key: %w", ErrAuthentication, err)
	}
	return Compress(private.Public()), nil
}
