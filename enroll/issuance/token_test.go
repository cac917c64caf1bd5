package issuance

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"chipid/card/national"
	"chipid/card/perso"
	"chipid/enroll/queue"
	"chipid/pki/authority"
	"chipid/pki/keystore"
	"chipid/pki/keystore/softhsm"
	"chipid/pki/trust"
	"chipid/reader/bureau"
)

// The document signer's token is pulled out when the first card of a batch is
// done. The line stops with the reason, the card in hand is accounted for, and
// with the token back the batch goes on to its end.
func TestTokenPulledOutMidBatch(t *testing.T) {
	hsm := softhsm.New(t, "issuer")
	sealer, err := keystore.NewSealer([]byte("test"), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	must(t, err)
	dir := t.TempDir()
	auth, err := authority.Init(filepath.Join(dir, "pki"), authority.Options{
		Country: "VN", Sealer: sealer, Rand: rand.Reader, Now: time.Now,
		DS: authority.KeyOptions{Place: hsm.URI.WithObject("ds").String()},
	})
	must(t, err)
	ds, signer, err := auth.DocumentSigner()
	must(t, err)
	store, err := trust.Open(auth.TrustDir())
	must(t, err)
	q, err := queue.Open(filepath.Join(dir, "queue"), queue.Options{Sealer: sealer, Now: time.Now, Rand: rand.Reader, Station: "station-1"})
	must(t, err)
	office := &Office{Queue: q, Batch: "morning", By: "an", Certificate: ds, Signer: signer, Trust: store, Now: time.Now, Rand: rand.Reader}
	const cards = 3
	for i := range cards {
		office.applicant(t, "vn", national.Person{
			Number: fmt.Sprintf("0012040000%02d", i), FullName: "TRẦN VĂN MẪU", DateOfBirth: "2004-07-21", Sex: "M",
			PlaceOfOrigin: "Xã Mẫu", PlaceOfResidence: "Số 1, Xã Mẫu",
		})
	}
	ids, err := Plan(q)
	must(t, err)
	var records []string
	for _, id := range ids {
		records = append(records, string(id))
	}
	must(t, bureau.CreateLedger(filepath.Join(dir, "batch"), "morning", records, time.Now))
	ledger, err := bureau.OpenLedger(filepath.Join(dir, "batch"), time.Now)
	must(t, err)
	defer ledger.Close()
	folder, err := bureau.OpenFolder(filepath.Join(dir, "chips"), sealer, rand.Reader)
	must(t, err)
	defer folder.Close()
	out := false
	line := &bureau.Line{Ledger: ledger, Office: office, Stocks: []bureau.Stock{folder}, Kind: perso.ChipID, Tell: func(e bureau.Event) {
		if e.Stage == bureau.StageIssued && !out {
			out = true
			hsm.Remove(t)
		}
	}}
	if err := line.Run(t.Context()); !errors.Is(err, keystore.ErrTokenRemoved) && !errors.Is(err, keystore.ErrTokenMissing) {
		t.Fatalf("without the token the line ended with %v", err)
	}
	if a, err := ledger.Account(); err != nil || a.Issued != 1 || a.Failed != 0 || a.Spoiled != 0 || len(a.Faults) != 0 {
		t.Fatalf("without the token: %+v, %v", a, err)
	}
	hsm.PutBack(t)
	must(t, line.Run(t.Context()))
	if a, err := ledger.Account(); err != nil || a.Issued != cards || a.Spoiled != 0 || len(a.Faults) != 0 {
		t.Fatalf("with the token back: %+v, %v", a, err)
	}
}
