package web

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"lightspeed/run"
)

// How often and how much is sent to those who watch a log. What comes faster is left out in the middle: it can be
// loaded, and nobody could have read it.
const (
	feedPause = 250 * time.Millisecond
	feedLines = 300
)

// feeds has one feed for each attempt that somebody watches: its log is read and rendered once, for however many
// watch it. Nothing of that touches the job: the feed reads the file beside it.
type feeds struct {
	source Source
	logs   *logbook
	mu     sync.Mutex
	known  map[run.Ref]*feed
}

func newFeeds(source Source, logs *logbook) *feeds {
	return &feeds{source: source, logs: logs, known: map[run.Ref]*feed{}}
}

// place is how far into a log somebody has come: the line that comes next, and where it begins.
type place struct {
	Line   int64 `json:"line"`
	Offset int64 `json:"offset"`
}

// batch is what a feed sends: lines, each of which replaces what was shown of that line before. Lines between the
// last one that was sent and the first of Lines are left out.
type batch struct {
	Lines []line `json:"lines"`
	Next  place  `json:"next"`
}

// message is an event for browsers, as it goes over the line
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): encoded once, for however many get it.
type message []byte

// Messages that say only that something has happened.
var (
	changedMessage = message("event: changed\ndata: {}\n\n")
	endedMessage   = message("event: ended\ndata: {}\n\n")
)

// feed sends what happens to one attempt to those who watch it.
type feed struct {
	ref      run.Ref
	watchers map[chan message]struct{}
	ready    chan struct{} // closed once it has found the end of its log
	stop     context.CancelFunc
}

// watcherQueue is how many messages may wait for one watcher. One that is slower is cut off, and comes back where
// it was.
const watcherQueue = 16

// watch joins an attempt's feed, once that has found the end of its log: what comes after is sent. The channel is
// closed when the feed has nothing more to say, or when the watcher is too slow. done must be called.
func (f *feeds) watch(ref run.Ref) (messages <-chan message, done func()) {
	ch := make(chan message, watcherQueue)
	one := f.join(ref, ch)
	<-one.ready
	return ch, func() { f.leave(one, ch) }
}

func (f *feeds) join(ref run.Ref, ch chan message) *feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.known[ref]
	if one == nil {
		ctx, stop := context.WithCancel(context.Background())
		one = &feed{ref: ref, watchers: map[chan message]struct{}{}, ready: make(chan struct{}), stop: stop}
		f.known[ref] = one
		go f.run(ctx, one)
	}
	one.watchers[ch] = struct{}{}
	return one
}

func (f *feeds) leave(one *feed, ch chan message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(one.watchers, ch)
	if len(one.watchers) == 0 {
		f.end(one)
	}
}

// end lets a feed end; who comes now gets a new one. The lock is held.
func (f *feeds) end(one *feed) {
	one.stop()
	if f.known[one.ref] == one {
		delete(f.known, one.ref)
	}
}

// run follows one attempt until nobody watches it, or it has ended.
func (f *feeds) run(ctx context.Context, one *feed) {
	defer f.closed(one)
	changed, done := f.source.Changes(one.ref.Run)
	defer done()
	p := pump{feeds: f, feed: one}
	defer p.close()
	for {
		more := p.look(ctx)
		p.begun.Do(func() { close(one.ready) })
		if !more {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-f.source.Stopping():
			return
		}
		select {
		case <-time.After(feedPause):
		case <-ctx.Done():
			return
		}
	}
}

// closed tells all who still watch that this was all.
func (f *feeds) closed(one *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(one)
	for ch := range one.watchers {
		close(ch)
	}
	clear(one.watchers)
}

// send hands a message to all watchers.
func (f *feeds) send(one *feed, m message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range one.watchers {
		select {
		case ch <- m:
		default:
			delete(one.watchers, ch)
			close(ch)
		}
	}
}

// pump is what a feed's goroutine works with.
type pump struct {
	*feeds
	feed  *feed
	begun sync.Once
	log   *openLog
	at    place
	state string // of the run, when it was last looked at
}

func (p *pump) close() {
	p.begun.Do(func() { close(p.feed.ready) })
	if p.log != nil {
		_ = p.log.Close()
	}
}

// look sends what is new, and reports whether more may come. The run is read before its log: of an attempt that has
// ended then, nothing comes after.
func (p *pump) look(ctx context.Context) (more bool) {
	r, err := p.source.Run(ctx, p.feed.ref.Run)
	if err != nil {
		return false
	}
	if err := p.lines(ctx); err != nil {
		return false
	}
	first := p.state == ""
	if state := stateOf(r.Run); state != p.state {
		p.state = state
		if !first {
			p.send(p.feed, changedMessage)
		}
	}
	if p.over(r.Run) {
		p.send(p.feed, endedMessage)
		return false
	}
	return true
}

// over reports whether nothing more comes of the attempt, or of the run that has none yet.
func (p *pump) over(r run.Run) bool {
	n := p.feed.ref.Attempt
	if n == 0 || n > len(r.Attempts) {
		return r.Status.Ended()
	}
	return r.Attempts[n-1].Status != run.Running
}

// stateOf is what a change of which is worth a look: everything but how long the log is.
func stateOf(r run.Run) string {
	r.LogBytes = 0
	r.Attempts = append([]run.Attempt(nil), r.Attempts...)
	for i := range r.Attempts {
		r.Attempts[i].LogBytes = 0
	}
	encoded, _ := json.Marshal(r) // it holds nothing that cannot be encoded
	return string(encoded)
}

// lines sends what the log has grown by. The first look only finds its end.
func (p *pump) lines(ctx context.Context) error {
	if p.feed.ref.Attempt == 0 {
		return nil
	}
	if p.log == nil {
		log, err := p.logs.open(ctx, p.feed.ref)
		if err != nil {
			return err
		}
		p.log = log
		p.at, err = log.end()
		return err
	}
	was := p.log.size
	if err := p.log.refresh(); err != nil || p.log.size == was {
		return err
	}
	b, err := p.log.since(p.at)
	if err != nil {
		return err
	}
	p.at = b.Next
	p.send(p.feed, b.message())
	return nil
}

// message tells of lines. Its id is the place that one who gets it has come to.
func (b batch) message() message {
	encoded, _ := json.Marshal(b) // it holds nothing that cannot be encoded
	return fmt.Appendf(nil, "id: %d-%d\nevent: lines\ndata: %s\n\n", b.Next.Line, b.Next.Offset, encoded)
}

// end is the place of the last line, when that has no end yet, and of the one after it otherwise.
func (l *openLog) end() (place, error) {
	line := l.ends + 1
	offset, err := l.index.offsetOf(l, line, l.size)
	return place{line, offset}, err
}

// since reads what stands after a place: as many lines as are sent at once, the last ones.
func (l *openLog) since(at place) (batch, error) {
	total, err := l.total()
	if err != nil {
		return batch{}, err
	}
	from := max(at.Line, total-feedLines+1)
	w, err := l.window(from, feedLines)
	if err != nil {
		return batch{}, err
	}
	next, err := l.end()
	return batch{Lines: w.Lines, Next: next}, err
}
