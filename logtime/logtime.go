// Package logtime keeps when the parts of a log came, and to which step of the run they belong: in a file beside the
// log, of records that have one size and stand in the order of their offsets.
package logtime

import (
	"encoding/binary"
	"time"
)

// Record says of the bytes of a log from Offset on, up to the next record's, when they began to come.
type Record struct {
	Offset int64
	At     time.Time // by the clock of the machine that ran it, to the millisecond, UTC
	Step   int       // the step that had printed them, from 1; 0: none
}

// size is how long a record is in its file, in bytes: offset and milliseconds in 8 each, step in 4.
const size = 20

func (r Record) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.Offset))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, uint32(r.Step))
}

func decode(b []byte) Record {
	return Record{
		Offset: int64(binary.BigEndian.Uint64(b)),
		At:     time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))).UTC(),
		Step:   int(binary.BigEndian.Uint32(b[16:])),
	}
}

// says reports whether a record says of bytes what another does.
func (r Record) says(other Record) bool { return r.At.Equal(other.At) && r.Step == other.Step }

// written reports whether a record is one: what a power cut leaves of a file may be zeros.
func (r Record) written() bool { return r.At.UnixMilli() > 0 && r.Offset >= 0 }

// Cursor finds the records of one offset after another, which do not go back, a page at a time.
type Cursor struct {
	// Load returns what is known of the bytes from from up to until, as File.Between does; until is past from.
	Load func(from int64) (page []Record, until int64, err error)

	page  []Record
	until int64
}

// At returns the record of the byte at offset, and whether there is one.
func (c *Cursor) At(offset int64) (Record, bool, error) {
	if offset >= c.until {
		page, until, err := c.Load(offset)
		if err != nil {
			return Record{}, false, err
		}
		c.page, c.until = page, until
	}
	for len(c.page) > 1 && c.page[1].Offset <= offset {
		c.page = c.page[1:]
	}
	if len(c.page) == 0 || c.page[0].Offset > offset {
		return Record{}, false, nil
	}
	return c.page[0], true, nil
}
