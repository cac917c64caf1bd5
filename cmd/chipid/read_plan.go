package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chipid/reader"
	"chipid/reader/inspect"
	"chipid/reader/kinds"
)

// planFlags are the flags of read that say how much is read, what is told
// meanwhile, and what is remembered for the next card.
type planFlags struct {
	plan, cache     string
	events, noCache bool
}

func (f *planFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.plan, "plan", reader.FullPlan.String(), "what to read: identity, photo, full, or data groups such as DG1,DG13")
	flags.BoolVar(&f.events, "events", false, "with --json: one line of JSON for each step and check, then the report")
	flags.StringVar(&f.cache, "cache", "", "file that remembers what kinds of cards take (default: CHIPID_CACHE, else one in your cache folder)")
	flags.BoolVar(&f.noCache, "no-cache", false, "find out anew what this card takes, and remember nothing")
}

func (f *planFlags) reading(asJSON bool) (reader.Plan, error) {
	plan, err := reader.ParsePlan(f.plan)
	switch {
	case err != nil:
		return plan, usageErrorf("--plan: %v", err)
	case f.events && !asJSON:
		return plan, usageErrorf("--events is for programs: give --json too")
	case f.cache != "" && f.noCache:
		return plan, usageErrorf("give either --cache or --no-cache, not both")
	}
	return plan, nil
}

// kinds opens what is remembered of kinds of cards; nil: nothing is, by choice
// or since the file cannot be read. No card goes unread for that.
func (f *planFlags) kinds(a *app) *kinds.Store {
	path := f.cache
	if path == "" {
		path = os.Getenv("CHIPID_CACHE")
	}
	if path == "" && a.cacheDir != "" {
		path = filepath.Join(a.cacheDir, "chipid", "kinds.json")
	}
	if path == "" || f.noCache {
		return nil
	}
	store, err := kinds.Open(path, a.rand, a.now)
	if err != nil {
		a.tellCache(err)
		return nil
	}
	return store
}

// remember keeps what was learned. The card was read, and the next one will be
// read without it too, if a little slower.
func (a *app) remember(store *kinds.Store) {
	if store == nil {
		return
	}
	if err := store.Save(); err != nil {
		a.tellCache(err)
	}
}

func (a *app) tellCache(err error) {
	fmt.Fprintf(a.err, "chipid: %s\n", a.say(
		"thẻ vẫn được đọc, nhưng không dùng được tệp ghi nhớ loại thẻ (xem --cache, --no-cache): "+a.inWords(err),
		"the card is read all the same, but what kinds of cards take cannot be remembered (see --cache, --no-cache): "+a.inWords(err)))
}

// tellEvents gives what to do with the events of a read: a bar for people,
// lines for programs. What cannot be written then cannot be written at the end
// either, where it is told.
func (f *planFlags) tellEvents(a *app, bar *progress) func(inspect.Event) {
	if !f.events {
		return func(e inspect.Event) {
			if text := a.aboutLostCard(e); text != "" {
				bar.tell(text)
			}
			bar.advance(int64(e.Done), 1000, e.Step)
		}
	}
	a.oneLine = true
	lines := json.NewEncoder(jsonOutput{a.out})
	return func(e inspect.Event) { _ = lines.Encode(e) }
}

// aboutLostCard is what the person at the reader has to know of a card that was
// taken away; empty for other events.
func (a *app) aboutLostCard(e inspect.Event) string {
	switch e.Type {
	case inspect.EventLost:
		seconds := (e.Wait + 999) / 1000
		return fmt.Sprintf(a.say("mất liên lạc với thẻ: hãy đặt lại thẻ trong vòng %d giây và để yên", "contact with the card was lost: put it back within %d s and leave it there"), seconds)
	case inspect.EventBack:
		return a.say("có thẻ trở lại: đang kiểm tra có đúng thẻ cũ không", "a card is back: checking that it is the same one")
	case inspect.EventResumed:
		return a.say("đúng thẻ cũ: đọc tiếp", "the same card: reading on")
	case inspect.EventAnew:
		return a.say("đọc lại từ đầu", "reading from the beginning")
	}
	return ""
}
