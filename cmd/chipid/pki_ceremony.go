package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chipid/pki/authority"
	"chipid/pki/durable"
	"chipid/pki/keystore"
	"chipid/pki/shamir"
)

// maxShareFile is more than a share with its notes has.
const maxShareFile = 64 << 10

// ceremony asks what an authority is to be, and whether it is right.
func (a *app) ceremony(o *authority.Options) error {
	fmt.Fprint(a.err, `This makes an issuing authority. What it is called and which keys it has
stays for years. An empty answer takes what stands in brackets.

`)
	var cscaKey, dsKey, shares string
	for _, q := range []struct {
		question, usual string
		answer          *string
	}{
		{"Country, two letters", "", &o.Country},
		{"Organization in the certificates' names", o.Organization, &o.Organization},
		{"Key of the CSCA: a curve, or RSA-3072, RSA-4096", "P-384", &cscaKey},
		{"Token of the CSCA's key, a pkcs11: URI; empty for a sealed file", "", &o.CSCA.Place},
		{"Keys of document signers", "P-256", &dsKey},
		{"Token of their keys; empty for sealed files", "", &o.DS.Place},
		{"Where readers fetch the revocation list, a URL", o.CRLURL, &o.CRLURL},
		{"Shares of the CSCA's secret, such as 2/3 for any 2 of 3 people;\nno for none", "no", &shares},
	} {
		var err error
		if *q.answer, err = a.line(q.question, q.usual); err != nil {
			return err
		}
	}
	var err error
	if o.CSCA.Kind, err = keystore.ParseKind(cscaKey); err != nil {
		return fmt.Errorf("the CSCA's key: %w", err)
	}
	if o.DS.Kind, err = keystore.ParseKind(dsKey); err != nil {
		return fmt.Errorf("the document signers' keys: %w", err)
	}
	if shares != "no" {
		if o.Shares, err = parseShares(shares); err != nil {
			return err
		}
	}
	right, err := a.line(fmt.Sprintf("\nAn authority of %s, %s: CSCA on %s, document signers on %s.\nIs that right? yes or no", o.Country, o.Organization, o.CSCA.Kind, o.DS.Kind), "")
	if err != nil {
		return err
	}
	if right != "yes" {
		return errors.New("the answer was not yes; nothing was made")
	}
	return nil
}

func parseShares(text string) (authority.Shares, error) {
	var s authority.Shares
	if n, err := fmt.Sscanf(text, "%d/%d", &s.Needed, &s.Of); err != nil || n != 2 || fmt.Sprintf("%d/%d", s.Needed, s.Of) != text {
		return s, fmt.Errorf("shares are given as needed/all, such as 2/3, not %q", text)
	}
	return s, nil
}

// giveShares hands out shares: as files in a folder, to be carried away one by
// one, or on the terminal, one holder after the other.
func (a *app) giveShares(dir string) func([]shamir.Share) error {
	if dir == "" {
		return func(shares []shamir.Share) error {
			for i, s := range shares {
				if _, err := a.line(fmt.Sprintf("\nShare %d of %d. Let its holder, and nobody else, come to the screen and press Enter", i+1, len(shares)), ""); err != nil {
					return err
				}
				if _, err := a.line(fmt.Sprintf("\n    %s\n\nWrite it down, then press Enter", s.Text()), ""); err != nil {
					return err
				}
				fmt.Fprint(a.err, "\x1b[3J\x1b[H\x1b[2J") // nor does the next holder see it by scrolling back
			}
			return nil
		}
	}
	return func(shares []shamir.Share) error {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for i, s := range shares {
			text := fmt.Sprintf("# Share %d of %d of a CSCA's secret; %d of them open its key.\n# Carry it to its holder and remove it here.\n%s\n", i+1, len(shares), s.Needed, s.Text())
			if err := durable.CreateFile(filepath.Join(dir, fmt.Sprintf("share-%d.txt", i+1)), []byte(text), 0o600); err != nil {
				return fmt.Errorf("give a share: %w", err)
			}
		}
		return nil
	}
}

// shareFlag is the --share that every command with the CSCA's key has.
func shareFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringSlice("share", nil, "file with a share of the CSCA's secret (repeatable), where its key is under shares")
}

// openCSCA opens an authority whose CSCA is to sign.
func (a *app) openCSCA(dir string, shareFiles []string) (*authority.Authority, error) {
	auth, err := a.openAuthority(dir)
	if err != nil {
		return nil, err
	}
	if need := auth.Shares(); need.Needed > 0 {
		shares, err := a.readShares(need, shareFiles)
		if err != nil {
			return nil, err
		}
		return auth, auth.UnlockCSCA(shares)
	}
	if len(shareFiles) > 0 {
		return nil, usageErrorf("--share: the CSCA's key of %s is not under shares", dir)
	}
	return auth, nil
}

func (a *app) readShares(need authority.Shares, shareFiles []string) ([]shamir.Share, error) {
	var shares []shamir.Share
	for _, path := range shareFiles {
		raw, err := durable.ReadFile(path, maxShareFile)
		if err != nil {
			return nil, err
		}
		var text []string
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, "#") {
				text = append(text, line)
			}
		}
		s, err := shamir.Parse(strings.Join(text, ""))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		shares = append(shares, s)
	}
	if len(shares) > 0 {
		return shares, nil
	}
	if a.terminal() == nil {
		return nil, fmt.Errorf("%w: %d of %d; give each with --share FILE, or run on a terminal", authority.ErrSharesNeeded, need.Needed, need.Of)
	}
	for len(shares) < need.Needed {
		text, err := a.prompt(fmt.Sprintf("Share %d of the %d that are needed (not shown): ", len(shares)+1, need.Needed))
		if err != nil {
			return nil, err
		}
		s, err := shamir.Parse(string(text))
		if err != nil {
			fmt.Fprintln(a.err, err) // a slip while typing; again
			if len(text) == 0 {
				return nil, err
			}
			continue
		}
		shares = append(shares, s)
	}
	return shares, nil
}

// askPIN asks for the PIN of a token on the terminal.
func (a *app) askPIN(token string) ([]byte, error) {
	if a.terminal() != nil {
		return a.prompt(fmt.Sprintf("PIN of token %s: ", token))
	}
	return nil, fmt.Errorf("the PIN of token %s: name a file with pin-source= in its URI, or run on a terminal", token)
}
