package demo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chipid/card/artwork/portrait"
	"chipid/card/biometric"
	"chipid/card/chip"
	"chipid/card/lds"
	"chipid/card/national"
	"chipid/card/perso"
	"chipid/enroll"
	"chipid/enroll/packet"
	"chipid/enroll/sync"
	"chipid/pki/authority"
	"chipid/reader"
	"chipid/reader/chipfile"
	"chipid/reader/inspect"
)

type attack struct {
	name   string
	vi, en string
	do     func(context.Context) (refusal string, err error)
}

// attack carries one out. It is refused if do gives the words of a refusal;
// an error is a demo that did not work, not a refusal.
func (d *demo) attack(ctx context.Context, a attack) error {
	begun := time.Now()
	reason, err := a.do(ctx)
	result := Attack{Name: a.name, Refused: err == nil && reason != "", Reason: reason, Title: d.Say(a.vi, a.en), Millis: time.Since(begun).Milliseconds()}
	if err != nil {
		result.Reason = err.Error()
		err = fmt.Errorf("demo, attack %s: %w", a.name, err)
	}
	d.result.Attacks = append(d.result.Attacks, result)
	if d.Attack != nil {
		d.Attack(result)
	}
	return err
}

// forge puts a document on a new chip and shows it at the counter. It gives
// the verdict's reason, provided that the check of that name is what refused
// it: an attack that fails for another reason proves nothing.
func (d *demo) forge(ctx context.Context, name string, steps []perso.Step, can string, check func(*inspect.Checks) inspect.Outcome) (string, error) {
	file := d.path("attacks", name+".chip")
	if err := makeParent(file); err != nil {
		return "", err
	}
	f, err := chipfile.Create(file, d.Sealer, chip.Options{Rand: d.Rand})
	if err != nil {
		return "", err
	}
	if _, err := reader.Personalise(ctx, reader.NewChipTransport(f), steps, nil); err != nil {
		return "", err
	}
	_, report, err := d.read(ctx, file, can)
	if err != nil {
		return "", err
	}
	culprit := check(&report.Checks)
	if report.Verdict == inspect.Genuine || culprit.Status == inspect.Passed || culprit.Status == inspect.NotOffered {
		return "", fmt.Errorf("the verdict is %s, and the check that had to refuse it is %s", report.Verdict, culprit.Status)
	}
	verdict := map[inspect.Verdict]string{
		inspect.Rejected: d.Say("bị bác", "rejected"), inspect.Undetermined: d.Say("chưa xác định được", "undetermined"),
	}[report.Verdict]
	return fmt.Sprintf("%s: %s", verdict, culprit.Text(d.Say("vi", "en"))), nil
}

// forgeDocument is forge for a document and the secrets that go with it.
func (d *demo) forgeDocument(ctx context.Context, name string, doc *lds.Document, secrets perso.Secrets, check func(*inspect.Checks) inspect.Outcome) (string, error) {
	steps, err := script(doc, secrets)
	if err != nil {
		return "", err
	}
	return d.forge(ctx, name, steps, secrets.CAN, check)
}

func script(doc *lds.Document, secrets perso.Secrets) ([]perso.Step, error) {
	return perso.ScriptChunked(doc, secrets, perso.ChipID, 30_000)
}

// build makes a document of the first applicant, signed by whoever is the
// authority's document signer now.
func (d *demo) build(auth *authority.Authority) (*lds.Document, perso.Secrets, error) {
	ds, signer, err := auth.DocumentSigner()
	if err != nil {
		return nil, perso.Secrets{}, err
	}
	profile, err := national.ByName("vn")
	if err != nil {
		return nil, perso.Secrets{}, err
	}
	victim := d.people[0]
	return national.Build(national.BuildOptions{
		Profile: profile, Person: victim.person, Photo: victim.photo(),
		Certificate: ds, Signer: signer, Now: d.Now(), Rand: d.Rand,
	})
}

// clonedChip copies all that can be read off a genuine card onto a chip of
// the attacker's. The private keys cannot be read, so he makes his own.
func (d *demo) clonedChip(ctx context.Context) (string, error) {
	victim := d.cards[0]
	number := victim.application.Person.Number
	can := number[len(number)-6:]
	evidence, _, err := d.read(ctx, victim.file, can)
	if err != nil {
		return "", err
	}
	own, secrets, err := d.build(d.auth)
	if err != nil {
		return "", err
	}
	steps, err := cloneScript(evidence.Document(), own, secrets)
	if err != nil {
		return "", err
	}
	return d.forge(ctx, "clone", steps, can, func(c *inspect.Checks) inspect.Outcome { return c.ChipAuthentication })
}

// cloneScript writes the victim's files beside keys of the attacker's own.
// chipid's personalisation refuses keys that are not the document's, so the
// attacker writes his own script: all files of the victim, and in the places
// of DG14 and DG15, with his keys, the victim's two again.
func cloneScript(victim, own *lds.Document, secrets perso.Secrets) ([]perso.Step, error) {
	ownSteps, err := script(own, secrets)
	if err != nil {
		return nil, err
	}
	proofs := map[string]lds.File{"UPDATE BINARY DG14": lds.DG14, "UPDATE BINARY DG15": lds.DG15}
	var keys []perso.Step
	for _, s := range ownSteps {
		if f, ok := proofs[s.Name]; ok {
			s.Command.Data, _ = victim.Get(f)
		}
		if strings.HasPrefix(s.Name, "PUT DATA key") || strings.HasSuffix(s.Name, "DG14") || strings.HasSuffix(s.Name, "DG15") {
			keys = append(keys, s)
		}
	}
	rest := new(lds.Document)
	for _, f := range victim.Files() {
		raw, _ := victim.Get(f)
		rest.Set(f, raw)
	}
	rest.Delete(lds.DG14)
	rest.Delete(lds.DG15)
	secrets.ChipAuthentication, secrets.ActiveAuthentication = nil, nil
	steps, err := script(rest, secrets)
	if err != nil {
		return nil, err
	}
	const selectAndPassword = 2
	return slices.Insert(steps, selectAndPassword, keys...), nil
}

// swappedPhoto has a corrupt operator of the batch line put his own face on a
// chip whose keys and signature are genuine.
func (d *demo) swappedPhoto(ctx context.Context) (string, error) {
	doc, secrets, err := d.build(d.auth)
	if err != nil {
		return "", err
	}
	face, err := biometric.NewFace(portrait.JPEG(portrait.Look{Seed: 666, Age: 30}))
	if err != nil {
		return "", err
	}
	dg2, err := lds.EncodeDG2(face)
	if err != nil {
		return "", err
	}
	doc.Set(lds.DG2, dg2)
	return d.forgeDocument(ctx, "photo", doc, secrets, func(c *inspect.Checks) inspect.Outcome { return c.PassiveAuthentication })
}

// strangersCSCA sets up an authority of the same name and signs with it.
func (d *demo) strangersCSCA(ctx context.Context) (string, error) {
	stranger, err := authority.Init(d.path("attacks", "stranger"), authority.Options{Country: "VN", Sealer: d.Sealer, Rand: d.Rand, Now: d.Now})
	if err != nil {
		return "", err
	}
	doc, secrets, err := d.build(stranger)
	if err != nil {
		return "", err
	}
	return d.forgeDocument(ctx, "stranger", doc, secrets, func(c *inspect.Checks) inspect.Outcome { return c.Trust })
}

// revokedSigner uses a document signer whose key got into the wrong hands;
// the authority revokes it.
func (d *demo) revokedSigner(ctx context.Context) (string, error) {
	lost, err := d.auth.IssueDocumentSigner()
	if err != nil {
		return "", err
	}
	doc, secrets, err := d.build(d.auth)
	if err != nil {
		return "", err
	}
	if _, err := d.auth.Revoke(lost.Certificate.SerialNumber, "demo: the key was lost"); err != nil {
		return "", err
	}
	return d.forgeDocument(ctx, "revoked", doc, secrets, func(c *inspect.Checks) inspect.Outcome { return c.Revocation })
}

// replayedPacket has somebody with the station's keys send a packet that the
// centre already has, under a new name and number.
func (d *demo) replayedPacket(ctx context.Context) (string, error) {
	received, err := d.queue.List(enroll.Received)
	if err != nil {
		return "", err
	}
	if len(received) == 0 {
		return "", errors.New("there is no received packet to replay")
	}
	sealed, err := d.queue.Packet(received[0])
	if err != nil {
		return "", err
	}
	id, err := packet.NewID(d.Rand)
	if err != nil {
		return "", err
	}
	manifest, err := packet.SignManifest(packet.Manifest{
		PacketID: id, Station: d.station.Config.ID, Sequence: uint64(len(received)) + 1,
		SHA256: sha256.Sum256(sealed), Size: int64(len(sealed)), CreatedAt: d.Now(),
	}, d.station.SignKey)
	if err != nil {
		return "", err
	}
	client, err := sync.NewClient(d.hub.address, sync.ClientOptions{Certificate: d.station.TLS, CAs: d.station.CAs, Now: d.Now})
	if err != nil {
		return "", err
	}
	defer client.Close()
	before, err := d.hub.Stats()
	if err != nil {
		return "", err
	}
	err = client.Upload(ctx, manifest, sealed, nil)
	var refusal *packet.Refusal
	if !errors.As(err, &refusal) || refusal.Code != packet.DigestReused {
		return "", fmt.Errorf("the centre did not refuse the replay as one: %v", err)
	}
	after, err := d.hub.Stats()
	if err != nil {
		return "", err
	}
	if after.Received != before.Received {
		return "", errors.New("the centre stored the packet twice")
	}
	return refusal.Error(), nil
}
