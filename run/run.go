// Package run says what is done about an event: a Run, its Attempts, and the states that they may go through.
package run

import (
	"fmt"
	"time"
)

// State is where a run or an attempt stands.
type State string

// The states. A run starts as Queued; an attempt starts as Running.
const (
	Queued     State = "queued"      // waits for a listener
	Running    State = "running"     // an attempt has been handed to a listener
	Passed     State = "passed"      // every command exited with 0
	Failed     State = "failed"      // a command exited with another status, or by a signal
	Errored    State = "errored"     // could not be started; the reason says why
	TimedOut   State = "timed_out"   // ended because its timeout was over
	Cancelled  State = "cancelled"   // ended by someone, or by a rule that the reason names
	Superseded State = "superseded"  // a newer push of the same ref took its place before it started
	Lost       State = "lost"        // the listener that ran it is gone; what became of it is not known
	NotStarted State = "not_started" // of an attempt only: handed out, but never begun
	Skipped    State = "skipped"     // of a step only: it was not its turn when the run ended
)

// Cause is why a run exists.
type Cause string

// The causes.
const (
	ByDelivery Cause = "delivery" // a delivery matched
	ByReplay   Cause = "replay"   // someone replayed a stored delivery
	ByRetry    Cause = "retry"    // someone asked for a run once more
	ByPoll     Cause = "poll"     // its listener found the push by looking at the repository
	ByTrigger  Cause = "trigger"  // someone started a listener by hand
)

// Run is one listener's work on one delivery, as admin stores it and as the API shows it. Pointers are null
// where there is no value. Times are UTC.
type Run struct {
	ID       string  `json:"id"`
	Listener string  `json:"listener"`
	Delivery string  `json:"delivery"`
	Cause    Cause   `json:"cause"`
	RetryOf  *string `json:"retry_of"`

	Event  string  `json:"event"`
	Repo   string  `json:"repo"`
	Ref    *string `json:"ref"`
	Branch *string `json:"branch"`
	Tag    *string `json:"tag"`
	SHA    *string `json:"sha"`
	PR     *int    `json:"pr"`

	Status   State   `json:"status"`
	Attempt  int     `json:"attempt"` // number of the newest attempt, 0 before the first
	Reason   *string `json:"reason"`  // plain words: why it ended, or why it waits again
	ExitCode *int    `json:"exit_code"`

	QueuedAt   time.Time  `json:"queued_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`

	LogBytes int64 `json:"log_bytes"` // of the newest attempt
	LogCut   bool  `json:"log_cut"`   // max_log was reached: the middle is missing

	CancelRequestedAt *time.Time `json:"cancel_requested_at"`
	// SlotHeldUntil is set while a lost run still counts against its listener's concurrency, because its
	// processes may still run on the last attempt's host.
	SlotHeldUntil *time.Time `json:"slot_held_until"`
	Attempts      []Attempt  `json:"attempts"`
	Notices       []Notice   `json:"notices"` // how telling people went, by target
}

// About is what a run is about, in a word: a branch, a tag, a pull request; empty where there is nothing of these.
func (r Run) About() string {
	switch {
	case r.PR != nil:
		return fmt.Sprintf("#%d", *r.PR)
	case r.Tag != nil:
		return "tag " + *r.Tag
	case r.Branch != nil:
		return *r.Branch
	case r.Ref != nil:
		return *r.Ref
	}
	return ""
}

// Attempt is one handing-out of a run to one listener. Its number is the fencing token: what an older
// attempt reports is refused.
type Attempt struct {
	Attempt    int        `json:"attempt"` // from 1
	Status     State      `json:"status"`
	Reason     *string    `json:"reason"`
	ExitCode   *int       `json:"exit_code"` // null when the process was ended by a signal or never started
	Host       string     `json:"host"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	LogBytes   int64      `json:"log_bytes"`
	LogCut     bool       `json:"log_cut"`
	Steps      []Step     `json:"steps"` // in order; empty when its listener has not told them
	// LogPrunedAt is when the log was deleted because admin keeps only so much: LogBytes still says how long it was.
	LogPrunedAt *time.Time `json:"log_pruned_at"`
	// ArtifactsPrunedAt is when what the attempt kept was deleted, for the same reason.
	ArtifactsPrunedAt *time.Time `json:"artifacts_pruned_at"`
}

// Step is one command of an attempt. It is Queued until its turn comes, and Skipped when that never does.
type Step struct {
	Step       int        `json:"step"` // from 1
	Name       string     `json:"name"` // as the config has it, or "step 1"
	Status     State      `json:"status"`
	ExitCode   *int       `json:"exit_code"` // null when it was ended by a signal or has not ended
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	LogOffset  *int64     `json:"log_offset"` // where its output begins in the attempt's log, in bytes …
	LogEnd     *int64     `json:"log_end"`    // … and ends; null while it may print more
}

// MaxSteps is how many steps an attempt can have.
const MaxSteps = 200

// MaxStepName is the longest name of a step, in bytes.
const MaxStepName = 100

// CutOff is what becomes of steps when nothing more is heard of their attempt: one that ran is Lost, one that
// waited is Skipped. The steps given stay as they are.
func CutOff(steps []Step) []Step {
	left := make([]Step, len(steps))
	for i, s := range steps {
		switch s.Status {
		case Running:
			s.Status = Lost
		case Queued:
			s.Status = Skipped
		}
		left[i] = s
	}
	return left
}

// Ended reports whether nothing more happens in this state, but for a late result that replaces Lost.
func (s State) Ended() bool { return s != Queued && s != Running }

// steps are the legal steps of a run, as docs/architecture.md draws them. Lost may still become what the
// run really was, when its listener comes back and no later attempt has started.
var steps = map[State][]State{
	Queued:  {Running, Superseded, Cancelled},
	Running: {Queued, Passed, Failed, Errored, TimedOut, Cancelled, Lost},
	Lost:    {Passed, Failed, Errored, TimedOut, Cancelled},
}

// May reports whether a run may go from s to next.
func (s State) May(next State) bool {
	for _, to := range steps[s] {
		if to == next {
			return true
		}
	}
	return false
}

// Ref names one attempt of one run.
type Ref struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
}
