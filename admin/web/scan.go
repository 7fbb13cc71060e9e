package web

import (
	"bufio"
	"io"
)

// searched is how much of a line is kept while it is read, in bytes.
const searched = 64 << 10

// lineScanner reads lines, of long ones only the beginning.
type lineScanner struct{ in *bufio.Reader }

func newLineScanner(r io.Reader) *lineScanner { return &lineScanner{bufio.NewReaderSize(r, searched)} }

// scanned is a line.
type scanned struct {
	text   []byte // its beginning, up to searched bytes; valid until the next line is read
	length int64  // of its whole text, in bytes
	size   int64  // the same with its line end, when it has one
}

// next reads a line. io.EOF comes after the last one.
func (s *lineScanner) next() (scanned, error) {
	part, err := s.in.ReadSlice('\n')
	one := scanned{text: part, size: int64(len(part))}
	if err == bufio.ErrBufferFull {
		one.text = append([]byte(nil), part...)
	}
	for err == bufio.ErrBufferFull {
		part, err = s.in.ReadSlice('\n')
		one.size += int64(len(part))
	}
	one.length = one.size
	switch {
	case err == io.EOF && one.size > 0:
		return one, nil
	case err != nil:
		return one, err
	}
	one.length--
	one.text = one.text[:min(int64(len(one.text)), one.length)]
	return one, nil
}
