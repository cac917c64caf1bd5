package packet

import (
	"errors"
	"strings"
	"time"

	"chipid/card/national"
	"chipid/enroll"
	"chipid/reader/inspect"
)

// Judge gives the verdict on recorded evidence at a time. reader/inspect
// decides; an error means that it could not.
type Judge func(evidence *inspect.Evidence, at time.Time) (*inspect.Report, error)

// Gate is the rule of the house, nothing unverified goes up, for both ends: a
// station asks it before it seals a packet, the hub before it stores one. It
// returns nil, a *Refusal, or the error that kept it from deciding.
//
// A record passes if two different people stand behind it and each chip read
// that it tells of is there, is judged genuine, and is of the record's person.
// A genuine chip of somebody else would pass every cryptographic check.
func Gate(judge Judge) func(content *Content, at time.Time) error {
	return func(content *Content, at time.Time) error {
		a, err := enroll.Decode(content.Record)
		if err != nil {
			return Refusef(NotReadable, "the record in packet %s: %v", content.PacketID, err)
		}
		if string(a.ID) != content.Application {
			return Refusef(PacketMismatch, "packet %s names record %s and holds another", content.PacketID, content.Application)
		}
		if a.State != enroll.Approved || a.Approver == "" || a.MayApprove(a.Approver) != nil {
			return Refusef(NotApproved, "record %s was not approved by a second person", a.ID)
		}
		if a.Photo != nil && content.Blob(Photo) == nil {
			return Refusef(NotReadable, "record %s tells of a photo that is not with it", a.ID)
		}
		for _, role := range roles(a) {
			if err := GateRead(judge, a, role, content.Blob(EvidenceBlob(role)), at); err != nil {
				return err
			}
		}
		// What the record does not tell of would go up unjudged, whatever its name.
		for _, b := range content.Blobs {
			role, isRead := strings.CutPrefix(b.Name, Evidence+".")
			switch {
			case b.Name == Photo && a.Photo != nil, isRead && a.Latest(enroll.Role(role)) != nil:
			case strings.HasPrefix(b.Name, Evidence):
				return Refusef(EvidenceMissing, "record %s does not tell of the chip read that is with it", a.ID)
			default:
				return Refusef(NotReadable, "record %s does not tell of the %s that is with it", a.ID, b.Name)
			}
		}
		return nil
	}
}

func roles(a *enroll.Application) []enroll.Role {
	var found []enroll.Role
	seen := map[enroll.Role]bool{}
	for _, e := range a.Evidence {
		if !seen[e.Role] {
			seen[e.Role] = true
			found = append(found, e.Role)
		}
	}
	return found
}

// GateRead is the gate for one chip read: whoever captures it learns at once
// what would keep the record from going up.
func GateRead(judge Judge, a *enroll.Application, role enroll.Role, raw []byte, at time.Time) error {
	if raw == nil {
		return Refusef(EvidenceMissing, "record %s tells of a read of the %s that is not with it", a.ID, role)
	}
	evidence, err := inspect.ParseEvidence(raw)
	if errors.Is(err, inspect.ErrEvidence) {
		return Refusef(EvidenceRejected, "the read of the %s of record %s is damaged", role, a.ID)
	}
	if err != nil {
		return err
	}
	report, err := judge(evidence, at)
	if err != nil {
		return err
	}
	switch report.Verdict {
	case inspect.Genuine:
	case inspect.Rejected:
		return Refusef(EvidenceRejected, "the %s of record %s is not genuine: %s", role, a.ID, report.Reason("en"))
	default:
		return Refusef(EvidenceUndetermined, "the %s of record %s could not be proved genuine: %s", role, a.ID, report.Reason("en"))
	}
	if !samePerson(a, report) {
		return Refusef(EvidenceMismatch, "the %s of record %s is genuine, but of another person", role, a.ID)
	}
	return nil
}

// samePerson compares what no two people share and no reissue changes: the
// issuing state's personal number, or where the chip holds none, the document
// number with the date of birth.
func samePerson(a *enroll.Application, report *inspect.Report) bool {
	fields := report.Document
	profile, err := national.ByName(a.Profile)
	if err != nil || fields == nil || fields.IssuingState != profile.State() {
		return false
	}
	if holder := fields.Holder; holder != nil && holder.Number != "" {
		return holder.Number == a.Person.Number
	}
	return a.Person.DocumentNumber != "" && fields.DocumentNumber == a.Person.DocumentNumber &&
		fields.DateOfBirth == a.Person.DateOfBirth
}
