package listener

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/logtime"
)

const (
	// shipPeriod is the least time between two chunks of a log that grows: what is printed meanwhile goes
	// together. The first goes at once.
	shipPeriod = 50 * time.Millisecond

	// firstChunk is how much of a log is read at once while there is little of it, in bytes.
	firstChunk = 16 << 10
)

// shipment hands in an attempt's log, from the file on this machine, by offset.
type shipment struct {
	a      *attempt
	offset int64 // where admin's copy ends, as far as is known
	limit  int64 // where the log ends, once it is whole
	buf    []byte
	said   trouble
}

func newShipment(a *attempt) *shipment {
	return &shipment{a: a, limit: math.MaxInt64, said: trouble{log: a.log, what: "handing in the log"}}
}

// follow hands in the log while it grows, until done is closed and all of it is there, or ctx ends.
func (s *shipment) follow(ctx context.Context, done <-chan struct{}) {
	for {
		select {
		case <-s.a.entry.Log.Changed():
		case <-done:
			s.rest(ctx)
			return
		case <-ctx.Done():
			return
		}
		s.available(ctx)
		if s.a.over.Load() {
			return
		}
		pause := time.NewTimer(shipPeriod)
		select {
		case <-pause.C:
		case <-done:
		}
		pause.Stop()
	}
}

// rest hands in all that is missing of a log that is whole.
func (s *shipment) rest(ctx context.Context) {
	s.limit, _ = s.a.entry.Log.Size()
	s.available(ctx)
}

// resume asks where admin's copy of a whole log ends, and hands in what stands behind.
func (s *shipment) resume(ctx context.Context) {
	s.limit, _ = s.a.entry.Log.Size()
	s.offset = s.limit
	pause := backoff{last: lastWait}
	for s.limit > 0 && !s.a.over.Load() && !s.send(ctx, nil) {
		if !pause.wait(ctx) {
			return
		}
	}
	s.available(ctx)
}

// available hands in what can be read now. It returns when all of that is there, when admin takes nothing more,
// or when ctx ends.
func (s *shipment) available(ctx context.Context) {
	pause := backoff{last: lastWait}
	for ctx.Err() == nil && !s.a.over.Load() {
		size, whole := s.a.entry.Log.Size()
		if s.offset >= size {
			return
		}
		chunk, err := s.read(size)
		if err != nil {
			s.a.log.Error("output cannot be read from disk; what stands behind is lost", "offset", s.offset, "err", err)
			if whole {
				s.limit = s.offset
			}
			return
		}
		times, until := s.a.entry.Log.Times(s.offset, s.offset+int64(len(chunk)), logtime.MaxTogether)
		if s.send(ctx, chunk[:until-s.offset], times...) {
			pause.reset()
		} else if !s.a.over.Load() {
			pause.wait(ctx)
		}
	}
}

// read reads the next chunk.
func (s *shipment) read(size int64) ([]byte, error) {
	want := int(min(size-s.offset, api.MaxLogChunk))
	if len(s.buf) < want {
		s.buf = make([]byte, max(want, firstChunk))
	}
	n, err := s.a.entry.Log.ReadAt(s.buf[:want], s.offset)
	if n > 0 || err == nil {
		return s.buf[:n], nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// send hands in a chunk, with what is known of when it came, and reports whether admin took it or said where to go on.
func (s *shipment) send(ctx context.Context, chunk []byte, times ...logtime.Record) bool {
	fault.Point("listener.log.sending")
	next, err := s.a.l.opt.Admin.AppendLog(ctx, s.a.ref, s.offset, chunk, times...)
	if ctx.Err() != nil && err != nil {
		return false
	}
	s.a.l.admin.heard(err)
	s.said.heard(err)
	var refused *api.Error
	switch {
	case err == nil:
		fault.Point("listener.log.sent")
		if next < s.offset+int64(len(chunk)) {
			s.buf = nil // admin has answered before it had all: the call may still be reading it
		}
		s.offset = next
		return true
	case errors.As(err, &refused) && refused.Code == api.LogGap:
		s.offset = refused.Offset
		return true
	case final(err):
		s.a.giveUp(err)
	}
	s.buf = nil // a call that failed may still be reading it
	return false
}
