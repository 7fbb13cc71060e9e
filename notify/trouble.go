package notify

import (
	"log/slog"
	"time"
)

// trouble logs when telling begins to fail, when it fails for another reason, and when it works again: not
// every try between.
type trouble struct {
	log   *slog.Logger
	since time.Time // zero: there is none
	kind  string
	final string // the last refusal that was logged
}

func (t *trouble) begins(problem *Error, waiting int) {
	if t.kind == problem.Message {
		return
	}
	if t.since.IsZero() {
		t.since = time.Now()
	}
	t.kind = problem.Message
	t.log.Warn("cannot be told now; it is tried again", "error", problem.Message, "hint", problem.Hint, "waiting", waiting)
}

// refused logs a notice that will not be told; the same reason again only after something could be told.
func (t *trouble) refused(n Notice, problem *Error) {
	if t.final == problem.Message {
		return
	}
	t.final = problem.Message
	t.log.Error("a run cannot be told of", "run", n.Run, "state", n.State, "error", problem.Message, "hint", problem.Hint)
}

func (t *trouble) over() {
	if !t.since.IsZero() {
		t.log.Info("can be told again", "after", time.Since(t.since).Round(time.Millisecond).String())
	}
	t.since, t.kind, t.final = time.Time{}, "", ""
}
