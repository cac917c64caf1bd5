package trust

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"chipid/pki/cert"
	"chipid/pki/durable"
	"chipid/pki/exchange"
)

// maxLists bounds the master lists of one folder. The ICAO directory has some
// thirty.
const maxLists = 1000

// pendingLists are master lists that wait for the roots of the folder.
type pendingLists []pendingList

type pendingList struct {
	*exchange.MasterList
	place    string
	required bool // an error where nobody vouches for it
}

func (p *pendingLists) add(message []byte, place string, required bool) error {
	if len(*p) == maxLists {
		return fmt.Errorf("more than %d master lists", maxLists)
	}
	l, err := exchange.ParseMasterList(message)
	if err != nil {
		return err
	}
	*p = append(*p, pendingList{l, place, required})
	return nil
}

func (p *pendingLists) addFile(path string) error {
	raw, err := durable.ReadFile(path, maxFileSize)
	if err != nil {
		return err
	}
	return p.add(raw, path, true)
}

// addDirectory takes the revocation lists and master lists of a directory
// file. Its document signers come with the documents, and its CSCA
// certificates nobody vouches for.
func (s *Store) addDirectory(path string, lists *pendingLists) error {
	f, err := durable.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for v, err := range exchange.LDIF(f) {
		if err != nil {
			return err
		}
		switch v.Attribute {
		case exchange.AttributeCRL:
			err = s.addList(v.Value)
		case exchange.AttributeMasterList:
			err = lists.add(bytes.Clone(v.Value), fmt.Sprintf("%s, %s", path, v.DN), false)
		}
		if err != nil {
			return fmt.Errorf("line %d, %s: %w", v.Line, v.DN, err)
		}
	}
	return nil
}

// addLists makes anchors of the lists that a certificate already in the store
// vouches for.
func (s *Store) addLists(lists pendingLists) error {
	roots := s.allAnchors()
	for _, l := range lists {
		err := s.addMasterList(l.MasterList, roots, l.place)
		switch {
		case err == nil:
		case errors.Is(err, exchange.ErrNoRoot) && l.required:
			return fmt.Errorf("%s: %w; put the root's certificate into the folder, or take the list away", l.place, err)
		case errors.Is(err, exchange.ErrNoRoot):
			s.setAside = append(s.setAside, fmt.Sprintf("%s: %v", l.place, err))
		default:
			return fmt.Errorf("%s: %w", l.place, err)
		}
	}
	return nil
}

// AddMasterList adds the certificates of a master list that one of the roots
// vouches for, and whose signer no revocation list in the store names. Where
// that fails it adds nothing.
func (s *Store) AddMasterList(l *exchange.MasterList, roots []*cert.Certificate) error {
	return s.addMasterList(l, roots, "master list")
}

func (s *Store) addMasterList(l *exchange.MasterList, roots []*cert.Certificate, place string) error {
	by, err := l.Verify(roots)
	if err != nil {
		return err
	}
	for i, c := range by.Chain[:len(by.Chain)-1] {
		if r := s.revocationOf(c, by.Chain[i+1], time.Time{}, Policy{}); r.Status == IsRevoked {
			return fmt.Errorf("its signer is not to be trusted: %s", r.Reason)
		}
	}
	for _, c := range l.Certificates {
		err := s.AddAnchor(c)
		if errors.Is(err, errTooMany) {
			return err
		}
		if err != nil {
			s.setAside = append(s.setAside, fmt.Sprintf("%s: %v", place, err))
		}
	}
	for _, u := range l.Unreadable {
		s.setAside = append(s.setAside, fmt.Sprintf("%s: %v", place, u.Err))
	}
	return nil
}

func (s *Store) allAnchors() []*cert.Certificate {
	var out []*cert.Certificate
	for _, of := range s.byCountry {
		of.settle()
		out = append(out, of.anchors...)
	}
	return out
}
