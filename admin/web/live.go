package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lightspeed/run"
)

// heartbeat is how often something is sent on a stream on which nothing happens, so that one whose reader has gone
// is noticed.
const heartbeat = 15 * time.Second

// live is the stream of events for one open page: that something has changed, and, with ?run=, the lines of the
// run's log from a place on.
func (v *visit) live() error {
	out := &stream{w: v.w, out: http.NewResponseController(v.w)}
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.Header().Set("X-Accel-Buffering", "no")
	v.w.WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	if id := v.r.FormValue("run"); id != "" {
		return v.liveRun(ctx, out, run.Ref{Run: id, Attempt: int(v.number("attempt"))})
	}
	return v.liveAll(ctx, out)
}

// changePause is how long changes are gathered before a page is told of them.
const changePause = 300 * time.Millisecond

// liveAll tells of changes of any run.
func (v *visit) liveAll(ctx context.Context, out *stream) error {
	changed, done := v.source.Changes("")
	defer done()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for err := out.beat(); err == nil; {
		select {
		case <-changed:
			err = out.send(changedMessage)
			pause(ctx, changePause)
		case <-beat.C:
			err = out.beat()
		case <-ctx.Done():
			return nil
		case <-v.source.Stopping():
			return nil
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// liveRun tells of one run: first what the log has from the place on that the page has come to, then what the feed
// sends. Both may say the same lines.
func (v *visit) liveRun(ctx context.Context, out *stream, ref run.Ref) error {
	messages, done := v.feeds.watch(ref)
	defer done()
	if err := v.catchUp(ctx, out, ref); err != nil {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			err = out.send(m)
		case <-beat.C:
			err = out.beat()
		case <-ctx.Done():
			return nil
		case <-v.source.Stopping():
			return nil
		}
		if err != nil {
			return nil
		}
	}
}

func (v *visit) catchUp(ctx context.Context, out *stream, ref run.Ref) error {
	from := v.from()
	if ref.Attempt == 0 || from.Line < 1 {
		return out.beat()
	}
	log, err := v.logs.open(ctx, ref)
	if err != nil {
		return err
	}
	defer log.Close()
	b, err := log.since(from)
	if err != nil {
		return err
	}
	return out.send(b.message())
}

// from is the place that the browser has come to: when it connects again it says so itself.
func (v *visit) from() place {
	var p place
	if _, err := fmt.Sscanf(v.r.Header.Get("Last-Event-ID"), "%d-%d", &p.Line, &p.Offset); err == nil {
		return p
	}
	return place{v.number("line"), v.number("offset")}
}

// number reads a number of the query; what is none is 0.
func (v *visit) number(key string) int64 {
	n, err := strconv.ParseInt(v.r.FormValue(key), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// stream sends events to a browser.
type stream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

func (s *stream) send(m message) error {
	if _, err := s.w.Write(m); err != nil {
		return err
	}
	return s.out.Flush()
}

// beat sends a comment, which browsers pass over.
func (s *stream) beat() error {
	return s.send(message(":\n\n"))
}
