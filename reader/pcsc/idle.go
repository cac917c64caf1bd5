package pcsc

import (
	"runtime"
	"time"
)

// Windows resets a card that is held in a transaction and not spoken to for
// five seconds (SCardBeginTransaction, since Windows 8), and with that ends the
// secure channel: a person who looks up a PIN takes longer. Any call about the
// card starts those seconds anew, SCardStatus too, which the card does not
// notice. Other systems have no such limit.
//
// But a card that is held keeps every other program waiting. So a conversation
// that rests for longer than a person would let it is ended, everywhere.
type idleRules struct {
	touchEvery time.Duration // 0: not needed
	letGoAfter time.Duration
}

func systemIdleRules() idleRules {
	rules := idleRules{letGoAfter: 2 * time.Minute}
	if runtime.GOOS == "windows" {
		rules.touchEvery = 2 * time.Second
	}
	return rules
}

// next is how long after a card was last spoken to it is to be looked after,
// when it has rested for that long already.
func (r idleRules) next(rested time.Duration) time.Duration {
	left := r.letGoAfter - rested
	if r.touchEvery > 0 {
		return min(r.touchEvery, left)
	}
	return left
}
