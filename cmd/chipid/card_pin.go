package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chipid/reader"
	"chipid/reader/inspect"
	"chipid/reader/trace"
)

func newCardPINCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pin DIR",
		Short: "Show the PIN and PUK of a built card",
		Long: `Shows the PIN and the PUK that a built card will have, for the letter to its
holder. They stand in chip-secrets.sealed, which the passphrase opens, and nowhere
else; when the chip is made and that file is deleted, nobody can tell them again.`,
		Example: `  chipid card pin CARD`,
		Args:    exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sealer, err := a.sealer()
			if err != nil {
				return err
			}
			secrets, err := reader.LoadSecrets(args[0], sealer)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(map[string]string{"pin": secrets.PIN, "puk": secrets.PUK})
			}
			if secrets.PIN == "" {
				a.printf("%s\n", a.say("Thẻ này không có PIN", "This card has no PIN"))
				return nil
			}
			a.printf("PIN  %s\n", secrets.PIN)
			if secrets.PUK != "" {
				a.printf("PUK  %s\n", secrets.PUK)
			}
			return nil
		},
	}
}

func newCardUnblockCommand(a *app) *cobra.Command {
	var selector, chip string
	var puk secretFlag
	var tracing traceFlags
	cmd := &cobra.Command{
		Use:   "unblock",
		Short: "Give a blocked PIN its tries back, with the PUK",
		Long: `Three wrong PINs in a row block a card's PIN. With the PUK the PIN gets its three
tries back and stays what it is. A card lets that be done ten times.`,
		Example: `  chipid card unblock --puk -
  chipid card unblock --reader 1 --puk-file puk.txt`,
		Args: exactArgs(),
	}
	cmd.Flags().StringVar(&selector, "reader", "", "reader: its number, name or a part of it (default: the one with a card on it)")
	cmd.Flags().StringVar(&chip, "chip", "", "a software chip in this file instead")
	puk.register(cmd, "puk", "the PUK of the card")
	tracing.register(cmd, "new file for every command and answer, without personal data", "with --trace: record every octet, personal data too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !puk.given() {
			return usageErrorf("%s needs --puk or --puk-file (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
		}
		if chip != "" && selector != "" {
			return usageErrorf("give either --reader or --chip, not both")
		}
		if err := tracing.checkFile(a); err != nil {
			return err
		}
		number, err := puk.read(a)
		if err != nil {
			return err
		}
		card, err := a.openCard(cmd.Context(), selector, chip)
		if err != nil {
			return err
		}
		transport, end, err := a.traced(tracing, trace.MaskNothing, card)
		if err != nil {
			return errors.Join(err, card.close())
		}
		err = inspect.Unblock(cmd.Context(), transport, inspect.Options{Passwords: inspect.Passwords{PUK: number}, Rand: a.rand, Now: a.now})
		if e := card.close(); err == nil {
			err = e
		}
		if err = errors.Join(err, a.untraced(end())); err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(map[string]any{"card": card.name, "unblocked": true})
		}
		a.printf("%s\n", a.say(
			fmt.Sprintf("Đã mở khóa PIN của thẻ trên %s: lại có ba lần thử", card.name),
			fmt.Sprintf("The PIN of the card on %s has its three tries back", card.name)))
		return nil
	}
	return cmd
}
