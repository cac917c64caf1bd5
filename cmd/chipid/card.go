package main

import "github.com/spf13/cobra"

func newCardCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "card",
		Short: "Build cards, put them on chips, draw their faces",
		Long: `A card goes from a person's data to a chip in two steps: build makes the signed
files and the chip's secrets in a folder, personalize puts a folder on a chip.
simulate makes a software chip a card in a PC/SC reader.`,
		Example: `  chipid card build applicant.json --photo face.jpg --pki PKI --out CARD
  chipid card show CARD
  chipid card personalize CARD --chip card.chip
  chipid card simulate --chip card.chip --slot 0`,
	}
	for _, sub := range []func(*app) *cobra.Command{
		newCardBuildCommand, newCardShowCommand, newCardPersonalizeCommand, newCardSimulateCommand,
		newCardArtworkCommand, newCardPINCommand, newCardUnblockCommand,
	} {
		cmd.AddCommand(sub(a))
	}
	return cmd
}
