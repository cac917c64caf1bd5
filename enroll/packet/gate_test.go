package packet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chipid/card/lds"
	"chipid/card/national"
	"chipid/enroll"
	"chipid/reader/inspect"
)

// gateCase is a record with an old card's read, as it would go up.
func gateCase(t *testing.T, change func(*enroll.Application)) *Content {
	t.Helper()
	evidence, err := inspect.EvidenceFromFiles(&lds.Document{}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	a := &enroll.Application{
		ID: "019a8e5c-7c10-7b3a-9d2e-5f60718293a4", State: enroll.Approved, Kind: enroll.Renewal, Profile: "vn",
		Person:   national.Person{Number: "001304000001", FullName: "TRẦN THỊ THỬ NGHIỆM", DateOfBirth: "2004-05-17", Sex: "F"},
		Operator: "an", Approver: "binh", CapturedAt: testTime, ChangedAt: testTime,
		Photo:    &enroll.Blob{Name: "p", Bytes: 1},
		Evidence: []enroll.Evidence{{Role: enroll.OldCard, Verdict: "rejected", At: testTime}, {Role: enroll.OldCard, Verdict: "genuine", At: testTime}},
	}
	if change != nil {
		change(a)
	}
	reads := make([][]byte, len(a.Evidence))
	for i := range reads {
		reads[i] = []byte("an older read")
	}
	if len(reads) > 0 {
		reads[len(reads)-1] = evidence
	}
	c, err := Of(a, []byte("photo"), reads)
	if err != nil {
		t.Fatal(err)
	}
	c.PacketID, c.Station = testID, "school-7"
	return c
}

func report(verdict inspect.Verdict, state, number string) Judge {
	return func(*inspect.Evidence, time.Time) (*inspect.Report, error) {
		return &inspect.Report{Verdict: verdict, Document: &inspect.Fields{
			IssuingState: state, Holder: &national.Person{Number: number},
		}}, nil
	}
}

func TestGate(t *testing.T) {
	genuine := report(inspect.Genuine, "VNM", "001304000001")
	broken := errors.New("the trust store cannot be read")
	for _, test := range []struct {
		name   string
		judge  Judge
		record func(*enroll.Application)
		packet func(*Content)
		want   Code
	}{
		{name: "genuine", judge: genuine},
		{name: "rejected", judge: report(inspect.Rejected, "VNM", "001304000001"), want: EvidenceRejected},
		{name: "undetermined", judge: report(inspect.Undetermined, "VNM", "001304000001"), want: EvidenceUndetermined},
		{name: "a verdict of the future", judge: report("certainly", "VNM", "001304000001"), want: EvidenceUndetermined},
		{name: "another person's card", judge: report(inspect.Genuine, "VNM", "001304000002"), want: EvidenceMismatch},
		{name: "another state's card", judge: report(inspect.Genuine, "UTO", "001304000001"), want: EvidenceMismatch},
		{name: "a card without number", judge: report(inspect.Genuine, "VNM", ""), want: EvidenceMismatch},
		{name: "read not there", judge: genuine, packet: func(c *Content) { c.Blobs = c.Blobs[:1] }, want: EvidenceMissing},
		{name: "read not told of", judge: genuine, record: func(a *enroll.Application) { a.Evidence = nil },
			packet: func(c *Content) { c.Blobs = append(c.Blobs, Blob{EvidenceBlob(enroll.OldCard), []byte("x")}) }, want: EvidenceMissing},
		{name: "read under a name of its own", judge: genuine, packet: func(c *Content) { c.Blobs = append(c.Blobs, Blob{"evidence-old-card", []byte("x")}) }, want: EvidenceMissing},
		{name: "what no record tells of", judge: genuine, packet: func(c *Content) { c.Blobs = append(c.Blobs, Blob{"fingers", []byte("x")}) }, want: NotReadable},
		{name: "photo not told of", judge: genuine, record: func(a *enroll.Application) { a.Photo = nil }, want: NotReadable},
		{name: "read that is none", judge: genuine, packet: func(c *Content) { c.Blobs[1].Data = []byte("x") }, want: EvidenceRejected},
		{name: "photo not there", judge: genuine, packet: func(c *Content) { c.Blobs = c.Blobs[1:] }, want: NotReadable},
		{name: "not approved", judge: genuine, record: func(a *enroll.Application) { a.State = enroll.Complete }, want: NotApproved},
		{name: "approved by nobody", judge: genuine, record: func(a *enroll.Application) { a.Approver = "" }, want: NotApproved},
		{name: "approved by the operator", judge: genuine, record: func(a *enroll.Application) { a.Approver = " AN" }, want: NotApproved},
		{name: "approved by an editor", judge: genuine, record: func(a *enroll.Application) { a.Editors = []string{"Binh"} }, want: NotApproved},
		{name: "record that is none", judge: genuine, packet: func(c *Content) { c.Record = c.Record[1:] }, want: NotReadable},
		{name: "another record", judge: genuine, packet: func(c *Content) { c.Application = "other" }, want: PacketMismatch},
		{name: "no read, none needed", record: func(a *enroll.Application) { a.Evidence = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := gateCase(t, test.record)
			if test.packet != nil {
				test.packet(c)
			}
			err := Gate(test.judge)(c, testTime)
			var refusal *Refusal
			if errors.As(err, &refusal); (err == nil) != (test.want == "") || refusal != nil && refusal.Code != test.want {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
	err := Gate(func(*inspect.Evidence, time.Time) (*inspect.Report, error) { return nil, broken })(gateCase(t, nil), testTime)
	if !errors.Is(err, broken) || errors.As(err, new(*Refusal)) {
		t.Fatalf("a gate that could not judge gave %v", err)
	}
}

// Of each role the newest read goes up, and the gate looks at that one.
func TestNewestReadGoesUp(t *testing.T) {
	c := gateCase(t, nil)
	if len(c.Blobs) != 2 || string(c.Blob(EvidenceBlob(enroll.OldCard))) == "an older read" {
		t.Fatalf("%d blobs", len(c.Blobs))
	}
}

func TestJudgeSeesWhatIsPutIntoTheFolder(t *testing.T) {
	dir := t.TempDir()
	judge, err := JudgeBy(dir)
	if err != nil {
		t.Fatal(err)
	}
	evidence := inspect.EvidenceFromFiles(&lds.Document{})
	r, err := judge(evidence, testTime)
	if err != nil || r.Verdict == inspect.Genuine {
		t.Fatalf("no files at all are %v, %v", r, err)
	}
	// A file that should be a certificate and is none must stop the judge.
	if err := os.WriteFile(filepath.Join(dir, "csca.cer"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := judge(evidence, testTime); err == nil {
		t.Fatal("judged by a store that cannot be read")
	}
	if err := os.Remove(filepath.Join(dir, "csca.cer")); err != nil {
		t.Fatal(err)
	}
	if _, err := judge(evidence, testTime); err != nil {
		t.Fatal(err)
	}
	if _, err := JudgeBy(filepath.Join(dir, "nowhere")); err == nil {
		t.Fatal("judges by a folder that is not there")
	}
}
