package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lightspeed/run"
)

const (
	patience  = time.Minute        // after so long a notice that waits is reported as delayed
	turnTries = 5                  // so often the far end may answer one notice with an error that may pass, before others go first
	giveUp    = 7 * 24 * time.Hour // after so long a notice to which the far end answers with errors is dropped
)

// sender tells the targets of one name: that of the newest audience, and those of older ones whose runs go on.
type sender struct {
	name   string
	queue  *queue[Telling]
	kept   *records
	log    *slog.Logger
	result func(Result)

	mu      sync.Mutex
	targets []joined // the newest last; at least one

	// Used by the target's own goroutine only.
	trouble  trouble
	failures int // in a row
}

// joined is a target, and the audience that it belongs to.
type joined struct {
	audience string
	target   Target
}

// maxJoined bounds how many targets of one name are known at once. What waits for one that is not is told to the newest.
const maxJoined = 100

func (s *sender) join(audience string, t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = append(s.targets, joined{audience, t})
	if len(s.targets) > maxJoined {
		s.targets = slices.Delete(s.targets, 0, 1)
	}
}

// of returns an audience's target; the newest one when that audience is not known, as after a restart.
func (s *sender) of(audience string) Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.targets {
		if j.audience == audience {
			return j.target
		}
	}
	return s.targets[len(s.targets)-1].target
}

func rankTelling(t *Telling) rank { return t.Notice.rank() }

// worthTelling: a start that is not told is made up for by its end.
func worthTelling(t *Telling) int {
	switch {
	case !t.Notice.Ended():
		return 0
	case t.Notice.State == run.Passed && !t.Recovered:
		return 1
	}
	return 2
}

// kept is what is known of a key beyond the notice that waits.
type kept struct {
	Memo     string `json:"memo,omitempty"`
	Told     *rank  `json:"told,omitempty"`     // of the newest notice that was told
	Reported string `json:"reported,omitempty"` // what was reported last
}

func (s *sender) load(key string) (k kept) {
	if text, ok := s.kept.load(key); ok {
		_ = json.Unmarshal(text, &k) // unreadable: as if nothing were known
	}
	return k
}

func (s *sender) save(key string, k kept) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := s.kept.save(key, text); err != nil {
		s.log.Error("what was told cannot be written down: after a restart it may be told twice", "error", err)
		return err
	}
	return nil
}

// put keeps a notice for an audience until it is told.
func (s *sender) put(n Notice, before run.State, r Route, audience string) {
	key, ok := r.Target.Accept(&n)
	if !ok {
		return
	}
	k := s.load(key)
	if k.Told != nil && n.rank().below(*k.Told) {
		return // an older state than the one that they know
	}
	t := r.When.decide(&n, before)
	t.Audience = audience
	if !t.Due && k.Memo == "" && n.Memos[s.name] == "" && !s.queue.holds(key) {
		return // nothing was told that could be brought up to date
	}
	dropped, err := s.queue.put(key, t)
	if err != nil {
		s.log.Error("a notice cannot be written down: it is lost if it is not told before the process ends",
			"run", n.Run, "error", err)
	}
	if dropped != nil {
		s.dropped(dropped.Value.Notice)
	}
}

func (s *sender) dropped(n Notice) {
	s.log.Warn("too many notices wait: the oldest that matters least is dropped", "run", n.Run, "state", n.State)
	if n.Ended() {
		s.tellResult(n, Failed, &Error{Message: "too many notices were waiting", Final: true}, "")
	}
}

// send tells what was handed out, and says how long the next must wait.
func (s *sender) send(ctx context.Context, it item[Telling]) time.Duration {
	k := s.load(it.Key)
	if k.Memo == "" {
		k.Memo = it.Value.Notice.Memos[s.name]
	}
	memo := NewMemo(k.Memo, func(text string) error {
		k.Memo = text
		return s.save(it.Key, k)
	})
	err := s.of(it.Value.Audience).Send(ctx, it.Value, memo)
	k.Memo = memo.Get()
	if err == nil {
		s.told(it, k)
		return 0
	}
	problem := asError(err)
	if old := time.Since(it.Put) > giveUp; old && problem.Reached && !problem.Busy && !problem.Final {
		problem = &Error{Message: fmt.Sprintf("given up after %d days: %s", giveUp/(24*time.Hour), problem.Message), Final: true}
	}
	if problem.Final {
		s.refused(it, k, problem)
		return 0
	}
	if ctx.Err() != nil {
		return firstWait // cut short by the stop
	}
	return s.later(it, k, problem)
}

func asError(err error) *Error {
	var problem *Error
	if errors.As(err, &problem) {
		return problem
	}
	return &Error{Message: err.Error()}
}

func (s *sender) told(it item[Telling], k kept) {
	s.failures = 0
	s.trouble.over()
	n := it.Value.Notice
	told := n.rank()
	k.Told = &told
	s.settle(it, k, n, Told, nil)
}

func (s *sender) refused(it item[Telling], k kept, problem *Error) {
	s.failures = 0
	n := it.Value.Notice
	s.trouble.refused(n, problem)
	s.settle(it, k, n, Failed, problem)
}

// settle notes and reports, and only then takes the notice away: whatever a kill -9 cuts off is done again.
func (s *sender) settle(it item[Telling], k kept, n Notice, status Status, problem *Error) {
	k.Reported = s.reportOnce(k, n, status, problem)
	_ = s.save(it.Key, k) // it was logged
	if err := s.queue.done(it); err != nil {
		s.log.Error("a notice that was told cannot be removed: after a restart it is told again", "run", n.Run, "error", err)
	}
}

// later says when to try again, and tells who waits for too long.
func (s *sender) later(it item[Telling], k kept, problem *Error) time.Duration {
	s.failures++
	s.queue.failed(it, problem.Reached && !problem.Busy && (it.Tries+1)%turnTries == 0)
	wait := backoff(s.failures, problem.After)
	if problem.Busy {
		s.log.Debug("a limit is reached", "error", problem.Message, "wait", wait.String())
		return wait
	}
	s.trouble.begins(problem, s.queue.len())
	if time.Since(it.Put) >= patience {
		if reported := s.reportOnce(k, it.Value.Notice, Delayed, problem); reported != k.Reported {
			k.Reported = reported
			_ = s.save(it.Key, k)
		}
	}
	return wait
}

// reportOnce reports what is news, and returns what is then known to have been reported.
func (s *sender) reportOnce(k kept, n Notice, status Status, problem *Error) string {
	said := k.Memo
	if problem != nil {
		said = problem.Message
	}
	ofRun := n.Run + " " // runs of one commit share what is kept
	news := ofRun + string(status) + " " + said
	switch {
	case news == k.Reported, news == ofRun+string(Told)+" " && !strings.HasPrefix(k.Reported, ofRun):
		return k.Reported
	case status == Delayed && strings.HasPrefix(k.Reported, ofRun+string(Delayed)):
		return k.Reported // why it waits may change all the time
	}
	s.tellResult(n, status, problem, k.Memo)
	return news
}

func (s *sender) tellResult(n Notice, status Status, problem *Error, memo string) {
	r := Result{
		Target: s.name, Run: n.Run, Attempt: n.Attempt, State: n.State, Status: status, Memo: memo, At: time.Now().UTC(),
	}
	if problem != nil {
		r.Error, r.Hint = problem.Message, problem.Hint
	}
	s.result(r)
}
