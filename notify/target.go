package notify

import (
	"context"
	"time"

	"lightspeed/run"
)

// Target is somebody who is told.
type Target interface {
	// Name is shown to people, and names the target's folder: "discord", "commit-status".
	Name() string

	// Accept says under which key n waits: of two notices with one key only the newer is told. False: n is
	// nothing for this target. It may take out of n what Send has no use for.
	Accept(n *Notice) (key string, ok bool)

	// Send tells. An error that is no *Error is one that may pass. Send may be called again for what it has
	// told already, after a kill -9: the memo says what it had noted by then.
	Send(ctx context.Context, t Telling, memo *Memo) error

	// Try sends a sample and says in plain words what came back.
	Try(ctx context.Context, sample Notice) (said string, err error)
}

// Telling is a notice, and what the rule about telling says of it.
type Telling struct {
	Notice    Notice `json:"notice"`
	Due       bool   `json:"due"`       // false: only an earlier message about the run is brought up to date
	Call      bool   `json:"call"`      // those who are to be called are called
	Recovered bool   `json:"recovered"` // passed, and the last one on this ref had not

	Audience string `json:"audience,omitempty"` // whom it is for, as long as the process lives that kept it
}

// Error is why something could not be told.
type Error struct {
	Message string        // one line, without addresses that are secrets
	Hint    string        // what to do about it; may be empty
	Final   bool          // the same again would fail the same
	After   time.Duration // the far end asked to be left alone for so long; 0: it did not
	Busy    bool          // nothing is wrong: a limit was reached
	Reached bool          // the far end answered, so it may be this notice that it cannot take now
}

func (e *Error) Error() string { return e.Message }

// Status says how far a notice has come.
type Status string

// The statuses of a Result.
const (
	Told    Status = "told"
	Delayed Status = "delayed" // has waited for more than a minute; goes on
	Failed  Status = "failed"  // will not be told
)

// Result says what became of telling one run to one target. It is told when it differs from what was told
// last of that run and target, but for a plain success with nothing noted.
type Result struct {
	Target  string    `json:"target"`
	Run     string    `json:"run"`
	Attempt int       `json:"attempt"`
	State   run.State `json:"state"` // the run's, as it was to be told
	Status  Status    `json:"status"`
	Error   string    `json:"error,omitempty"`
	Hint    string    `json:"hint,omitempty"`
	Memo    string    `json:"memo,omitempty"` // for Notice.Memos, should another listener have to go on; no secret
	At      time.Time `json:"at"`
}

// Memo is what a target notes of a key, so that it is known after a kill -9.
type Memo struct {
	text string
	save func(string) error
}

// NewMemo makes a memo that starts as text and is kept by save, for a target's tests.
func NewMemo(text string, save func(string) error) *Memo { return &Memo{text: text, save: save} }

// Get returns what was noted; empty when nothing was.
func (m *Memo) Get() string { return m.text }

// Set notes text. It is in memory also when an error says that it could not be written down.
func (m *Memo) Set(text string) error {
	m.text = text
	return m.save(text)
}
