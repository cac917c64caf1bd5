package packet

import (
	"crypto/sha256"
	"fmt"
	"time"

	"chipid/enroll"
)

// EvidenceBlob is the name of the blob that holds the newest chip read of a
// role.
func EvidenceBlob(role enroll.Role) string { return Evidence + "." + string(role) }

// Of makes the content of a packet from an application, its photo and its
// evidence (in the order of Application.Evidence; of each role the newest is
// taken). Packet id and station are for the caller to set.
func Of(a *enroll.Application, photo []byte, evidence [][]byte) (*Content, error) {
	record, err := enroll.Encode(a)
	if err != nil {
		return nil, err
	}
	c := &Content{Application: string(a.ID), Record: record}
	if photo != nil {
		c.Blobs = append(c.Blobs, Blob{Name: Photo, Data: photo})
	}
	if len(evidence) != len(a.Evidence) {
		return nil, fmt.Errorf("application %s tells of %d chip reads, %d are there", a.ID, len(a.Evidence), len(evidence))
	}
	newest := map[enroll.Role]int{}
	for i, e := range a.Evidence {
		newest[e.Role] = i
	}
	for role, i := range newest {
		c.Blobs = append(c.Blobs, Blob{Name: EvidenceBlob(role), Data: evidence[i]})
	}
	return c, nil
}

// ManifestOf gives the manifest of sealed content, to be signed.
func ManifestOf(c *Content, sequence uint64, sealed []byte, now time.Time) Manifest {
	return Manifest{
		PacketID: c.PacketID, Station: c.Station, Sequence: sequence,
		SHA256: sha256.Sum256(sealed), Size: int64(len(sealed)), CreatedAt: now,
	}
}
