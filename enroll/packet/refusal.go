package packet

import "fmt"

// Code says why a packet was refused, in a word that programs act on.
type Code string

// Why the hub does not take a packet, or the station does not send it. The
// first group is about one packet and lasts: the station puts the record aside
// as quarantined. The second group passes, or is about the station or the hub
// and not about the packet: the record stays where it is.
const (
	EvidenceRejected     Code = "evidence-rejected"     // a check of the chip read failed
	EvidenceUndetermined Code = "evidence-undetermined" // the chip read could not be proved genuine
	EvidenceMissing      Code = "evidence-missing"      // the record tells of a chip read that is not with it
	EvidenceMismatch     Code = "evidence-mismatch"     // the chip read is genuine, but of another person
	NotApproved          Code = "not-approved"          // two different people must stand behind a record
	BadManifest          Code = "bad-manifest"          // malformed, or size and digest out of bounds
	BadSignature         Code = "bad-signature"         // the manifest is not signed by the station's key
	WrongStation         Code = "wrong-station"         // a packet of one station, presented by another
	PacketReused         Code = "packet-reused"         // the packet id is known with another content
	DigestReused         Code = "digest-reused"         // the sealed octets are known under another packet id
	SequenceReused       Code = "sequence-reused"       // the sequence number is known under another packet id
	RecordReused         Code = "record-reused"         // the record is known under another packet id
	PacketMismatch       Code = "packet-mismatch"       // what is sealed names another packet or station
	NotReadable          Code = "not-readable"          // does not open with the hub's key, or is malformed within

	AlreadyReceived Code = "already-received" // not an error: the receipt is waiting
	DigestMismatch  Code = "digest-mismatch"  // damaged on the way: send again
	UnknownStation  Code = "unknown-station"  // no such station, or no longer
	TooMany         Code = "too-many"         // too many unfinished uploads or requests at once
	DiskFull        Code = "disk-full"        // the hub has no room
	HubFailed       Code = "hub-failed"       // the hub could not do its work
	NotReceived     Code = "not-received"     // the packet is not here, or not whole
)

// Lasting tells whether the refusal is about the packet itself, so that
// sending it again cannot help.
func (c Code) Lasting() bool {
	switch c {
	case EvidenceRejected, EvidenceUndetermined, EvidenceMissing, EvidenceMismatch, NotApproved,
		BadManifest, BadSignature, WrongStation, PacketReused, DigestReused, SequenceReused,
		RecordReused, PacketMismatch, NotReadable:
		return true
	}
	return false
}

// Refusal is an error with its code. It is also the body of every answer of
// the hub that is not a success.
type Refusal struct {
	Code   Code   `json:"code"`
	Reason string `json:"reason"`
}

// Refusef makes a refusal. The reason goes to an operator and into logs: no
// personal data.
func Refusef(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}

func (r *Refusal) Error() string { return r.Reason + " (" + string(r.Code) + ")" }
