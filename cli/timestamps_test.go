package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lightspeed/logtime"
)

// TestStamper: a stamp stands before each line, however the output comes, and none in a line.
func TestStamper(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	const output = "known to nobody\none\nstill one\n\ntwo\nno end"
	times := []logtime.Record{{Offset: 16, At: noon}, {Offset: 30, At: noon.Add(1500 * time.Millisecond)}}
	const want = "-                        known to nobody\n" +
		"2026-01-31T12:00:00.000Z one\n2026-01-31T12:00:00.000Z still one\n" +
		"2026-01-31T12:00:01.500Z \n2026-01-31T12:00:01.500Z two\n2026-01-31T12:00:01.500Z no end"
	for size := 1; size <= len(output); size++ {
		var out strings.Builder
		away := true
		s := &stamper{to: &out, times: logtime.Cursor{Load: func(from int64) ([]logtime.Record, int64, error) {
			if away = !away; away { // every other call finds nobody
				return nil, 0, errors.New("away")
			}
			return times, from + 10, nil
		}}}
		for rest := output; rest != ""; {
			n, _ := s.Write([]byte(rest[:min(size, len(rest))]))
			rest = rest[n:]
		}
		if out.String() != want {
			t.Fatalf("in pieces of %d bytes:\n%s\nwant\n%s", size, out.String(), want)
		}
	}
}
