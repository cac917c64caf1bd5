package authority

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"chipid/pki/durable"
	"chipid/pki/keystore"
)

// Names of files in a station's and the hub's folder.
const (
	stationFile    = "station.json"
	hubFile        = "hub.json"
	signKeyFile    = "sign.key"
	receiptKeyFile = "receipt.key"
	ageKeyFile     = "age.key"
	tlsKeyFile     = "tls.key"
	tlsCertFile    = "tls.crt"
	caCertFile     = "ca.crt"
	trustFolder    = "trust"
	stationsFolder = "stations"
)

// Purposes that secrets are sealed for.
const (
	purposeTLSKey = "TLS private key"
	purposeAge    = "age identity"
)

const (
	kitVersion  = 1
	maxKitFile  = 1 << 20
	maxStations = 100_000
)

// StationConfig is station.json: what a station knows about itself and the
// hub. Nothing in it is secret.
type StationConfig struct {
	Version       int       `json:"version"`
	ID            string    `json:"id"`
	HubRecipient  string    `json:"hubRecipient"`  // age1pq…: packets are sealed to it
	HubReceiptKey []byte    `json:"hubReceiptKey"` // Ed25519 public key: receipts verify with it
	Created       time.Time `json:"created"`
}

// Station is an opened station folder.
type Station struct {
	Config    StationConfig
	Recipient age.Recipient      // of packets
	SignKey   ed25519.PrivateKey // signs manifests of packets
	TLS       tls.Certificate    // shown to the hub
	CAs       *x509.CertPool     // that the hub's certificate must come from
	Dir       string
	TrustDir  string // CSCA certificates and CRLs
}

// StationRecord is stations/ID.json in the hub's folder: what the hub knows
// of a station. Removing the file shuts the station out.
type StationRecord struct {
	Version       int       `json:"version"`
	ID            string    `json:"id"`
	SignKey       []byte    `json:"signKey"`       // Ed25519 public key
	TLSCertSHA256 string    `json:"tlsCertSHA256"` // of the certificate in DER, in lower-case hex
	Created       time.Time `json:"created"`
}

// HubConfig is hub.json.
type HubConfig struct {
	Version    int       `json:"version"`
	Recipient  string    `json:"recipient"`  // age1pq…
	ReceiptKey []byte    `json:"receiptKey"` // Ed25519 public key
	Hosts      []string  `json:"hosts"`      // names and addresses in its TLS certificate
	Created    time.Time `json:"created"`
}

// Hub is an opened hub folder.
type Hub struct {
	Config     HubConfig
	Identity   age.Identity       // opens packets
	ReceiptKey ed25519.PrivateKey // signs receipts
	TLS        tls.Certificate
	CAs        *x509.CertPool // that a station's certificate must come from
	Dir        string
	TrustDir   string
}

// CheckStationID tells whether id can name a station: it becomes a file name
// and the name in a certificate.
func CheckStationID(id string) error {
	if len(id) < 1 || len(id) > 64 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || id[0] == '-' {
		return fmt.Errorf("%q cannot name a station: 1 to 64 of a-z, 0-9 and '-', not beginning with '-'", id)
	}
	return nil
}

// OpenStation opens a station folder as Init and AddStation make it.
func OpenStation(dir string, sealer *keystore.Sealer) (*Station, error) {
	s, err := openStation(dir, sealer)
	if err != nil {
		return nil, fmt.Errorf("open the station folder: %w", err)
	}
	return s, nil
}

func openStation(dir string, sealer *keystore.Sealer) (*Station, error) {
	s := &Station{Dir: dir, TrustDir: filepath.Join(dir, trustFolder)}
	var err error
	if s.Config, err = ReadStationConfig(dir); err != nil {
		return nil, err
	}
	if s.Recipient, err = parseRecipient(s.Config.HubRecipient); err != nil {
		return nil, fmt.Errorf("%s: %w", stationFile, err)
	}
	if s.SignKey, err = loadEd25519(filepath.Join(dir, signKeyFile), sealer); err != nil {
		return nil, err
	}
	s.TLS, s.CAs, err = loadTLS(dir, sealer)
	return s, err
}

// ReadStationConfig reads station.json alone; it needs no passphrase.
func ReadStationConfig(dir string) (StationConfig, error) {
	var c StationConfig
	path := filepath.Join(dir, stationFile)
	if err := readJSON(path, &c); errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is no station folder (it has no %s); `chipid pki init` and `chipid pki station` make one", dir, stationFile)
	} else if err != nil {
		return c, err
	}
	if err := checkVersion(path, c.Version); err != nil {
		return c, err
	}
	if err := CheckStationID(c.ID); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if len(c.HubReceiptKey) != ed25519.PublicKeySize {
		return c, fmt.Errorf("%s: hubReceiptKey is no Ed25519 public key", path)
	}
	return c, nil
}

// OpenHub opens a hub folder as Init makes it.
func OpenHub(dir string, sealer *keystore.Sealer) (*Hub, error) {
	h, err := openHub(dir, sealer)
	if err != nil {
		return nil, fmt.Errorf("open the hub folder: %w", err)
	}
	return h, nil
}

func openHub(dir string, sealer *keystore.Sealer) (*Hub, error) {
	h := &Hub{Dir: dir, TrustDir: filepath.Join(dir, trustFolder)}
	var err error
	if h.Config, err = ReadHubConfig(dir); err != nil {
		return nil, err
	}
	secret, err := keystore.LoadSecret(filepath.Join(dir, ageKeyFile), purposeAge, sealer)
	if err != nil {
		return nil, err
	}
	if h.Identity, err = age.ParseHybridIdentity(string(secret)); err != nil {
		return nil, fmt.Errorf("%s: %w", ageKeyFile, err)
	}
	if h.ReceiptKey, err = loadEd25519(filepath.Join(dir, receiptKeyFile), sealer); err != nil {
		return nil, err
	}
	h.TLS, h.CAs, err = loadTLS(dir, sealer)
	return h, err
}

// ReadHubConfig reads hub.json alone; it needs no passphrase.
func ReadHubConfig(dir string) (HubConfig, error) {
	var c HubConfig
	path := filepath.Join(dir, hubFile)
	if err := readJSON(path, &c); errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is no hub folder (it has no %s); `chipid pki init` makes one", dir, hubFile)
	} else if err != nil {
		return c, err
	}
	if err := checkVersion(path, c.Version); err != nil {
		return c, err
	}
	if len(c.ReceiptKey) != ed25519.PublicKeySize {
		return c, fmt.Errorf("%s: receiptKey is no Ed25519 public key", path)
	}
	return c, nil
}

// Station reads the record of one station, fresh from disk, so that a station
// added or removed while the hub runs is known at once. An unknown station is
// fs.ErrNotExist.
func (h *Hub) Station(id string) (*StationRecord, error) {
	if err := CheckStationID(id); err != nil {
		return nil, err
	}
	path := filepath.Join(h.Dir, stationsFolder, id+".json")
	r := new(StationRecord)
	if err := readJSON(path, r); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the hub knows no station %q: %w", id, fs.ErrNotExist)
	} else if err != nil {
		return nil, err
	}
	if err := checkVersion(path, r.Version); err != nil {
		return nil, err
	}
	if r.ID != id || len(r.SignKey) != ed25519.PublicKeySize || len(r.TLSCertSHA256) != 2*sha256.Size {
		return nil, fmt.Errorf("%s is not the record of station %q", path, id)
	}
	return r, nil
}

// Stations lists the ids of the stations the hub knows, in order.
func (h *Hub) Stations() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(h.Dir, stationsFolder))
	if err != nil {
		return nil, err
	}
	if len(entries) > maxStations {
		return nil, fmt.Errorf("%s holds more than %d files", stationsFolder, maxStations)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && CheckStationID(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// hubKeys is what making a hub folder leaves for making station folders.
type hubKeys struct {
	recipient  string
	receiptKey ed25519.PublicKey
}

// makeHub fills a new hub folder.
func makeHub(dir string, ca *tlsAuthority, hosts []string, sealer *keystore.Sealer, random io.Reader, now time.Time) (*hubKeys, error) {
	if err := durable.MkdirAll(filepath.Join(dir, stationsFolder), 0o700); err != nil {
		return nil, err
	}
	// age draws from the operating system's generator and offers no other.
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("generate the hub's age identity: %w", err)
	}
	if err := keystore.SaveSecret(filepath.Join(dir, ageKeyFile), purposeAge, []byte(identity.String()), sealer); err != nil {
		return nil, err
	}
	receiptKey, err := newEd25519(filepath.Join(dir, receiptKeyFile), sealer, random)
	if err != nil {
		return nil, err
	}
	if _, err := ca.issue(dir, tlsRequest{name: "hub", hosts: hosts, server: true}, sealer, random, now); err != nil {
		return nil, err
	}
	keys := &hubKeys{recipient: identity.Recipient().String(), receiptKey: receiptKey}
	return keys, createJSON(filepath.Join(dir, hubFile), HubConfig{
		Version:    kitVersion,
		Recipient:  keys.recipient,
		ReceiptKey: keys.receiptKey,
		Hosts:      hosts,
		Created:    now,
	})
}

// makeStation fills a new station folder and gives the record for the hub.
func makeStation(dir, id string, hub *hubKeys, ca *tlsAuthority, sealer *keystore.Sealer, random io.Reader, now time.Time) (*StationRecord, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	signKey, err := newEd25519(filepath.Join(dir, signKeyFile), sealer, random)
	if err != nil {
		return nil, err
	}
	leaf, err := ca.issue(dir, tlsRequest{name: id}, sealer, random, now)
	if err != nil {
		return nil, err
	}
	record := &StationRecord{
		Version:       kitVersion,
		ID:            id,
		SignKey:       signKey,
		TLSCertSHA256: fingerprint(leaf),
		Created:       now,
	}
	return record, createJSON(filepath.Join(dir, stationFile), StationConfig{
		Version:       kitVersion,
		ID:            id,
		HubRecipient:  hub.recipient,
		HubReceiptKey: hub.receiptKey,
		Created:       now,
	})
}

func fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
}

func newEd25519(path string, sealer *keystore.Sealer, random io.Reader) (ed25519.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("generate %s: %w", filepath.Base(path), err)
	}
	return public, keystore.SaveKey(path, private, sealer)
}

func loadEd25519(path string, sealer *keystore.Sealer) (ed25519.PrivateKey, error) {
	key, err := keystore.LoadKey(path, sealer)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", path)
	}
	return private, nil
}

func parseRecipient(s string) (age.Recipient, error) {
	r, err := age.ParseHybridRecipient(s)
	if err != nil {
		return nil, fmt.Errorf("hubRecipient: %w", err)
	}
	return r, nil
}

func checkVersion(path string, version int) error {
	if version != kitVersion {
		return fmt.Errorf("%s has version %d; this program knows version %d", path, version, kitVersion)
	}
	return nil
}

func readJSON(path string, v any) error {
	raw, err := durable.ReadFile(path, maxKitFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func createJSON(path string, v any) error { return saveJSON(path, v, durable.CreateFile) }

// writeJSON replaces what stands there.
func writeJSON(path string, v any) error { return saveJSON(path, v, durable.WriteFile) }

func saveJSON(path string, v any, save func(string, []byte, fs.FileMode) error) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return save(path, append(raw, '\n'), 0o600)
}

// AddStation makes the folder of a further station, stations/ID, and tells
// the hub about it. It gives the folder and the hub's record of the station.
//
// The record is written last: a station that the hub does not know can do
// nothing.
func (a *Authority) AddStation(id string) (dir, record string, err error) {
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("add station %q: %w", id, err)
	}
	if err := CheckStationID(id); err != nil {
		return fail(err)
	}
	dir, record = a.path(stationsFolder, id), a.path("hub", stationsFolder, id+".json")
	hub, err := ReadHubConfig(a.path("hub"))
	if err != nil {
		return fail(err)
	}
	if _, err := os.Stat(record); err == nil {
		return fail(errors.New("the hub knows a station of that name already; choose another"))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	// The folder may hold a queue of applications, so it is never replaced.
	if _, err := os.Lstat(dir); err == nil {
		return fail(fmt.Errorf("%s is there already, though the hub does not know the station: move the folder away, or choose another name", dir))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	ca, err := openTLSAuthority(a.path("tls"), a.sealer)
	if err != nil {
		return fail(err)
	}
	temp, err := os.MkdirTemp(a.path(stationsFolder), ".new-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(temp)
	keys := &hubKeys{recipient: hub.Recipient, receiptKey: hub.ReceiptKey}
	made, err := makeStation(temp, id, keys, ca, a.sealer, a.rand, a.now().UTC().Truncate(time.Second))
	if err != nil {
		return fail(err)
	}
	_, crl, err := a.newestCRL()
	if err != nil {
		return fail(err)
	}
	if err := durable.MkdirAll(filepath.Join(temp, trustFolder), 0o700); err != nil {
		return fail(err)
	}
	if err := a.fillTrust(filepath.Join(temp, trustFolder), crl); err != nil {
		return fail(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fail(err)
	}
	if err := durable.SyncDir(a.path(stationsFolder)); err != nil {
		return fail(err)
	}
	if err := createJSON(record, made); err != nil {
		return fail(err)
	}
	return dir, record, nil
}
