//go:build linux

package vpcd_test

import (
	"context"
	"crypto/rand"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"chipid/card/chip"
	"chipid/card/iso7816"
	"chipid/card/lds"
	"chipid/card/mrz"
	"chipid/card/perso"
	"chipid/card/tlv"
	"chipid/reader/pcsc/pcsctest"
	"chipid/reader/vpcd"
)

// lockedChip is a personalised card of an invented person.
func lockedChip(t *testing.T) *chip.Chip {
	t.Helper()
	info := mrz.Info{
		Format: mrz.TD1, DocumentCode: "ID", IssuingState: "UTO", DocumentNumber: "D23145890",
		DateOfBirth: "740812", Sex: "F", DateOfExpiry: "320415", Nationality: "UTO",
		Name: mrz.Name{Primary: "ERIKSSON", Secondary: "ANNA MARIA"},
	}
	dg1, err := lds.EncodeDG1(info)
	if err != nil {
		t.Fatal(err)
	}
	doc := new(lds.Document)
	doc.Set(lds.DG1, dg1)
	doc.Set(lds.EFCOM, tlv.Encode(tlv.Tag(lds.EFCOM.Tag()), []byte("com")))
	doc.Set(lds.EFSOD, tlv.Encode(tlv.Tag(lds.EFSOD.Tag()), []byte("sod")))
	steps, err := perso.Script(doc, perso.Secrets{
		DocumentNumber: info.DocumentNumber, DateOfBirth: info.DateOfBirth, DateOfExpiry: info.DateOfExpiry,
	}, perso.ChipID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := chip.New(chip.Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		raw, err := s.Command.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if r, err := iso7816.ParseResponse(c.Process(raw)); err != nil || r.SW != iso7816.SWSuccess {
			t.Fatalf("%s: %v, %v", s.Name, r.SW, err)
		}
	}
	c.Reset()
	return c
}

// Programs that know nothing of chipid find a card in the reader and talk to
// it as to any other.
func TestIndependentPrograms(t *testing.T) {
	tools := map[string]string{"opensc-tool": "opensc", "pcsc_scan": "pcsc-tools", "ATR_analysis": "pcsc-tools"}
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: %s)", tool, pkg)
		}
	}
	pcsctest.Run(t, func(service *pcsctest.Service) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		plugged := make(chan struct{}, 10)
		slot := vpcd.Slot{Address: pcsctest.Slot0, Card: lockedChip(t), Plugged: func() { plugged <- struct{}{} }}
		go func() { ended <- slot.Serve(ctx) }()
		select {
		case <-plugged:
		case err := <-ended:
			t.Fatal(err)
		}
		output := func(name string, args ...string) string {
			t.Helper()
			ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
			if err != nil && ctx.Err() == nil {
				// opensc-tool -n ends with 1 on cards it has no driver for.
				t.Logf("%s %v: %v", name, args, err)
			}
			return string(out)
		}
		const atr = "3b:87:80:01:80:31:b8:73:94:21:e0:29"
		if got := output("opensc-tool", "--reader", pcsctest.Reader0, "-a"); !strings.Contains(got, atr) {
			t.Errorf("opensc-tool -a: %s", got)
		}
		if got := output("opensc-tool", "--reader", pcsctest.Reader0, "-n"); strings.Contains(got, "ailed") || !strings.Contains(got, "card") {
			t.Errorf("opensc-tool -n: %s", got)
		}
		got := output("opensc-tool", "--reader", pcsctest.Reader0,
			"-s", "00A4040C07A0000002471001", "-s", "00B0810000", "-s", "00B0000000", "-s", "0084000008", "-s", "00A4000C023F00", "-s", "00B0810000")
		want := []string{"0x90, SW2=0x00", "0x69, SW2=0x82", "0x69, SW2=0x82", "0x90, SW2=0x00", "0x90, SW2=0x00", "0x90, SW2=0x00"}
		answers := regexp.MustCompile(`SW1=(0x.., SW2=0x..)`).FindAllStringSubmatch(got, -1)
		if len(answers) != len(want) {
			t.Fatalf("opensc-tool -s: %s", got)
		}
		for i, a := range answers {
			if a[1] != want[i] {
				t.Errorf("command %d answers %s, want %s:\n%s", i+1, a[1], want[i], got)
			}
		}
		if !strings.Contains(got, "7F 66 08 02 02 7F FF 02 02 7F FF") {
			t.Errorf("EF.ATR/INFO does not tell the lengths of APDUs:\n%s", got)
		}
		// pcsc_scan's own judgement of the ATR: T=0 and T=1, right check octet.
		scan := output("timeout", "3", "pcsc_scan", "-r")
		if !strings.Contains(scan, pcsctest.Reader0) {
			t.Errorf("pcsc_scan -r: %s", scan)
		}
		// Its companion's judgement of the ATR. (Without a network it cannot look
		// for news of the card; its home is a folder of the test.)
		t.Setenv("HOME", t.TempDir())
		analysis := output("ATR_analysis", atr)
		for _, want := range []string{
			"(correct checksum)", "Protocol T = 0", "Protocol T = 1", "by full DF name", "by READ BINARY command",
			"Card with MF", "Short EF identifier supported", "Command chaining", "Extended Lc and Le fields",
		} {
			if !strings.Contains(analysis, want) {
				t.Errorf("ATR_analysis does not say %q: %s", want, analysis)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The card outlives a restart of pcscd, and a second card finds its slot taken.
func TestRestartAndBusySlot(t *testing.T) {
	pcsctest.Run(t, func(service *pcsctest.Service) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		plugged := make(chan struct{}, 10)
		slot := vpcd.Slot{Address: pcsctest.Slot0, Card: lockedChip(t), Plugged: func() { plugged <- struct{}{} }}
		go func() { ended <- slot.Serve(ctx) }()
		wait := func() {
			t.Helper()
			select {
			case <-plugged:
			case err := <-ended:
				t.Fatal(err)
			case <-time.After(30 * time.Second):
				t.Fatal("the reader did not take the card")
			}
		}
		wait()
		second := vpcd.Slot{Address: pcsctest.Slot0, Card: lockedChip(t), FirstMessage: 2 * time.Second}
		if err := second.Serve(ctx); err == nil {
			t.Error("two cards in one slot")
		}
		service.Stop()
		service.Start()
		wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
