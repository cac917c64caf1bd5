package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chipid/card/chip"
	"chipid/reader"
	"chipid/reader/chipfile"
	"chipid/reader/trace"
	"chipid/reader/vpcd"
)

func newCardSimulateCommand(a *app) *cobra.Command {
	var file, address string
	var slot int
	var quirks []string
	var list bool
	var tracing traceFlags
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Plug a software chip into vpcd as a real PC/SC card",
		Long: `Plugs the chip in a chip file into a slot of vpcd, the virtual reader that pcscd
loads (Debian: vsmartcard-vpcd). Every PC/SC program then sees a card there. A
chip file that is not there is made, with a blank chip. What programs write to
the card is in the file before the card answers. A card is in one slot at a time:
a chip file that is plugged in already is refused.

Runs until it is interrupted, and outlives a restart of pcscd. With --trace what
other programs ask of the card is recorded, for chipid reader apdu show.

A locked card takes quirks on, in which it then differs from Doc 9303 as cards of
the field do, so that readers can be tried against it; they are forgotten when
the command ends. By what users of readers complain about:

` + quirkList("en"),
		Example: `  chipid card simulate --chip card.chip
  chipid card simulate --chip other.chip --slot 1 --quirk select-mf-6d00
  chipid card simulate --chip card.chip --quirk extended-6700 --quirk sfi-none
  chipid card simulate --chip card.chip --trace program.trace
  chipid card simulate --quirks --json`,
		Args: exactArgs(),
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "chip", "", "chip file")
	flags.IntVar(&slot, "slot", 0, "slot of vpcd; Debian's has 0 and 1")
	flags.StringVar(&address, "address", "", "HOST:PORT of a vpcd elsewhere, instead of --slot")
	flags.StringArrayVar(&quirks, "quirk", nil, "a quirk (repeatable)")
	flags.BoolVar(&list, "quirks", false, "list the quirks, and plug nothing in")
	tracing.register(cmd, "new file for every command that a program sends, and the answer, without personal data", "with --trace: record personal data too; keys and passwords stay out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list {
			return a.listQuirks()
		}
		if file == "" {
			return usageErrorf("%s needs --chip FILE (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		var habits []chip.Habit
		for _, name := range quirks {
			h, err := chip.HabitByName(name)
			if err != nil {
				return usageErrorf("there is no quirk %q: %s --quirks lists them", name, cmd.CommandPath())
			}
			habits = append(habits, h)
		}
		if err := tracing.checkFile(a); err != nil {
			return err
		}
		if address != "" && cmd.Flags().Changed("slot") {
			return usageErrorf("give either --slot or --address, not both")
		}
		if address == "" {
			var err error
			if address, err = vpcd.Address(slot); err != nil {
				return usageErrorf("--slot: %v", err)
			}
		}
		sealer, err := a.sealer()
		if err != nil {
			return err
		}
		unplug, err := chipfile.Plug(file)
		if err != nil {
			return err
		}
		defer unplug()
		f, err := chipfile.OpenOrCreate(file, sealer, chip.Options{Rand: a.rand})
		if err != nil {
			return err
		}
		f.Chip().Behave(habits...)
		transport, end, err := a.traced(tracing, trace.MaskKeys, &openedCard{Transport: reader.NewChipTransport(f), name: softwareChip + filepath.Base(file), atr: f.ATR()})
		if err != nil {
			return err
		}
		told := false
		err = vpcd.Slot{
			Address: address, Card: recordedChip{f, transport},
			Plugged: func() {
				if !told { // --json is one object
					told = true
					a.tellPlugged(file, address, f.Chip())
					return
				}
				fmt.Fprintf(a.err, "%s\n", a.say("Đầu đọc đã trở lại.", "The reader is back."))
			},
			Lost: func(err error) {
				fmt.Fprintf(a.err, "%s\n", a.say("Đầu đọc đã ngắt; đang chờ nó trở lại …", "The reader went away; waiting for it to come back …"))
			},
		}.Serve(cmd.Context())
		if err == nil {
			err = f.Err()
		}
		return errors.Join(err, a.untraced(end()))
	}
	return cmd
}

// recordedChip is a chip behind the recording of what goes to it.
type recordedChip struct {
	*chipfile.File
	transport reader.Transport
}

// Process never fails to answer: the chip is in this process.
func (c recordedChip) Process(command []byte) []byte {
	response, err := c.transport.Transmit(context.Background(), command)
	if err != nil {
		return []byte{0x6F, 0x00}
	}
	return response
}

func (c recordedChip) Reset() {
	if r, ok := c.transport.(reader.Resetter); ok {
		_ = r.Reset(context.Background()) // it cannot fail either
	}
}

// quirkList is the table of habits for people, a line each.
func quirkList(lang string) string {
	var out strings.Builder
	habits := chip.Habits()
	for _, complaint := range chip.Complaints() {
		title := complaint.English
		if lang == "vi" {
			title = complaint.Vietnamese
		}
		first := true
		for _, h := range habits {
			if h.Complaint != complaint.Number {
				continue
			}
			if first {
				fmt.Fprintf(&out, "%d. %s\n", complaint.Number, title)
				first = false
			}
			about := h.English
			if lang == "vi" {
				about = h.Vietnamese
			}
			fmt.Fprintf(&out, "  %-24s %s\n", h.Habit, about)
		}
	}
	return strings.TrimRight(out.String(), "\n")
}

func (a *app) listQuirks() error {
	if !a.asJSON {
		a.printf("%s\n", quirkList(a.lang))
		return nil
	}
	type quirk struct {
		Name      string `json:"name"`
		Complaint int    `json:"complaint"`
		About     string `json:"about"`
		AboutVI   string `json:"aboutVi"`
		Source    string `json:"source"`
	}
	quirks := []quirk{}
	for _, h := range chip.Habits() {
		quirks = append(quirks, quirk{string(h.Habit), h.Complaint, h.English, h.Vietnamese, h.Source})
	}
	return a.printJSON(map[string]any{"quirks": quirks})
}

func (a *app) tellPlugged(file, address string, c *chip.Chip) {
	serial := hex.EncodeToString(c.Serial())
	if a.asJSON {
		// The card is in already: a broken pipe must not take it out.
		_ = a.printJSON(map[string]any{
			"chip": file, "address": address, "serial": serial,
			"lifeCycle": c.LifeCycle().String(), "atr": hex.EncodeToString(c.ATR()),
		})
		return
	}
	a.printf("%s\n", a.say(
		fmt.Sprintf("Chip %s (số %s, %s) đã cắm vào %s. Dừng bằng Ctrl-C.", file, serial, lifeCycleVI(c.LifeCycle()), address),
		fmt.Sprintf("The chip in %s (serial %s, %s) is plugged into %s. Stop with Ctrl-C.", file, serial, c.LifeCycle(), address)))
}

func lifeCycleVI(l chip.LifeCycle) string {
	switch l {
	case chip.Blank:
		return "thẻ trắng"
	case chip.Personalising:
		return "đang ghi dở"
	case chip.Locked:
		return "đã khóa"
	}
	return l.String()
}
