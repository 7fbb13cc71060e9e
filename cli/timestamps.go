package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/run"
)

// stampLayout is a moment before a line: in UTC, to the millisecond, always as wide.
const stampLayout = "2006-01-02T15:04:05.000Z"

// stamper puts before each line of an attempt's output when that came. A line whose time is not known gets a dash.
type stamper struct {
	to      io.Writer
	offset  int64 // of what is written next
	midLine bool
	times   logtime.Cursor
}

// newStamper makes one for the output of an attempt from an offset on. Times are asked for as the output is written.
func newStamper(ctx context.Context, admin *api.Client, ref run.Ref, offset int64, to io.Writer) *stamper {
	load := func(from int64) ([]logtime.Record, int64, error) { return loadTimes(ctx, admin, ref, from) }
	return &stamper{to: to, offset: offset, times: logtime.Cursor{Load: load}}
}

// loadTimes asks admin for a page of times. One that knows no such question keeps none.
func loadTimes(ctx context.Context, admin *api.Client, ref run.Ref, from int64) ([]logtime.Record, int64, error) {
	page, err := admin.LogTimes(ctx, ref, from)
	if api.IsCode(err, api.NotFound) {
		return nil, math.MaxInt64, nil
	}
	if err != nil {
		return nil, 0, err
	}
	list := make([]logtime.Record, len(page.Items))
	for i, one := range page.Items {
		list[i] = logtime.Record{Offset: one.Offset, At: one.At}
	}
	until := page.LogBytes
	if page.Next != nil {
		if until, err = strconv.ParseInt(*page.Next, 10, 64); err != nil {
			return nil, 0, fmt.Errorf("when the output came: next is %.40q", *page.Next)
		}
	}
	return list, until, nil
}

// Write says how much of p has been written, also when it fails: what is left can be written again.
func (s *stamper) Write(p []byte) (int, error) {
	written := 0
	for line := range bytes.Lines(p) {
		if err := s.begin(); err != nil {
			return written, err
		}
		n, err := s.to.Write(line)
		written, s.offset = written+n, s.offset+int64(n)
		if err != nil {
			return written, err
		}
		s.midLine = line[len(line)-1] != '\n'
	}
	return written, nil
}

// begin writes the moment at which a line came, where one begins.
func (s *stamper) begin() error {
	if s.midLine {
		return nil
	}
	came, known, err := s.times.At(s.offset)
	if err != nil {
		return err
	}
	stamp := "-"
	if known {
		stamp = came.At.UTC().Format(stampLayout)
	}
	if _, err := fmt.Fprintf(s.to, "%-*s ", len(stampLayout), stamp); err != nil {
		return err
	}
	s.midLine = true
	return nil
}
