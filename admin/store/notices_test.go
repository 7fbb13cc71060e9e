package store

import (
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// telling returns the run that an instance is given to tell of; empty: none.
func (i *instance) telling() string {
	i.f.Helper()
	id, err := i.f.NextTelling(i.f.Context(), i.name, i.reg.Instance)
	if err != nil {
		i.f.Fatal(err)
	}
	return id
}

func (f *fixture) wantTelling(i *instance, want string) {
	f.Helper()
	if got := i.telling(); got != want {
		f.Errorf("instance %s is to tell of %q, not of %q", i.reg.Instance, got, want)
	}
}

// passTime lets seconds of the store's clock go by.
func (f *fixture) passTime(seconds int64) { f.clock.Add(seconds) }

func (f *fixture) giveUp(ref run.Ref) {
	f.Helper()
	if err := f.GiveUp(f.Context(), ref, "silent"); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) told(id string) {
	f.Helper()
	if err := f.Told(f.Context(), id); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantToldByAnother(id string, want bool) {
	f.Helper()
	if got, err := f.ToldByAnother(f.Context(), id); got != want || err != nil {
		f.Errorf("told by another: %v, %v; want %v", got, err, want)
	}
}

// A run that was lost is told by one other listener of its name: handed to one at a time, again when that says
// nothing for a minute, and to nobody when it was told.
func TestLostRunIsToldOnce(t *testing.T) {
	f := open(t)
	a, b, c := f.listen("web", "a"), f.listen("web", "b"), f.listen("web", "c")
	id := f.accept(pushed("1", "2"), a.matched())
	ref := a.claim()
	f.wantTelling(b, "")
	f.giveUp(ref)
	f.wantTelling(a, "") // it may run it still
	f.wantTelling(b, id)
	f.wantTelling(c, "")
	f.passTime(tellAgain - 1)
	f.wantTelling(c, "")
	f.passTime(1)
	f.wantTelling(c, id)
	f.wantToldByAnother(id, false)
	f.told(id)
	f.passTime(tellAgain)
	f.wantTelling(b, "")
	if err := f.Finish(t.Context(), ref, api.Finish{Status: run.Lost}); err != nil {
		t.Fatal(err)
	}
	f.wantToldByAnother(id, true)
	f.wantTelling(b, "")
}

// The listener that had the run is back before another has told of it: it does so itself.
func TestLostRunIsToldByItsOwn(t *testing.T) {
	for _, status := range []run.State{run.Lost, run.Passed} {
		f := open(t)
		a, b := f.listen("web", "a"), f.listen("web", "b")
		id := f.accept(pushed("1", "2"), a.matched())
		ref := a.claim()
		f.giveUp(ref)
		f.wantTelling(b, id) // and dies
		f.finish(ref, status)
		f.passTime(tellAgain)
		f.wantTelling(b, "")
		f.told(id) // comes too late
		f.wantToldByAnother(id, false)
	}
}

// An instance that is back and knows nothing of its run tells of it like any other.
func TestForgottenRunIsToldByAnyone(t *testing.T) {
	f := open(t)
	a := f.listen("web", "a")
	id := f.accept(pushed("1", "2"), a.matched())
	f.giveUp(a.claim())
	f.wantTelling(a, "")
	a.reg.Start = "s2"
	a.register()
	f.wantTelling(a, id)
}

// What ends in its queue after it had run once may have a message that says it runs; what never ran has none.
func TestEndInTheQueueIsTold(t *testing.T) {
	f := open(t)
	a := f.listen("web", "a", func(s *api.Settings) { s.OnLost = api.Requeue })
	begun := f.accept(pushed("1", "2"), a.matched())
	never := f.accept(pushed("2", "3"), a.matched())
	f.giveUp(a.claim())
	f.wantTelling(a, "")
	for _, id := range []string{never, begun} {
		if err := f.Cancel(t.Context(), id, api.Cancel{By: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	f.wantTelling(a, begun)
	f.wantTelling(a, "")
}

// Old news are not told, and a listener that is removed takes its own with it.
func TestTellingsAreForgotten(t *testing.T) {
	f := open(t)
	a, b := f.listen("web", "a"), f.listen("web", "b")
	f.accept(pushed("1", "2"), a.matched())
	f.giveUp(a.claim())
	if err := f.do(t.Context(), func(tx *Tx) error {
		_, err := tx.exec(`UPDATE tellings SET at = ?`, micros(time.Now().Add(-keptTelling-time.Minute)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.Release(t.Context(), f.claimedRun()); err != nil {
		t.Fatal(err)
	}
	id := f.accept(pushed("2", "3"), a.matched())
	f.giveUp(a.claim())
	f.wantTelling(b, id)
	f.wantTelling(b, "")
	if err := f.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	f.passTime(tellAgain)
	f.wantTelling(b, "")
}

// claimedRun is the newest run that has an attempt.
func (f *fixture) claimedRun() string {
	f.Helper()
	var id string
	if err := f.readRow(f.Context(), []any{&id}, `SELECT id FROM runs WHERE attempt > 0 ORDER BY seq DESC LIMIT 1`); err != nil {
		f.Fatal(err)
	}
	return id
}

// A run shows how telling went; of two words the one about the later attempt counts, and a memo is kept until
// there is another.
func TestNoticesOfARun(t *testing.T) {
	f := open(t)
	a := f.listen("web", "a", func(s *api.Settings) { s.OnLost = api.Requeue })
	id := f.accept(pushed("1", "2"), a.matched())
	first := a.claim()
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	say := func(ref run.Ref, n api.Notified) {
		t.Helper()
		n.Target, n.At = "discord", at
		if err := f.Notified(t.Context(), ref, n); err != nil {
			t.Fatal(err)
		}
	}
	say(first, api.Notified{Status: run.Told, Memo: "m1"})
	f.giveUp(first)
	second := a.claim()
	c, _, err := f.Claimed(t.Context(), second, 1<<20)
	if err != nil || c.Memos["discord"] != "m1" {
		t.Errorf("the next attempt knows %v, %v", c.Memos, err)
	}
	say(second, api.Notified{Status: run.ToldToNoOne, Error: "no", Hint: "do"})
	say(first, api.Notified{Status: run.Told})
	notices := f.run(id).Notices
	if len(notices) != 1 || notices[0].Status != run.ToldToNoOne || *notices[0].Error != "no" || *notices[0].Hint != "do" || !notices[0].At.Equal(at) {
		t.Errorf("%+v", notices)
	}
	told, _, err := f.Telling(t.Context(), id, 1<<20)
	if err != nil || told.Memos["discord"] != "m1" || told.Run.ID != id || len(told.Payload) == 0 || told.Delivery.Event != "push" {
		t.Errorf("%+v, %v", told, err)
	}
	if err := f.Notified(t.Context(), run.Ref{Run: id, Attempt: 3}, api.Notified{}); !api.IsCode(err, api.NotFound) {
		t.Errorf("of an attempt that there is not: %v", err)
	}
}
