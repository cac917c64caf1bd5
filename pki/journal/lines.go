package journal

import (
	"bufio"
	"fmt"
	"io"
)

// lines reads whole lines of bounded length.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 64<<10)} }

// next gives a line without its newline; io.ErrUnexpectedEOF where the last
// one is incomplete.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) > 0 && len(line) <= maxLine:
		return nil, io.ErrUnexpectedEOF
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err == bufio.ErrBufferFull || len(line) > maxLine:
		return nil, fmt.Errorf("%w: a line has more than %d octets", ErrBroken, maxLine)
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}
