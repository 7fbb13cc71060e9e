package notify

import (
	"fmt"
	"strings"
	"testing"

	"lightspeed/run"
)

// One line a rule: what becomes of each end of a ref's runs. "told" is a message, "called" one that calls.
func TestRules(t *testing.T) {
	results := []run.State{
		run.Passed, run.Passed, run.Failed, run.Failed, run.Cancelled, run.TimedOut, run.Passed, run.Passed, run.Lost, run.Superseded, run.Passed,
	}
	for when, want := range map[When]string{
		Always:  "called called called called told called recovered called called told recovered",
		Change:  "called - called - - called recovered - called - recovered",
		Failure: "- - called called - called recovered - called - recovered",
	} {
		target := &fake{}
		d := dispatcher(t, Options{Routes: []Route{{target, when}}})
		var got []string
		for i, state := range results {
			n := notice(fmt.Sprintf("r%02d", i), state)
			d.Audience().Tell(n)
			got = append(got, verdictOf(t, d, n.Run))
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", when, got, want)
		}
	}
}

// verdictOf says what waits for a run.
func verdictOf(t *testing.T, d *Dispatcher, id string) string {
	t.Helper()
	q := d.senders[0].queue
	at := q.find(id)
	if at < 0 {
		return "-"
	}
	tell, err := q.read(q.waiting[at])
	switch {
	case err != nil:
		t.Fatal(err)
	case tell.Recovered && tell.Call:
		return "recovered"
	case tell.Call:
		return "called"
	case tell.Due:
		return "told"
	}
	return "updated"
}

func TestRulesLookAtOneRefAtATime(t *testing.T) {
	d := dispatcher(t, Options{Routes: []Route{{&fake{}, Change}}})
	tell := func(id, ref string, state run.State) string {
		n := notice(id, state)
		n.Event.Ref = ref
		d.Audience().Tell(n)
		return verdictOf(t, d, id)
	}
	for i, step := range []struct {
		ref   string
		state run.State
		want  string
	}{
		{"refs/heads/main", run.Passed, "called"},
		{"refs/heads/dev", run.Passed, "called"}, // the first of its ref
		{"refs/heads/main", run.Failed, "called"},
		{"refs/heads/dev", run.Passed, "-"},
		{"refs/heads/main", run.Passed, "recovered"},
	} {
		if got := tell(fmt.Sprint("r", i), step.ref, step.state); got != step.want {
			t.Errorf("step %d: got %s, want %s", i, got, step.want)
		}
	}
}

// After kill -9 a listener tells the ends that it held once more: that must not look like "the same result again".
func TestTheSameEndToldAgainIsDecidedAsBefore(t *testing.T) {
	for _, when := range []When{Change, Failure} {
		dir := t.TempDir()
		open := func() *Dispatcher {
			return dispatcher(t, Options{Dir: dir, Routes: []Route{{&fake{}, when}}})
		}
		open().Audience().Tell(notice("r1", run.Failed))
		if got := verdictOf(t, open(), "r1"); got != "called" {
			t.Fatalf("%s: got %s", when, got)
		}
		d := open()
		d.Audience().Tell(notice("r1", run.Failed))
		if got := verdictOf(t, d, "r1"); got != "called" {
			t.Errorf("%s: told again it is %s", when, got)
		}
		d.Audience().Tell(notice("r2", run.Passed))
		d = open()
		d.Audience().Tell(notice("r2", run.Passed))
		if got := verdictOf(t, d, "r2"); got != "recovered" {
			t.Errorf("%s: the recovery told again is %s", when, got)
		}
	}
}

func TestStartsAreToldOnlyByAlways(t *testing.T) {
	for when, want := range map[When]string{Always: "told", Change: "-", Failure: "-"} {
		d := dispatcher(t, Options{Routes: []Route{{&fake{}, when}}})
		d.Audience().Tell(notice("r1", run.Running))
		if got := verdictOf(t, d, "r1"); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
}

// A message that is there is brought up to date, whatever the rule says of the new state.
func TestWhatWasToldIsKeptTrue(t *testing.T) {
	target := &fake{}
	d := dispatcher(t, Options{Routes: []Route{{target, Failure}}})
	stop := running(t, d)
	defer stop()
	d.Audience().Tell(notice("r1", run.Lost))
	waitUntil(t, func() bool { return len(target.states()) == 1 })
	again := notice("r1", run.Running)
	again.Attempt = 2
	d.Audience().Tell(again)
	waitUntil(t, func() bool { return len(target.states()) == 2 })
	again = notice("r1", run.Passed)
	again.Attempt = 2
	d.Audience().Tell(again)
	waitUntil(t, func() bool { return len(target.states()) == 3 })
	for i, want := range []string{"true true", "false false", "false false"} {
		if got := fmt.Sprint(target.told[i].Due, target.told[i].Call); got != want {
			t.Errorf("%d: due and call are %s, want %s", i, got, want)
		}
	}
}

func TestQuietCallsNobody(t *testing.T) {
	d := dispatcher(t, Options{Routes: []Route{{&fake{}, Failure}}})
	n := notice("r1", run.Lost)
	n.Quiet = true
	d.Audience().Tell(n)
	if got := verdictOf(t, d, "r1"); got != "told" {
		t.Errorf("got %s, want told", got)
	}
}

func TestRulesForgetOldRefs(t *testing.T) {
	d := dispatcher(t, Options{Routes: []Route{{&fake{}, Change}}})
	d.last.kept.max = 2
	for i, want := range []string{"called", "called", "called", "called"} {
		n := notice(fmt.Sprint("r", i), run.Passed)
		n.Event.Ref = fmt.Sprint("refs/heads/", i%3)
		d.Audience().Tell(n)
		if got := verdictOf(t, d, n.Run); got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
}
