// Package notify tells people what became of a run. A Dispatcher keeps what is to be told on disk, one queue
// a target, and hands it to the targets one by one until they have it: through restarts, and through hours
// without a network. Nothing here ever holds up or fails a run.
package notify

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"lightspeed/event"
	"lightspeed/run"
)

// Notice is what is told of one run: how it stands when an attempt starts (State is run.Running), or how it
// ended. Texts from outside are data: targets escape them.
type Notice struct {
	Listener string    `json:"listener"`
	Run      string    `json:"run"`
	Attempt  int       `json:"attempt"` // from 1
	Cause    run.Cause `json:"cause"`
	RetryOf  string    `json:"retry_of,omitempty"`
	Host     string    `json:"host,omitempty"` // the machine that runs it
	Event    Head      `json:"event"`

	State    run.State `json:"state"`
	Reason   string    `json:"reason,omitempty"` // plain words: why it ended so
	ExitCode *int      `json:"exit_code,omitempty"`
	Step     string    `json:"step,omitempty"` // name of the step that did not succeed

	QueuedAt   time.Time `json:"queued_at"` // of the run: says which of two runs is the newer one
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`

	Page string `json:"page,omitempty"` // http(s) address of the run's page, where one is known
	Log  Tail   `json:"log"`

	Quiet bool `json:"quiet,omitempty"` // nobody is called: another listener of that name has called them

	// Memos are what targets noted of this run on another machine (Result.Memo, by Result.Target), for a run
	// whose own listener is lost. What was noted here comes first.
	Memos map[string]string `json:"memos,omitempty"`
}

// Head is the part of an event.Event that is told.
type Head struct {
	Name    string `json:"name"`
	Action  string `json:"action,omitempty"`
	Repo    string `json:"repo"`
	Ref     string `json:"ref,omitempty"`
	Branch  string `json:"branch,omitempty"`
	Base    string `json:"base,omitempty"`
	Tag     string `json:"tag,omitempty"`
	SHA     string `json:"sha,omitempty"` // the commit that is built, never a tag object
	PR      int    `json:"pr,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	Message string `json:"message,omitempty"`
	Author  string `json:"author,omitempty"`
	Pusher  string `json:"pusher,omitempty"`
	URL     string `json:"url,omitempty"`
}

// HeadOf takes from an event what is told of it.
func HeadOf(e event.Event) Head {
	return Head{
		Name: e.Name, Action: e.Action, Repo: e.Repo, Ref: e.Ref, Branch: e.Branch, Base: e.Base, Tag: e.Tag, SHA: e.SHA,
		PR: e.PR, Deleted: e.Deleted, Message: e.Message, Author: e.Author, Pusher: e.Pusher, URL: e.URL,
	}
}

// Limits of one notice's texts, in bytes: what is longer is cut. With MaxTail they bound a pending file.
const (
	maxText = 4 << 10 // message, reason, addresses
	maxName = 1 << 10 // everything else
	maxMemo = 1 << 10 // of one target
)

// check says what keeps n from being told.
func (n *Notice) check() error {
	switch {
	case n.Run == "":
		return errors.New("a notice without a run")
	case n.Listener == "":
		return fmt.Errorf("notice of run %s: no listener", n.Run)
	case n.Attempt < 1:
		return fmt.Errorf("notice of run %s: attempt %d", n.Run, n.Attempt)
	case n.State != run.Running && !n.State.Ended() || n.State == run.NotStarted:
		return fmt.Errorf("notice of run %s: state %q is neither a start nor an end", n.Run, n.State)
	}
	return nil
}

// bounded cuts n's texts to their limits.
func (n Notice) bounded() Notice {
	e := &n.Event
	for _, text := range []*string{&n.Reason, &n.Page, &e.Message, &e.URL} {
		*text = cut(*text, maxText)
	}
	for _, text := range []*string{
		&n.Listener, &n.Run, &n.RetryOf, &n.Host, &n.Step, &e.Name, &e.Action, &e.Repo, &e.Ref, &e.Branch, &e.Base, &e.Tag,
		&e.SHA, &e.Author, &e.Pusher,
	} {
		*text = cut(*text, maxName)
	}
	if over := len(n.Log.Text) - MaxTail; over > 0 {
		n.Log = Tail{Text: n.Log.Text[over:], Cut: true}
	}
	n.Memos = maps.Clone(n.Memos)
	maps.DeleteFunc(n.Memos, func(target, memo string) bool { return len(memo) > maxMemo || !targetName.MatchString(target) })
	return n
}

// cut shortens text to at most max bytes, at the end of a character.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return strings.Clone(text[:max])
}

// Ended reports whether the notice tells of an end.
func (n *Notice) Ended() bool { return n.State.Ended() }

// Took is how long the attempt ran; 0 when it did not, or runs still.
func (n *Notice) Took() time.Duration {
	if n.StartedAt.IsZero() || n.FinishedAt.Before(n.StartedAt) {
		return 0
	}
	return n.FinishedAt.Sub(n.StartedAt)
}

// rank orders the notices of one key: the higher is the newer.
type rank struct {
	Queued  time.Time `json:"queued"`
	Attempt int       `json:"attempt"`
	Ended   bool      `json:"ended"`
}

func (n *Notice) rank() rank { return rank{n.QueuedAt.UTC(), n.Attempt, n.Ended()} }

// below reports whether r is older than other.
func (r rank) below(other rank) bool {
	if !r.Queued.Equal(other.Queued) {
		return r.Queued.Before(other.Queued)
	}
	if r.Attempt != other.Attempt {
		return r.Attempt < other.Attempt
	}
	return !r.Ended && other.Ended
}
