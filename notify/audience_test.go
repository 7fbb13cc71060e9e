package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/run"
)

// A run's end is told where its start was, whoever is told of later runs; also of a target that is named no more.
func TestARunKeepsItsAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young, other := &fake{}, &fake{}, &fake{name: "other"}
		d := dispatcher(t, Options{Routes: []Route{{Target: old}}})
		stop := running(t, d)
		began := d.Audience()
		began.Tell(notice("r1", run.Running))
		synctest.Wait()
		if err := d.Change([]Route{{Target: young}, {Target: other}}); err != nil {
			t.Fatal(err)
		}
		d.Audience().Tell(notice("r2", run.Running))
		began.Tell(notice("r1", run.Passed))
		synctest.Wait()
		if err := d.Change(nil); err != nil {
			t.Fatal(err)
		}
		d.Audience().Tell(notice("r3", run.Passed))
		synctest.Wait()
		stop()
		for who, want := range map[*fake][]string{old: {"r1 running", "r1 passed"}, young: {"r2 running"}, other: {"r2 running"}} {
			if got := who.states(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
	})
}

// What waits when the process dies is told to those that the next process knows.
func TestAnAudienceThatIsGoneIsTheNewest(t *testing.T) {
	dir := t.TempDir()
	d := dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: &fake{fail: func(Telling) error { return errors.New("away") }}}}})
	d.Audience().Tell(notice("r1", run.Failed))
	next := &fake{}
	d = dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: &fake{}}}})
	if err := d.Change([]Route{{Target: next}}); err != nil {
		t.Fatal(err)
	}
	stop := running(t, d)
	waitUntil(t, func() bool { return slices.Equal(next.states(), []string{"r1 failed"}) })
	stop()
}

// Of very many changes the oldest targets are forgotten, and nothing that waits is.
func TestManyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatcher(t, Options{Routes: []Route{{Target: &fake{}}}})
		began, last := d.Audience(), &fake{}
		for range maxJoined {
			if err := d.Change([]Route{{Target: last}}); err != nil {
				t.Fatal(err)
			}
		}
		began.Tell(notice("r1", run.Failed))
		if n := len(d.senders[0].targets); len(d.senders) != 1 || n != maxJoined {
			t.Errorf("%d senders, the first with %d targets", len(d.senders), n)
		}
		stop := running(t, d)
		time.Sleep(time.Second)
		stop()
		if got := last.states(); !slices.Equal(got, []string{"r1 failed"}) {
			t.Errorf("told %q", got)
		}
	})
}

func TestARefusedChangeChangesNothing(t *testing.T) {
	target := &fake{}
	d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
	err := d.Change([]Route{{Target: &fake{name: "other"}}, {Target: &fake{name: "other"}}})
	if err == nil || !strings.Contains(fmt.Sprint(err), `two targets are called "other"`) {
		t.Errorf("got %v", err)
	}
	stop := running(t, d)
	d.Audience().Tell(notice("r1", run.Failed))
	waitUntil(t, func() bool { return len(target.states()) == 1 })
	stop()
}
