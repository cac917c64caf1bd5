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
	"chipid/card/iso7816"
	"chipid/card/passiveauth"
	"chipid/card/perso"
	"chipid/reader"
	"chipid/reader/chipfile"
	"chipid/reader/pcsc"
	"chipid/reader/trace"
)

func newCardPersonalizeCommand(a *app) *cobra.Command {
	var selector, file, kindName string
	var tracing traceFlags
	cmd := &cobra.Command{
		Use:   "personalize DIR",
		Short: "Put a built card on a blank chip and lock it",
		Long: `Puts the files and secrets that card build made on a blank card in a reader, or
into a chip file, and locks it: nothing on it can be changed afterwards. A chip
file that is not there is made; one that has been locked is refused.

Cards of chipid and Java Cards with the JMRTD applet take these commands without
a secure channel: personalise in a trusted room.

With --trace every command and answer is written to a new file, for chipid reader
apdu show. Private keys and passwords are never in it; personal data is with
--trace-secrets, which is for cards of no real person.`,
		Example: `  chipid card personalize CARD --chip card.chip
  chipid card personalize CARD --reader 0
  chipid card personalize CARD --reader "Virtual PCD" --kind jmrtd
  chipid card personalize CARD --reader 0 --trace card.trace`,
		Args: exactArgs("DIR"),
	}
	flags := cmd.Flags()
	flags.StringVar(&selector, "reader", "", "reader with the blank card: its number, name or a part of it")
	flags.StringVar(&file, "chip", "", "chip file to make or to fill")
	flags.StringVar(&kindName, "kind", string(perso.ChipID), "kind of chip: "+kindNames())
	tracing.register(cmd, "new file for every command and answer, without personal data", "with --trace: record personal data too; keys and passwords stay out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (selector == "") == (file == "") {
			return usageErrorf("%s needs either --reader NAME or --chip FILE (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		if err := tracing.checkFile(a); err != nil {
			return err
		}
		kind, err := perso.KindByName(kindName)
		if err != nil {
			return usageErrorf("--kind: %v", err)
		}
		doc, err := reader.ReadDocument(args[0])
		if err != nil {
			return err
		}
		sealer, err := a.sealer()
		if err != nil {
			return err
		}
		secrets, err := reader.LoadSecrets(args[0], sealer)
		if err != nil {
			return err
		}
		steps, err := perso.Script(doc, secrets, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		// A locked chip stays as it is: nothing goes on one that no reader would
		// believe.
		checked, err := passiveauth.Verify(doc)
		if err == nil {
			err = checked.Err()
		}
		if err != nil {
			return fmt.Errorf("%s does not go onto a chip: %w", args[0], err)
		}
		if selector != "" {
			card, err := pcsc.Connect(cmd.Context(), selector)
			if err != nil {
				return err
			}
			defer card.Close()
			opened := &openedCard{Transport: card, name: card.Reader(), atr: card.ATR()}
			return a.personalize(cmd.Context(), opened, tracing, steps, kind, card.Reader(), nil)
		}
		f, err := chipfile.OpenOrCreate(file, sealer, chip.Options{Rand: a.rand})
		if err != nil {
			return err
		}
		if f.Chip().LifeCycle() == chip.Locked {
			return a.told(nil,
				fmt.Sprintf("chip trong %s đã được ghi và khóa; hãy đặt tên tệp mới cho thẻ khác", file),
				fmt.Sprintf("the chip in %s is personalised and locked already; name a new file for another card", file))
		}
		// Not through the file: it then goes from blank to locked in one step.
		opened := &openedCard{Transport: reader.NewChipTransport(f.Chip()), name: softwareChip + filepath.Base(file), atr: f.ATR()}
		return a.personalize(cmd.Context(), opened, tracing, steps, kind, file, f.Save)
	}
	return cmd
}

func kindNames() string {
	var names []string
	for _, k := range perso.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// personalize runs the script and tells what became of the chip. save, where
// there is one, keeps the result.
func (a *app) personalize(ctx context.Context, card *openedCard, tracing traceFlags, steps []perso.Step, kind perso.Kind, where string, save func() error) (err error) {
	t, end, err := a.traced(tracing, trace.MaskKeys, card)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.untraced(end())) }()
	serial := chipSerial(ctx, t)
	bar := a.newProgress(a.say("ghi chip", "personalize"), int64(len(steps)))
	traffic, err := reader.Personalise(ctx, t, steps, func(done, total int, step string) {
		bar.advance(int64(done), int64(total), step)
	})
	bar.finish()
	if err != nil {
		var failed *reader.PersonaliseError
		if errors.As(err, &failed) && failed.Index <= 1 && errors.As(err, new(*iso7816.StatusError)) {
			return a.told(err,
				fmt.Sprintf("không ghi được %s: chip đã khóa, hoặc không phải loại %s (%v)", where, kind, err),
				fmt.Sprintf("%s takes no personalisation: it is locked already, or no chip of kind %s (%v)", where, kind, err))
		}
		return a.told(err,
			fmt.Sprintf("%s: %s; chip chưa khóa, không được giao cho ai", where, a.inWords(err)),
			fmt.Sprintf("%s: %v; the chip is not locked and must not be handed out", where, err))
	}
	if save != nil {
		if err := save(); err != nil {
			return err
		}
	}
	if a.asJSON {
		return a.printJSON(map[string]any{
			"chip": where, "kind": kind, "serial": serial, "lifeCycle": chip.Locked.String(), "traffic": traffic,
		})
	}
	a.printf("%s\n", a.say(
		fmt.Sprintf("Đã ghi và khóa chip %s (số %s): %d lệnh, %d byte, %d ms", where, serial, traffic.APDUs, traffic.BytesOut, traffic.Millis),
		fmt.Sprintf("Personalised and locked %s (serial %s): %d commands, %d octets, %d ms", where, serial, traffic.APDUs, traffic.BytesOut, traffic.Millis)))
	return nil
}

// chipSerial asks a blank chip for its serial number; not every card has one
// to tell.
func chipSerial(ctx context.Context, t reader.Transport) string {
	r, err := reader.NewSession(t, reader.Options{}).Exchange(ctx, "GET DATA serial number", perso.SerialCommand())
	if err != nil || r.SW != iso7816.SWSuccess {
		return ""
	}
	serial, err := perso.ParseSerial(r.Data)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(serial)
}
