package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chipid/reader/pcsc"
)

func newReaderCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reader",
		Short: "See the card readers of this computer and what is on them",
		Example: `  chipid reader list
  chipid reader watch
  chipid reader apdu show card.trace`,
	}
	cmd.AddCommand(newReaderListCommand(a), newReaderWatchCommand(a), newReaderAPDUCommand(a))
	return cmd
}

func newReaderListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the readers",
		Long: `Lists the readers with their numbers, and what is on each: whether card and reader
talk by contacts or without, and the answer to reset (ATR). A card with both kinds
may hold an ID document on one of them only. Other commands take the number, the
name, a pattern such as '*PICC*' or part of the name with --reader.`,
		Example: `  chipid reader list
  chipid reader list --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			readers, err := pcsc.List(cmd.Context())
			if err != nil {
				return err
			}
			if a.asJSON {
				type reader struct {
					pcsc.Reader
					ATR         string `json:"atr,omitempty"`
					StorageCard string `json:"storageCard,omitempty"`
				}
				out := make([]reader, len(readers))
				for i, r := range readers {
					out[i] = reader{r, fmt.Sprintf("%X", r.ATR), pcsc.StorageCard(r.ATR)}
				}
				return a.printJSON(map[string]any{"readers": out})
			}
			if len(readers) == 0 {
				a.printf("%s\n", a.say("Không có đầu đọc nào được kết nối.", "No reader is connected."))
			}
			for _, r := range readers {
				a.printf("%d  %-40s  %s\n", r.Index, r.Name, a.describeReader(r))
			}
			return nil
		},
	}
}

func (a *app) describeReader(r pcsc.Reader) string {
	switch {
	case !r.Present && r.Interface == pcsc.Contactless:
		return a.say("không có thẻ (đầu đọc không tiếp xúc)", "no card (contactless reader)")
	case !r.Present:
		return a.say("không có thẻ", "no card")
	case r.Mute:
		return a.say("thẻ không phản hồi: hãy lấy ra, lau sạch hoặc lật mặt thẻ", "a card that does not answer: take it off, clean it or turn it over")
	}
	text := fmt.Sprintf("%s, ATR %X", a.describeCard(r.Interface, r.ATR), r.ATR)
	if r.InUse {
		text += a.say(", đang được chương trình khác dùng", ", in use by another program")
	}
	return text
}

// describeCard says what kind of card an answer to reset is of.
func (a *app) describeCard(way pcsc.Interface, atr []byte) string {
	if kind := pcsc.StorageCard(atr); kind != "" {
		return fmt.Sprintf(a.say("thẻ nhớ %s, không phải thẻ căn cước", "a %s memory card, no ID card"), kind)
	}
	switch way {
	case pcsc.Contact:
		return a.say("thẻ tiếp xúc", "contact card")
	case pcsc.Contactless:
		return a.say("thẻ không tiếp xúc", "contactless card")
	}
	return a.say("có thẻ", "card")
}

func newReaderWatchCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Tell when readers and cards come and go",
		Long: `Prints a line for each reader and card that is there, and then for each change,
until it is interrupted. With --json each line is an object. Unplugged readers
and a restarted smart card service are survived. Nothing is asked of the cards, and
between two changes the program sleeps.`,
		Example: `  chipid reader watch
  chipid reader watch --json | jq .event`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			var failed error
			err := pcsc.Watch(cmd.Context(), func(e pcsc.Event) {
				if failed == nil {
					failed = a.tellEvent(e)
				}
			})
			return errors.Join(err, failed)
		},
	}
}

func (a *app) tellEvent(e pcsc.Event) error {
	at := a.now()
	if a.asJSON {
		return json.NewEncoder(jsonOutput{a.out}).Encode(struct {
			Time        string         `json:"time"`
			Event       pcsc.EventKind `json:"event"`
			Reader      string         `json:"reader,omitempty"`
			ATR         string         `json:"atr,omitempty"`
			Mute        bool           `json:"mute,omitempty"`
			Interface   pcsc.Interface `json:"interface,omitempty"`
			StorageCard string         `json:"storageCard,omitempty"`
		}{
			at.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind, e.Reader, fmt.Sprintf("%X", e.ATR), e.Mute,
			e.Interface, pcsc.StorageCard(e.ATR),
		})
	}
	text := map[pcsc.EventKind]string{
		pcsc.ReaderAdded:   a.say("đã cắm đầu đọc", "reader connected"),
		pcsc.ReaderRemoved: a.say("đã rút đầu đọc", "reader gone"),
		pcsc.CardInserted:  a.say("đã đặt thẻ", "card put on"),
		pcsc.CardRemoved:   a.say("đã lấy thẻ ra", "card taken off"),
		pcsc.CardInUse:     a.say("thẻ đang được dùng", "card in use"),
		pcsc.CardFree:      a.say("thẻ đã được nhả", "card free"),
		pcsc.ServiceLost:   a.say("dịch vụ thẻ thông minh đã dừng; đang chờ", "the smart card service has stopped; waiting for it"),
		pcsc.ServiceFound:  a.say("dịch vụ thẻ thông minh đã chạy lại", "the smart card service is back"),
	}[e.Kind]
	switch {
	case e.Mute:
		text += a.say(", không phản hồi", ", does not answer")
	case e.ATR != nil:
		text += fmt.Sprintf(": %s, ATR %X", a.describeCard(e.Interface, e.ATR), e.ATR)
	}
	_, err := fmt.Fprintf(a.out, "%s  %-40s  %s\n", at.Format("15:04:05.000"), e.Reader, text)
	return err
}
