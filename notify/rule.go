package notify

import (
	"encoding/json"
	"fmt"

	"lightspeed/run"
)

// When says which ends are told, and so when people are called. A start is told only by Always: nobody knows
// yet how it will end. Whatever the rule, a recovery is told, and a message that is there is brought up to date.
type When string

// The rules.
const (
	Always  When = "always"  // every start and end; for a target that calls: every end but a cancelled one
	Change  When = "change"  // an end that is another than the last one of the same ref, or the first
	Failure When = "failure" // an end that is a failure, and the first pass after one
)

// Check reports a When that is none.
func (w When) Check() error {
	switch w {
	case Always, Change, Failure:
		return nil
	}
	return fmt.Errorf("notify_on: %q is none of %q, %q, %q", string(w), string(Always), string(Change), string(Failure))
}

// maxRefs is how many refs' last results are kept; of one that is forgotten the next result counts as first.
const maxRefs = 2000

// ending is the newest result of a ref. Before is the one before that: asked again about the same run, after
// a kill -9 or because its result changed, the rule answers as it did.
type ending struct {
	Run    string    `json:"run"`
	State  run.State `json:"state"`
	Before run.State `json:"before"`
}

// endings are the last results, by listener and ref.
type endings struct{ kept *records }

// verdict reports whether a state says something about the commit. A run that was cancelled or superseded
// does not.
func verdict(s run.State) bool { return s.Ended() && s != run.Cancelled && s != run.Superseded }

func refKey(n *Notice) string {
	return n.Listener + "\n" + n.Event.Repo + "\n" + n.Event.Ref
}

// before returns the result of the last run of n's ref that is not n's run.
func (e endings) before(n *Notice) run.State {
	var last ending
	if text, ok := e.kept.load(refKey(n)); ok {
		_ = json.Unmarshal(text, &last) // unreadable: as if there were none
	}
	if last.Run == n.Run {
		return last.Before
	}
	return last.State
}

// note keeps n's result, when it is one. It comes after n itself is on disk: before that, a kill -9 would make
// the repeated n look like no change.
func (e endings) note(n *Notice, before run.State) error {
	if !verdict(n.State) {
		return nil
	}
	text, err := json.Marshal(ending{n.Run, n.State, before})
	if err != nil {
		return err
	}
	return e.kept.save(refKey(n), text)
}

// decide applies the rule to a notice, given the result before it (empty: none is known).
func (w When) decide(n *Notice, before run.State) Telling {
	t := Telling{Notice: *n, Due: w == Always}
	if !verdict(n.State) {
		return t
	}
	failed := n.State != run.Passed
	t.Recovered = !failed && before != "" && before != run.Passed
	switch w {
	case Change:
		t.Due = n.State != before
	case Failure:
		t.Due = failed || t.Recovered
	}
	t.Call = t.Due && !n.Quiet
	return t
}
