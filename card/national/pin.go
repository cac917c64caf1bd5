package national

import (
	"fmt"
	"io"
)

// Lengths of what DrawNumber is asked for by those who issue cards: long enough
// for a chip that counts wrong PINs, and for a PUK, which it does not count.
const (
	PINDigits = 6
	PUKDigits = 10
)

// DrawNumber draws a PIN or a PUK of so many digits, each as likely.
func DrawNumber(rand io.Reader, digits int) (string, error) {
	out := make([]byte, 0, digits)
	b := make([]byte, 1)
	// An octet above 249 would make some digits likelier than others. A source that
	// gives nothing else is broken.
	for tries := 0; len(out) < digits; tries++ {
		if _, err := io.ReadFull(rand, b); err != nil {
			return "", fmt.Errorf("draw a number of %d digits: %w", digits, err)
		}
		if b[0] < 250 {
			out = append(out, '0'+b[0]%10)
		} else if tries > 64*digits {
			return "", fmt.Errorf("draw a number of %d digits: the source of randomness is broken", digits)
		}
	}
	return string(out), nil
}
