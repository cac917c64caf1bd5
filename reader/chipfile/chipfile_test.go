package chipfile_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chipid/card/chip"
	"chipid/pki/keystore"
	"chipid/reader/chipfile"
)

func sealer(t *testing.T, passphrase string) *keystore.Sealer {
	t.Helper()
	s, err := keystore.NewSealer([]byte(passphrase), keystore.Params{Passes: 1, MemoryKiB: 8, Lanes: 1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t *testing.T, path string, s *keystore.Sealer) *chipfile.File {
	t.Helper()
	f, err := chipfile.Create(path, s, chip.Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	selectApplication = "00a4040c07a0000002471001"
	putMRZ            = "00da00622062" + "1e" + "5f1f09" + "323033303132333435" + "5f1806" + "303330343135" + "5f1906" + "323830343135"
)

func send(t *testing.T, f *chipfile.File, command string) string {
	t.Helper()
	raw, err := hex.DecodeString(command)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(f.Process(raw))
}

func TestAnsweredIsSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card.chip")
	s := sealer(t, "one")
	f := create(t, path, s)
	fresh, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := send(t, f, selectApplication); got != "9000" {
		t.Fatal(got)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, fresh) {
		t.Error("a command that writes nothing wrote the file")
	}
	if got := send(t, f, putMRZ); got != "9000" {
		t.Fatal(got)
	}
	// No Save, no Close: as after kill -9.
	again, err := chipfile.Open(path, sealer(t, "one"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Chip().LifeCycle(); got != chip.Personalising {
		t.Errorf("the chip answered that it is personalising; its file says %v", got)
	}
	if !bytes.Equal(again.Chip().Serial(), f.Chip().Serial()) {
		t.Error("another serial number")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("203012345")) {
		t.Error("the password stands in the file in plain")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "card.chip")
	create(t, path, sealer(t, "one"))

	if _, err := chipfile.Open(path, sealer(t, "two"), rand.Reader); !errors.Is(err, keystore.ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := chipfile.Create(path, sealer(t, "one"), chip.Options{Rand: rand.Reader}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a chip: %v", err)
	}
	if _, err := chipfile.Open(filepath.Join(dir, "none"), sealer(t, "one"), rand.Reader); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty":   {},
		"text":    []byte("this is not a chip"),
		"cut":     whole[:len(whole)-1],
		"flipped": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
		"huge":    bytes.Repeat(whole, 1+(2<<20)/len(whole)),
	} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := chipfile.Open(p, sealer(t, "one"), rand.Reader); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Something else that was sealed under the same passphrase is no chip.
	other := filepath.Join(dir, "key")
	if err := keystore.SaveSecret(other, "private key", []byte("secret"), sealer(t, "one")); err != nil {
		t.Fatal(err)
	}
	if _, err := chipfile.Open(other, sealer(t, "one"), rand.Reader); err == nil {
		t.Error("a sealed key was taken for a chip")
	}
}

// Two programs with one chip: the second to write is refused, and neither
// undoes what the other did.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card.chip")
	s := sealer(t, "one")
	a := create(t, path, s)
	b, err := chipfile.Open(path, s, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	send(t, a, selectApplication)
	send(t, b, selectApplication)
	if got := send(t, a, putMRZ); got != "9000" {
		t.Fatal(got)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := send(t, b, putMRZ); got != "6581" {
		t.Errorf("the other program's chip answers %s", got)
	}
	if !errors.Is(b.Err(), chipfile.ErrChanged) {
		t.Errorf("Err: %v", b.Err())
	}
	if got := send(t, b, selectApplication); got != "6581" {
		t.Errorf("a chip that could not be saved goes on answering: %s", got)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, after) {
		t.Error("the first program's chip was overwritten")
	}
}

// A chip whose file cannot be written does not say that it has written.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := create(t, filepath.Join(dir, "card.chip"), sealer(t, "one"))
	send(t, f, selectApplication)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := send(t, f, putMRZ); got != "6581" {
		t.Errorf("answered %s", got)
	}
	if f.Err() == nil {
		t.Error("no error")
	}
}

// Many programs write one chip at the same moment: one of them is answered, and
// its write is the one that stands.
func TestManyAtTheSameMoment(t *testing.T) {
	s := sealer(t, "one")
	for range 10 {
		path := filepath.Join(t.TempDir(), "card.chip")
		create(t, path, s)
		const programs = 8
		files := make([]*chipfile.File, programs)
		for i := range files {
			f, err := chipfile.Open(path, s, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			send(t, f, selectApplication)
			files[i] = f
		}
		command, err := hex.DecodeString(putMRZ)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, f := range files {
			all.Go(func() { f.Process(command) })
		}
		all.Wait()
		answered := 0
		for _, f := range files {
			switch err := f.Err(); {
			case err == nil:
				answered++
			case !errors.Is(err, chipfile.ErrChanged):
				t.Error(err)
			}
		}
		if answered != 1 {
			t.Fatalf("%d programs were told that they wrote", answered)
		}
	}
}

// A card is in one reader at a time, under whichever name its file has, until
// it is taken out or the program that holds it dies.
func TestPlug(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "card.chip"), filepath.Join(dir, "link.chip")
	if err := os.Symlink("card.chip", link); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		unplug, err := chipfile.Plug(path) // before there is a file, and again after
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			create(t, path, sealer(t, "one"))
		}
		for _, name := range []string{path, link} {
			if _, err := chipfile.Plug(name); !errors.Is(err, chipfile.ErrPlugged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, plugged in a second time: %v", name, err)
			}
		}
		unplug()
		if left, _ := filepath.Glob(filepath.Join(dir, "*.plugged")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}

	// The folder is what is missing, not a file that nobody named.
	nowhere := filepath.Join(dir, "nowhere", "card.chip")
	if _, err := chipfile.Plug(nowhere); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), ".plugged") || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("no folder: %v", err)
	}

	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), plugForOther+"="+path)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	hold, err := other.StdinPipe() // it runs until this closes
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "plugged\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	if _, err := chipfile.Plug(path); !errors.Is(err, chipfile.ErrPlugged) {
		t.Errorf("plugged in by another process: %v", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	unplug, err := chipfile.Plug(path)
	if err != nil {
		t.Fatalf("after the other process was killed: %v", err)
	}
	unplug()
}

// plugForOther makes this test program the other process of TestPlug.
const plugForOther = "CHIPFILE_TEST_PLUG"

func TestMain(m *testing.M) {
	if path := os.Getenv(plugForOther); path != "" {
		if _, err := chipfile.Plug(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("plugged")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(m.Run())
}

// Of many that plug and unplug one chip, one at a time has it.
func TestPlugOfMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "card.chip")
	var holders atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				unplug, err := chipfile.Plug(path)
				if errors.Is(err, chipfile.ErrPlugged) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the chip", n)
				}
				for range 20 { // let the others come as far as they can
					runtime.Gosched()
				}
				holders.Add(-1)
				unplug()
			}
		})
	}
	all.Wait()
}

// A chip that is opened by a symbolic link is the one it leads to: there is no
// second one afterwards, with tries of its own.
func TestSymbolicLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "card.chip"), filepath.Join(dir, "link.chip")
	s := sealer(t, "one")
	create(t, path, s)
	if err := os.Symlink("card.chip", link); err != nil {
		t.Fatal(err)
	}
	f, err := chipfile.Open(link, s, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	send(t, f, selectApplication)
	if got := send(t, f, putMRZ); got != "9000" {
		t.Fatal(got)
	}
	again, err := chipfile.Open(path, s, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Chip().LifeCycle(); got != chip.Personalising {
		t.Errorf("what was written through the link is not in the chip: %v", got)
	}
}
