package listener

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/logtime"
	"lightspeed/run"
	"lightspeed/secret"
)

// timesOf finds the record of what a run printed, which must be in its log.
func (f *fakeAdmin) timesOf(r *fakeRun, text string) logtime.Record {
	f.t.Helper()
	seen := f.see(r)
	at := int64(strings.Index(string(seen.log), text))
	c := logtime.Cursor{Load: func(int64) ([]logtime.Record, int64, error) { return seen.times, int64(len(seen.log)), nil }}
	one, known, err := c.At(at)
	if at < 0 || !known || err != nil {
		f.t.Fatalf("%q at %d: known %t, %v", text, at, known, err)
	}
	return one
}

// TestTimesAreHandedIn: with the log, by the calls that are made anyway; the steps are those that the run tells of, also
// where a secret was held back.
func TestTimesAreHandedIn(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	c := conf("printf 'one hunter'", "echo two; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo late")
	c.Secrets = map[string]secret.Value{"PASSWORD": secret.New("hunter22")}
	listen(t, f, c, t.TempDir())
	began := time.Now()
	r := f.push("r1")
	f.awaitLog(r, "two\n")
	time.Sleep(200 * time.Millisecond) // so that what comes later has a record of its own
	opened := time.Now()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	end := f.awaitEnd(r)
	one, two, late := f.timesOf(r, "one "), f.timesOf(r, "two"), f.timesOf(r, "late")
	if one.Step != 1 || f.timesOf(r, "hunter").Step != 1 || two.Step != 2 || late.Step != 2 {
		t.Errorf("steps of %q: %+v", f.logOf(r), f.see(r).times)
	}
	if *end.Steps[1].LogOffset != two.Offset {
		t.Errorf("step 2 begins at %d, and %+v", *end.Steps[1].LogOffset, two)
	}
	if one.At.Before(began.Truncate(time.Millisecond)) || late.At.Before(opened.Truncate(time.Millisecond)) || late.At.After(time.Now()) {
		t.Errorf("began %v, opened %v, times %v", began, opened, f.see(r).times)
	}
}

// TestTimesAfterDeath: a listener that was killed hands in the times of what its run printed, and its own lines have theirs.
func TestTimesAfterDeath(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	c := conf("true", "echo begun; sleep 600")
	c.Grace = 2 * time.Second
	v := startVictim(t, f, c, state)
	r := f.push("r1")
	f.awaitLog(r, "begun\n")
	f.with(func() { r.log, r.times = nil, nil }) // a power cut at admin took them
	v.kill()
	died := time.Now()
	startVictim(t, f, c, state)
	if end := f.awaitEnd(r); end.Status != run.Lost {
		t.Errorf("got %+v", end)
	}
	begun, own := f.timesOf(r, "begun"), f.timesOf(r, "lightspeed: the listener was ended")
	if begun.Step != 2 || begun.At.After(died) || own.Step != 0 || own.At.Before(died.Truncate(time.Millisecond)) {
		t.Errorf("begun %+v, died %v, own line %+v", begun, died, own)
	}
}
