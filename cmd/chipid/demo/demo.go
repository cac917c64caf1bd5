// Package demo plays the whole life of a card on software chips, from an empty
// folder to verified, uploaded records, and then attacks its own work.
//
// Nothing in it is pretended: the authority, the queue, the batch line, the
// chips and their APDUs, the hub and its mutual TLS are those of the commands.
// Only the people are invented, and their portraits drawn.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"chipid/card/artwork"
	"chipid/enroll/queue"
	"chipid/pki/authority"
	"chipid/pki/keystore"
)

// Options are what a demo needs of the world.
type Options struct {
	Dir      string // an empty or new folder to work in
	PCSC     bool   // chips go through pcscd and vpcd instead of staying in the process
	OCRBFont string // file of the font for the machine readable zone
	Sealer   *keystore.Sealer
	Now      func() time.Time
	Rand     io.Reader
	Say      func(vi, en string) string

	// Step and Attack, where set, are told of each as it ends.
	Step   func(Step)
	Attack func(Attack)
}

// Step is one part of the chain.
type Step struct {
	Name   string   `json:"name"`
	OK     bool     `json:"ok"`
	Millis int64    `json:"millis"`
	Detail []string `json:"detail,omitempty"` // what was done, a line each, or why it failed
}

// Attack is an attempt to get something false past the checks.
type Attack struct {
	Name    string `json:"name"`
	Refused bool   `json:"refused"`
	Reason  string `json:"reason"` // the refusal's own words
	Title   string `json:"-"`      // what the attacker did
	Millis  int64  `json:"-"`
}

// Result is the whole demo.
type Result struct {
	Steps   []Step   `json:"steps"`
	Attacks []Attack `json:"attacks"`
	Millis  int64    `json:"millis"`
}

// OK tells whether every step worked and every attack was refused.
func (r *Result) OK() bool {
	for _, s := range r.Steps {
		if !s.OK {
			return false
		}
	}
	for _, a := range r.Attacks {
		if !a.Refused {
			return false
		}
	}
	return len(r.Steps) > 0 && len(r.Attacks) > 0
}

// ErrNotEmpty says that the folder of the demo holds something already.
var ErrNotEmpty = errors.New("the folder is not empty")

// demo is one demo under way: what the steps hand on to those after them.
type demo struct {
	Options
	people  []applicant
	auth    *authority.Authority
	station *authority.Station
	queue   *queue.Queue
	hub     *runningHub
	fonts   *artwork.Fonts
	cards   []issuedCard
	socket  socket

	result Result
}

// Run plays the demo. The error is what kept it from going on; the result is
// never nil and tells how far it came.
func Run(ctx context.Context, o Options) (*Result, error) {
	d := &demo{Options: o, result: Result{Steps: []Step{}, Attacks: []Attack{}}} // JSON arrays, however far it came
	begun := time.Now()
	err := d.run(ctx)
	d.result.Millis = time.Since(begun).Milliseconds()
	return &d.result, err
}

func (d *demo) run(ctx context.Context) error {
	if entries, err := os.ReadDir(d.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: %w; name another", d.Dir, ErrNotEmpty)
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	d.people = applicants(d.Now())
	d.socket = inProcess{}
	if d.PCSC {
		d.socket = &virtualReader{slot: 0}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer func() {
		if d.hub != nil {
			d.hub.stop()
		}
	}()
	for _, s := range []struct {
		name string
		do   func(context.Context) ([]string, error)
	}{
		{"authority", d.makeAuthority},
		{"centre", d.openCentre},
		{"capture", d.capture},
		{"approve", d.approve},
		{"issue", d.issue},
		{"print", d.print},
		{"read", d.readAnew},
		{"upload", d.upload},
		{"account", d.account},
	} {
		if err := d.step(ctx, s.name, s.do); err != nil {
			return err
		}
	}
	for _, a := range []attack{
		{"cloned chip", "nhân bản chip: chép mọi tệp, không có khóa riêng", "a clone: every file copied, no private key", d.clonedChip},
		{"swapped photo", "chip thật với ảnh của người khác", "a genuine chip with another's photo", d.swappedPhoto},
		{"stranger's CSCA", "chip do một CSCA lạ cùng tên ký", "a chip signed by a stranger's CSCA of the same name", d.strangersCSCA},
		{"revoked signer", "chip của một bên ký đã bị thu hồi", "a chip of a signer that was revoked", d.revokedSigner},
		{"replayed packet", "gói đã nhận được gửi lại dưới số mới", "a received packet sent again under a new number", d.replayedPacket},
	} {
		if err := d.attack(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) step(ctx context.Context, name string, do func(context.Context) ([]string, error)) error {
	begun := time.Now()
	detail, err := do(ctx)
	s := Step{Name: name, OK: err == nil, Millis: time.Since(begun).Milliseconds(), Detail: detail}
	if err != nil {
		s.Detail = append(s.Detail, err.Error())
		err = fmt.Errorf("demo, %s: %w", name, err)
	}
	d.result.Steps = append(d.result.Steps, s)
	if d.Step != nil {
		d.Step(s)
	}
	return err
}

func (d *demo) path(elements ...string) string {
	return filepath.Join(append([]string{d.Dir}, elements...)...)
}

func (d *demo) sayf(vi, en string, args ...any) string { return fmt.Sprintf(d.Say(vi, en), args...) }
