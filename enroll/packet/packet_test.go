package packet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	mathrand "math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

var testTime = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

const testID = "00112233445566778899aabbccddeeff"

func testContent() Content {
	return Content{
		PacketID: testID, Station: "school-7", Application: "019a8e5c-7c10-7b3a-9d2e-5f60718293a4",
		Record: []byte("the record"),
		Blobs:  []Blob{{Photo, []byte("a photo")}, {Evidence, []byte("what a chip said")}},
	}
}

func testKey(t testing.TB, seed byte) ed25519.PrivateKey {
	t.Helper()
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func testIdentity(t testing.TB) *age.HybridIdentity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testManifest() Manifest {
	return Manifest{
		PacketID: testID, Station: "school-7", Sequence: 12,
		SHA256: sha256.Sum256([]byte("sealed")), Size: 2_000_000, CreatedAt: testTime,
	}
}

func TestSealOpen(t *testing.T) {
	identity := testIdentity(t)
	sealed, err := Seal(testContent(), identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("a photo")) {
		t.Fatal("the photo can be read in the sealed packet")
	}
	got, err := Open(bytes.NewReader(sealed), identity)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Record) != "the record" || string(got.Blob(Photo)) != "a photo" ||
		string(got.Blob(Evidence)) != "what a chip said" || got.Blob("iris") != nil ||
		got.PacketID != testID || got.Station != "school-7" || got.Application != testContent().Application {
		t.Fatalf("opened %+v", got)
	}
	if _, err := Open(bytes.NewReader(sealed), testIdentity(t)); err == nil || !strings.Contains(err.Error(), "another centre") {
		t.Fatalf("another centre's key gave %v", err)
	}
}

func TestSealedPacketWithstandsNoChange(t *testing.T) {
	identity := testIdentity(t)
	sealed, err := Seal(testContent(), identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, at int, altered []byte) {
		t.Helper()
		if _, err := Open(bytes.NewReader(altered), identity); err == nil {
			t.Fatalf("%s at %d was not noticed", what, at)
		}
	}
	// Each opening costs an ML-KEM decapsulation: a sample of the header, and
	// the whole of the end.
	for at := 0; at < len(sealed); at++ {
		if at < len(sealed)-200 && at%23 != 0 {
			continue
		}
		altered := bytes.Clone(sealed)
		altered[at] ^= 1
		refused("a flipped bit", at, altered)
		refused("a cut", at, sealed[:at])
	}
	refused("an octet more", len(sealed), append(bytes.Clone(sealed), 0))
}

func TestSealRefuses(t *testing.T) {
	classical, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(testContent(), classical.Recipient()); err == nil {
		t.Error("sealed to a key without a post-quantum half")
	}
	to := testIdentity(t).Recipient()
	for name, spoil := range map[string]func(*Content){
		"no packet id":       func(c *Content) { c.PacketID = "" },
		"upper-case id":      func(c *Content) { c.PacketID = strings.ToUpper(testID) },
		"station with slash": func(c *Content) { c.Station = "../hub" },
		"hidden station":     func(c *Content) { c.Station = ".hub" },
		"no application":     func(c *Content) { c.Application = "" },
		"no record":          func(c *Content) { c.Record = nil },
		"huge record":        func(c *Content) { c.Record = make([]byte, maxRecord+1) },
		"empty blob":         func(c *Content) { c.Blobs[0].Data = nil },
		"huge blob":          func(c *Content) { c.Blobs[0].Data = make([]byte, maxBlob+1) },
		"blob twice":         func(c *Content) { c.Blobs[1].Name = Photo },
		"blob with a path":   func(c *Content) { c.Blobs[0].Name = "a/b" },
		"many blobs":         func(c *Content) { c.Blobs = make([]Blob, maxBlobs+1) },
		"blobs too large together": func(c *Content) {
			c.Blobs = []Blob{{"a", make([]byte, maxPlain/2)}, {"b", make([]byte, maxPlain/2)}}
		},
	} {
		c := testContent()
		spoil(&c)
		if _, err := Seal(c, to); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestLargestPacketFitsItsBound(t *testing.T) {
	identity := testIdentity(t)
	c := testContent()
	c.Blobs = []Blob{{"a", make([]byte, maxBlob)}, {"b", make([]byte, maxPlain-maxBlob-4096)}}
	sealed, err := Seal(c, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > MaxSealed {
		t.Fatalf("%d octets, more than MaxSealed", len(sealed))
	}
	if _, err := Open(bytes.NewReader(sealed), identity); err != nil {
		t.Fatal(err)
	}
}

func TestManifestAndReceipt(t *testing.T) {
	station, hub := testKey(t, 1), testKey(t, 2)
	m := testManifest()
	raw, err := SignManifest(m, station)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > MaxSigned {
		t.Fatalf("%d octets", len(raw))
	}
	again, err := SignManifest(m, station)
	if err != nil || !bytes.Equal(raw, again) {
		t.Fatal("signing again gave other octets")
	}
	got, err := VerifyManifest(raw, station.Public().(ed25519.PublicKey))
	if err != nil || got != m {
		t.Fatalf("verified %+v, %v", got, err)
	}
	if got, err := ReadManifest(raw); err != nil || got != m {
		t.Fatalf("read %+v, %v", got, err)
	}

	r := Receipt{PacketID: m.PacketID, Station: m.Station, Sequence: m.Sequence, SHA256: m.SHA256, Size: m.Size, ReceivedAt: testTime.Add(time.Minute)}
	receipt, err := SignReceipt(r, hub)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyReceipt(receipt, hub.Public().(ed25519.PublicKey), m); err != nil || got != r {
		t.Fatalf("verified %+v, %v", got, err)
	}
	for name, change := range map[string]func(*Manifest){
		"packet":   func(m *Manifest) { m.PacketID = strings.Repeat("f", 32) },
		"station":  func(m *Manifest) { m.Station = "school-8" },
		"sequence": func(m *Manifest) { m.Sequence++ },
		"digest":   func(m *Manifest) { m.SHA256[31] ^= 1 },
		"size":     func(m *Manifest) { m.Size++ },
	} {
		other := m
		change(&other)
		if _, err := VerifyReceipt(receipt, hub.Public().(ed25519.PublicKey), other); err == nil {
			t.Errorf("the receipt passed for another %s", name)
		}
	}
}

func TestEveryOctetOfWhatIsSignedCounts(t *testing.T) {
	key := testKey(t, 1)
	public := key.Public().(ed25519.PublicKey)
	raw, err := SignManifest(testManifest(), key)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		for bit := range 8 {
			altered := bytes.Clone(raw)
			altered[at] ^= 1 << bit
			if _, err := VerifyManifest(altered, public); err == nil {
				t.Fatalf("bit %d of octet %d was flipped and the manifest verified", bit, at)
			}
		}
		if _, err := VerifyManifest(raw[:at], public); err == nil {
			t.Fatalf("cut at %d and verified", at)
		}
	}
	if _, err := VerifyManifest(append(bytes.Clone(raw), 0), public); err == nil {
		t.Fatal("an octet more and verified")
	}
}

func TestSignaturesDoNotChangeSides(t *testing.T) {
	key := testKey(t, 1)
	public := key.Public().(ed25519.PublicKey)
	m := testManifest()
	manifest, err := SignManifest(m, key)
	if err != nil {
		t.Fatal(err)
	}
	// The same key signed both, and the statements are alike but for the
	// domain: the worst case.
	if _, err := VerifyReceipt(manifest, public, m); !errors.Is(err, ErrSignature) {
		t.Errorf("a manifest as receipt gave %v", err)
	}
	receipt, err := SignReceipt(Receipt{PacketID: m.PacketID, Station: m.Station, Sequence: m.Sequence, SHA256: m.SHA256, Size: m.Size, ReceivedAt: testTime}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyManifest(receipt, public); !errors.Is(err, ErrSignature) {
		t.Errorf("a receipt as manifest gave %v", err)
	}
	if _, err := VerifyManifest(manifest, testKey(t, 2).Public().(ed25519.PublicKey)); !errors.Is(err, ErrSignature) {
		t.Errorf("another key gave %v", err)
	}
	for _, none := range []ed25519.PublicKey{nil, {}} {
		if _, err := VerifyManifest(manifest, none); err == nil {
			t.Error("verified without a key")
		}
		if _, err := VerifyReceipt(receipt, none, m); err == nil {
			t.Error("verified without a key")
		}
	}
}

func TestSignRefusesWhatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(*Manifest){
		"no id":         func(m *Manifest) { m.PacketID = "" },
		"no station":    func(m *Manifest) { m.Station = "" },
		"sequence 0":    func(m *Manifest) { m.Sequence = 0 },
		"huge sequence": func(m *Manifest) { m.Sequence = 1<<62 + 1 },
		"size 0":        func(m *Manifest) { m.Size = 0 },
		"negative size": func(m *Manifest) { m.Size = -1 },
		"huge size":     func(m *Manifest) { m.Size = MaxSealed + 1 },
	} {
		m := testManifest()
		spoil(&m)
		if _, err := SignManifest(m, testKey(t, 1)); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestOnlyTheCanonicalEncodingIsTaken(t *testing.T) {
	key := testKey(t, 1)
	public := key.Public().(ed25519.PublicKey)
	s := statement{Version: version, PacketID: testID, Station: "s", Sequence: 1, Size: 5, Millis: 7}
	body, err := canonical.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	signedAs := func(body []byte) []byte {
		raw, err := canonical.Marshal(envelope{Body: body, Signature: ed25519.Sign(key, append([]byte(manifestDomain), body...))})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if _, err := VerifyManifest(signedAs(body), public); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(body, []byte{0x06, 0x05, 0x07, 0x07}) // keys and values of size and time
	if at < 0 {
		t.Fatalf("body is %x", body)
	}
	replace := func(with ...byte) []byte {
		return append(append(bytes.Clone(body[:at]), with...), body[at+4:]...)
	}
	for name, other := range map[string][]byte{
		"number in a longer form": replace(0x06, 0x18, 0x05, 0x07, 0x07),
		"keys in another order":   replace(0x07, 0x07, 0x06, 0x05),
		"key twice":               replace(0x06, 0x05, 0x06, 0x05),
		"unknown key":             replace(0x06, 0x05, 0x08, 0x07),
		"number as float":         replace(0x06, 0x05, 0x07, 0xf9, 0x47, 0x00),
	} {
		if _, err := VerifyManifest(signedAs(other), public); err == nil || errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// openssl knows Ed25519 and nothing of us: what we call a signature over
// domain and body must be one to it.
func TestOpensslVerifiesAManifest(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	key := testKey(t, 1)
	raw, err := SignManifest(testManifest(), key)
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := strict.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	verify := func(message []byte) error {
		out, err := exec.Command(openssl, "pkeyutl", "-verify", "-rawin", "-pubin",
			"-inkey", write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
			"-sigfile", write("signature", e.Signature), "-in", write("message", message)).CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	message := append([]byte("chipid packet manifest 1\x00"), e.Body...)
	if err := verify(message); err != nil {
		t.Fatal(err)
	}
	message[len(message)-1] ^= 1
	if err := verify(message); err == nil {
		t.Fatal("openssl accepted an altered manifest")
	}
}

func TestNewIDNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := NewID(rand.Reader)
		if err != nil || !ValidID(id) || seen[id] {
			t.Fatalf("%q, %v", id, err)
		}
		seen[id] = true
	}
	if _, err := NewID(io.LimitReader(rand.Reader, 15)); err == nil {
		t.Fatal("an id of too little randomness")
	}
}

func TestUploadNameFollowsFromTheManifest(t *testing.T) {
	a, err := SignManifest(testManifest(), testKey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	b, err := SignManifest(testManifest(), testKey(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	if UploadName(a) != UploadName(bytes.Clone(a)) || UploadName(a) == UploadName(b) || !ValidID(UploadName(a)) {
		t.Fatal(UploadName(a), UploadName(b))
	}
}

func FuzzSigned(f *testing.F) {
	key := testKey(f, 1)
	raw, err := SignManifest(testManifest(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0x82, 0x41, 0xa0, 0x40})
	public := key.Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := VerifyManifest(data, public); err == nil && !bytes.Equal(data, raw) {
			t.Fatalf("verified octets that nobody signed: %x", data)
		}
		if _, err := VerifyReceipt(data, public, testManifest()); err == nil {
			t.Fatalf("a receipt that nobody signed: %x", data)
		}
		m, err := ReadManifest(data)
		if err != nil {
			return
		}
		// What can be read can be said again in the same octets.
		var e envelope
		if err := strict.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		s := statement{version, m.PacketID, m.Station, m.Sequence, m.SHA256, m.Size, m.CreatedAt.UnixMilli()}
		if again, err := canonical.Marshal(s); err != nil || !bytes.Equal(again, e.Body) {
			t.Fatalf("%x read as %x", e.Body, again)
		}
	})
}

func FuzzContent(f *testing.F) {
	plain, err := canonical.Marshal(versioned{Version: version, Content: testContent()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeContent(data)
		if err != nil {
			return
		}
		again, err := canonical.Marshal(versioned{Version: version, Content: *c})
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x decoded as %x (%v)", data, again, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	identity := testIdentity(f)
	sealed, err := Seal(testContent(), identity.Recipient())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Open(bytes.NewReader(data), identity); err == nil && !bytes.Equal(data, sealed) {
			t.Fatal("opened what was not sealed here")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	identity := testIdentity(b)
	c := testContent()
	photo := make([]byte, 2<<20)
	mathrand.New(mathrand.NewSource(1)).Read(photo)
	c.Blobs = []Blob{{Photo, photo}}
	b.SetBytes(int64(len(photo)))
	for b.Loop() {
		if _, err := Seal(c, identity.Recipient()); err != nil {
			b.Fatal(err)
		}
	}
}
