package authority

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/journal"
)

// Audit is what checking the log of signatures gave.
type Audit struct {
	journal.Summary
	File string `json:"file"`
	// Missing are certificates and revocation lists of the folder that no
	// entry of the log is about: they were signed behind its back, or the log
	// was cut.
	Missing []string `json:"missing"`
	// Lost are entries about certificates and revocation lists that are not
	// in the folder: the program died before it stored them, or they were
	// taken away.
	Lost []string `json:"lost"`
	// Signers are the logs of the signers' own signatures.
	Signers []SignerLog `json:"signers"`
	// Terminals is the log of the keys of terminal authentication; nil where
	// they have signed nothing.
	Terminals *SignerLog `json:"terminals,omitempty"`
}

// SignerLog is what checking the log of one signer gave.
type SignerLog struct {
	journal.Summary
	File string `json:"file"`
}

// ErrAudit: the log and the folder contradict each other.
var ErrAudit = errors.New("the log does not account for everything in the folder")

// AuditLog checks the logs of signatures, the CSCA's and each signer's: their
// chains, their counts, and that each certificate and revocation list of the
// folder has an entry. noted, where not empty, is the hash of an entry that was
// written down earlier. It needs no passphrase.
func (a *Authority) AuditLog(noted string) (*Audit, error) {
	noted = strings.ToLower(noted)
	audit := &Audit{File: a.path(logFile), Missing: []string{}, Lost: []string{}, Signers: []SignerLog{}}
	signersNoted, err := a.auditSigners(audit, noted)
	if err != nil {
		return audit, fmt.Errorf("check the log of signatures: %w", err)
	}
	terminalsNoted, err := a.auditCV(audit, noted)
	if err != nil {
		return audit, fmt.Errorf("check the log of signatures: %w", err)
	}
	signersNoted = signersNoted || terminalsNoted
	inCSCA := noted
	if signersNoted {
		inCSCA = ""
	}
	wanted, err := a.signedFiles()
	if err != nil {
		return nil, fmt.Errorf("check the log of signatures: %w", err)
	}
	summary, err := journal.Verify(audit.File, inCSCA, func(e journal.Entry) error {
		if _, ok := wanted[e.Digest]; ok {
			delete(wanted, e.Digest)
			return nil
		}
		for _, what := range []string{"certificate of ", "root certificate of ", "link certificate of ", "revocation list "} {
			if strings.HasPrefix(e.What, what) {
				audit.Lost = append(audit.Lost, fmt.Sprintf("entry %d: %s", e.Seq, e.What))
				break
			}
		}
		return nil
	})
	if summary != nil {
		audit.Summary = *summary
		audit.Noted = audit.Noted || signersNoted
	}
	if err != nil {
		return audit, fmt.Errorf("check the log of signatures: %w", err)
	}
	for _, path := range wanted {
		audit.Missing = append(audit.Missing, path)
	}
	if len(audit.Missing) > 0 {
		return audit, fmt.Errorf("check the log of signatures: %w: it has no entry for %s", ErrAudit, strings.Join(audit.Missing, ", "))
	}
	return audit, nil
}

// auditSigners checks the signers' logs, and tells whether a noted hash is in
// one of them.
func (a *Authority) auditSigners(audit *Audit, noted string) (met bool, err error) {
	for _, folder := range []string{"ds", "lists"} {
		certificates, err := filepath.Glob(a.path(folder, "*.cer"))
		if err != nil {
			return met, err
		}
		for _, path := range certificates {
			path = strings.TrimSuffix(path, ".cer") + ".log"
			summary, err := journal.Verify(path, "", func(e journal.Entry) error {
				met = met || noted != "" && e.Hash == noted
				return nil
			})
			if errors.Is(err, fs.ErrNotExist) {
				return met, fmt.Errorf("%w: %s is missing", ErrAudit, path)
			} else if err != nil {
				return met, err
			}
			audit.Signers = append(audit.Signers, SignerLog{*summary, path})
		}
	}
	return met, nil
}

// auditCV checks the log of the keys of terminal authentication, and that each
// certificate they signed has its entry.
func (a *Authority) auditCV(audit *Audit, noted string) (met bool, err error) {
	unlogged := map[string]bool{}
	byDigest := map[string]string{}
	for _, folder := range []string{cvcaFolder, dvFolder, terminalFolder, issuedFolder} {
		for _, links := range []bool{false, true} {
			list, err := a.listCV(folder, links)
			if err != nil {
				return false, err
			}
			for _, c := range list {
				// What another state's CVCA signed is in its log.
				if folder == dvFolder && c.CAR.Country() != a.config.Country {
					continue
				}
				path := a.cvPath(folder, string(c.CHR)+cvcertSuffix)
				if links {
					path = a.cvPath(folder, string(c.CHR)+linkSuffix)
				}
				unlogged[path] = true
				// The hash is the signer's, which the certificate does not name.
				for _, hash := range []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
					h := hash.New()
					h.Write(c.RawBody)
					byDigest[hex.EncodeToString(h.Sum(nil))] = path
				}
			}
		}
	}
	path := a.path(cvLogFile)
	summary, err := journal.Verify(path, "", func(e journal.Entry) error {
		met = met || noted != "" && e.Hash == noted
		delete(unlogged, byDigest[e.Digest])
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		if len(unlogged) > 0 {
			return met, fmt.Errorf("%w: %s is missing", ErrAudit, path)
		}
		return met, nil
	} else if err != nil {
		return met, err
	}
	audit.Terminals = &SignerLog{*summary, path}
	for path := range unlogged {
		audit.Missing = append(audit.Missing, path)
	}
	return met, nil
}

// signedFiles gives the digests that were signed for the certificates and
// revocation lists of the folder, with their paths.
func (a *Authority) signedFiles() (map[string]string, error) {
	out := map[string]string{}
	for _, folder := range []string{"csca", "ds", "lists", "crl"} {
		entries, err := os.ReadDir(a.path(folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := a.path(folder, e.Name())
			extension := filepath.Ext(path)
			if strings.HasPrefix(e.Name(), ".") || extension != ".cer" && extension != ".crl" {
				continue
			}
			raw, err := durable.ReadFile(path, 1<<30)
			if err != nil {
				return nil, err
			}
			var algorithm cert.Algorithm
			var signed []byte
			if extension == ".cer" {
				c, err := cert.Parse(raw)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
				algorithm, signed = c.SignatureAlgorithm, c.RawTBS
			} else {
				l, err := cert.ParseCRL(raw)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
				algorithm, signed = l.SignatureAlgorithm, l.RawTBS
			}
			hash := algorithm.Hash()
			if hash == 0 {
				return nil, fmt.Errorf("%s: signed with %s, which this authority does not use", path, algorithm)
			}
			h := hash.New()
			h.Write(signed)
			out[hex.EncodeToString(h.Sum(nil))] = path
		}
	}
	return out, nil
}
