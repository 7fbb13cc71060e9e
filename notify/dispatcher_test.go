package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/event"
	"lightspeed/run"
)

// waitUntil looks again whenever the other goroutines had a turn, for at most 10 s.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("did not happen within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

// flaky fails until it is mended.
type flaky struct {
	mu  sync.Mutex
	err error
}

func (f *flaky) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *flaky) fail(Telling) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func TestTellsInOrderAndTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		target := &fake{}
		d := dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: target}}})
		for i := range 50 {
			d.Audience().Tell(notice(fmt.Sprintf("r%02d", i), run.Running))
		}
		for i := range 50 {
			d.Audience().Tell(notice(fmt.Sprintf("r%02d", i), run.Passed))
		}
		if w := d.Waiting(); w["fake"] != 50 {
			t.Errorf("waiting: %v", w)
		}
		stop := running(t, d)
		synctest.Wait()
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf("r%02d passed", i))
		}
		if got := target.states(); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		d.Audience().Tell(notice("r99", run.Running))
		synctest.Wait()
		d.Audience().Tell(notice("r99", run.Failed))
		stop()
		if got := target.states()[50:]; !slices.Equal(got, []string{"r99 running", "r99 failed"}) {
			t.Errorf("got %q", got)
		}
		if w := d.Waiting(); len(w) != 0 || strings.Contains(listing(t, dir), "pending") {
			t.Errorf("waiting: %v\n%s", w, listing(t, dir))
		}
	})
}

// The network is away for hours: nothing is lost, the log has a line for it, and one when it is over.
func TestOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &flaky{err: Unreachable("discord", errors.New("no route to host"))}
		target, log := &fake{fail: network.fail}, &logs{}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}, Log: log.logger()})
		stop := running(t, d)
		for i := range 20 {
			d.Audience().Tell(notice(fmt.Sprintf("r%02d", i), run.Running))
			time.Sleep(10 * time.Minute)
			d.Audience().Tell(notice(fmt.Sprintf("r%02d", i), run.Passed))
		}
		if n := target.calls(); n < 20 || n > 100 {
			t.Errorf("tried %d times in over three hours", n)
		}
		network.set(nil)
		time.Sleep(longWait * 2)
		if got := target.states(); len(got) != 20 || got[0] != "r00 passed" || got[19] != "r19 passed" {
			t.Errorf("got %q", got)
		}
		stop()
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "no route to host") || !strings.Contains(text, "can be told again") {
			t.Errorf("logged:\n%s", text)
		}
	})
}

func TestObeysTheFarEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &flaky{err: &Error{Message: "limited", After: 20 * time.Minute, Busy: true, Reached: true}}
		target := &fake{fail: limit.fail}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
		stop := running(t, d)
		d.Audience().Tell(notice("r1", run.Passed))
		time.Sleep(20*time.Minute - time.Millisecond)
		if n := target.calls(); n != 1 {
			t.Errorf("%d calls, one was allowed", n)
		}
		limit.set(nil)
		time.Sleep(5 * time.Minute)
		if n := target.calls(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		stop()
	})
}

// A far end that says "in a moment" for ever is not asked a thousand times a minute.
func TestBacksOffFromAFarEndThatIsAlwaysBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &fake{fail: func(Telling) error {
			return &Error{Message: "limited", After: 10 * time.Millisecond, Busy: true, Reached: true}
		}}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
		stop := running(t, d)
		d.Audience().Tell(notice("r1", run.Passed))
		time.Sleep(10 * time.Minute)
		if n := target.calls(); n > 25 {
			t.Errorf("%d calls in ten minutes", n)
		}
		stop()
	})
}

// One notice that the far end cannot take does not keep the others from being told, and is given up in the end.
func TestOneBadNoticeDoesNotBlockTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var results []Result
		target := &fake{fail: func(tell Telling) error {
			if tell.Notice.Run == "bad" {
				return &Error{Message: "the far end answers 500", Reached: true}
			}
			return nil
		}}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}, Report: func(_ context.Context, r Result) error {
			if r.Run == "bad" {
				results = append(results, r)
			}
			return nil
		}})
		stop := running(t, d)
		d.Audience().Tell(notice("bad", run.Passed))
		d.Audience().Tell(notice("good", run.Passed))
		time.Sleep(5 * time.Minute)
		if got := target.states(); !slices.Equal(got, []string{"good passed"}) {
			t.Errorf("told %q", got)
		}
		time.Sleep(8 * 24 * time.Hour)
		stop()
		if len(results) != 2 || results[0].Status != Delayed || results[1].Status != Failed ||
			results[1].Error != "given up after 7 days: the far end answers 500" || len(d.Waiting()) != 0 {
			t.Errorf("reported %+v; waiting %v", results, d.Waiting())
		}
	})
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var results []string
		admin := &flaky{err: errors.New("admin is away")}
		far := &flaky{}
		target := &fake{fail: far.fail}
		log := &logs{}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}, Log: log.logger(), Report: func(_ context.Context, r Result) error {
			if err := admin.fail(Telling{}); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			results = append(results, fmt.Sprintf("%s %s %s %q %q", r.Run, r.State, r.Status, r.Error, r.Memo))
			return nil
		}})
		stop := running(t, d)
		d.Audience().Tell(notice("r1", run.Running))
		time.Sleep(time.Minute)
		admin.set(nil)
		time.Sleep(longWait * 2)
		d.Audience().Tell(notice("r1", run.Passed)) // nothing new: the same message says it
		synctest.Wait()
		far.set(&Error{Message: "no such webhook", Final: true})
		d.Audience().Tell(notice("r2", run.Running))
		d.Audience().Tell(notice("r3", run.Running))
		synctest.Wait()
		far.set(nil)
		d.Audience().Tell(notice("r2", run.Failed))
		synctest.Wait()
		far.set(errors.New("away"))
		d.Audience().Tell(notice("r4", run.Failed))
		time.Sleep(10 * time.Minute)
		far.set(nil)
		time.Sleep(longWait * 2)
		stop()
		want := []string{
			`r1 running told "" "message of r1"`,
			`r2 running failed "no such webhook" ""`,
			`r3 running failed "no such webhook" ""`,
			`r2 failed told "" "message of r2"`,
			`r4 failed delayed "away" ""`,
			`r4 failed told "" "message of r4"`,
		}
		if !slices.Equal(results, want) {
			t.Errorf("reported\n%s\nwant\n%s", strings.Join(results, "\n"), strings.Join(want, "\n"))
		}
		if n := strings.Count(log.String(), "no such webhook"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
	})
}

// ofCommit is a target that tells of all runs in one place, as a commit's status.
type ofCommit struct{ *fake }

func (ofCommit) Accept(*Notice) (string, bool) { return "commit", true }

// A run of the same commit, such as a retry, that cannot be told of for the same reason shows it, too.
func TestEachRunOfACommitIsReported(t *testing.T) {
	refusing := &fake{fail: func(Telling) error { return &Error{Message: "gone", Final: true} }}
	got := make(chan string, 10)
	d := dispatcher(t, Options{Routes: []Route{{Target: ofCommit{refusing}}}, Report: func(_ context.Context, r Result) error {
		got <- r.Run + " " + r.Error
		return nil
	}})
	stop := running(t, d)
	for _, id := range []string{"r1", "r2"} {
		d.Audience().Tell(notice(id, run.Failed))
		if said := <-got; said != id+" gone" {
			t.Errorf("reported %q of %s", said, id)
		}
	}
	stop()
}

// What admin could not be told is told after a restart.
func TestReportsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	refusing := &fake{fail: func(Telling) error { return &Error{Message: "gone", Final: true} }}
	options := Options{Dir: dir, Routes: []Route{{Target: refusing}}, Linger: time.Second}
	tried := make(chan struct{}, 10)
	options.Report = func(context.Context, Result) error { tried <- struct{}{}; return errors.New("admin is away") }
	d := dispatcher(t, options)
	stop := running(t, d)
	d.Audience().Tell(notice("r1", run.Failed))
	<-tried
	stop()
	got := make(chan Result, 10)
	options.Report = func(_ context.Context, r Result) error { got <- r; return nil }
	stop = running(t, dispatcher(t, options))
	if r := <-got; r.Run != "r1" || r.Status != Failed || r.Error != "gone" || r.State != run.Failed {
		t.Errorf("got %+v", r)
	}
	stop()
}

func TestARefusedReportIsDropped(t *testing.T) {
	refusing := &fake{fail: func(Telling) error { return &Error{Message: "gone", Final: true} }}
	got := make(chan string, 10)
	d := dispatcher(t, Options{Routes: []Route{{Target: refusing}}, Report: func(_ context.Context, r Result) error {
		got <- r.Run
		return &Error{Message: "no such run", Final: true}
	}})
	stop := running(t, d)
	d.Audience().Tell(notice("r1", run.Failed))
	d.Audience().Tell(notice("r2", run.Failed))
	if one, two := <-got, <-got; one != "r1" || two != "r2" {
		t.Errorf("got %s, %s", one, two)
	}
	stop()
	if n := d.reports.len(); n != 0 {
		t.Errorf("%d reports wait", n)
	}
}

func TestAFullQueueIsReported(t *testing.T) {
	log := &logs{}
	d := dispatcher(t, Options{Routes: []Route{{Target: &fake{}}}, Most: 2, Log: log.logger(), Report: func(context.Context, Result) error { return nil }})
	for i := range 4 {
		d.Audience().Tell(notice(fmt.Sprint("r", i), run.Failed))
	}
	if n := d.reports.len(); n != 2 {
		t.Errorf("%d reports wait, want 2", n)
	}
	if n := strings.Count(log.String(), "too many notices wait"); n != 2 || d.Waiting()["fake"] != 2 {
		t.Errorf("waiting %v; logged %d lines: %s", d.Waiting(), n, log)
	}
}

// Tell and a stop take no time, whatever the target does.
func TestATargetThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		target := &fake{hold: make(chan struct{})}
		d := dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: target}}, Linger: 3 * time.Second})
		stop := running(t, d)
		start := time.Now()
		for i := range 50 {
			d.Audience().Tell(notice(fmt.Sprint("r", i), run.Passed))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("telling took %v", d)
		}
		synctest.Wait()
		stop()
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("the stop took %v", d)
		}
		if n := dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: target}}}).Waiting()["fake"]; n != 50 {
			t.Errorf("%d notices are left, want 50", n)
		}
	})
}

func TestAStopTellsWhatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &fake{}
		d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
		d.Audience().Tell(notice("r1", run.Passed))
		d.Audience().Tell(notice("r2", run.Passed))
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // stopped before it started
		start := time.Now()
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := target.states(); len(got) != 2 || time.Since(start) != 0 {
			t.Errorf("told %q, took %v", got, time.Since(start))
		}
		for _, err := range []error{errors.New("away"), &Error{Message: "limited", After: time.Second, Busy: true, Reached: true}} {
			target.fail = (&flaky{err: err}).fail
			d.Audience().Tell(notice("r3", run.Passed))
			start = time.Now()
			if err := d.Run(ctx); err != nil || time.Since(start) != 0 || d.Waiting()["fake"] != 1 {
				t.Errorf("took %v, waiting %v, %v", time.Since(start), d.Waiting(), err)
			}
		}
	})
}

// limited is a target whose calls go through a lane, as those of Discord do.
type limited struct {
	fake
	lane *Lane
}

func (l *limited) Send(ctx context.Context, told Telling, m *Memo) error {
	leave, err := l.lane.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return l.fake.Send(ctx, told, m)
}

// A stop waits for a call that goes on, also of another's, and not for a limit, whoever waits for it. What waits is
// told after the next start.
func TestAStopDoesNotWaitForALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := new(Lanes).Lane("webhook")
		log := &logs{}
		start := func(dir string) (*limited, *Dispatcher, func()) {
			target := &limited{lane: lane}
			d := dispatcher(t, Options{Dir: dir, Routes: []Route{{Target: target}}, Log: log.logger()})
			return target, d, running(t, d)
		}
		first, other := t.TempDir(), t.TempDir()
		target, d, stop := start(first)
		_, another, stopAnother := start(other)
		lane.Hold(time.Hour)
		d.Audience().Tell(notice("r1", run.Passed))
		synctest.Wait()
		another.Audience().Tell(notice("r2", run.Passed)) // waits for the turn of the first
		synctest.Wait()
		began := time.Now()
		stopAnother()
		stop()
		if took := time.Since(began); took != 0 || len(target.states()) != 0 || d.Waiting()["fake"] != 1 || another.Waiting()["fake"] != 1 {
			t.Errorf("the stops took %v; told %q", took, target.states())
		}
		if text := log.String(); strings.Contains(text, "limit") {
			t.Errorf("logged:\n%s", text)
		}

		time.Sleep(time.Hour)
		leave, err := lane.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, leave)
		target, d, stop = start(first)
		synctest.Wait()
		began = time.Now()
		stop()
		if took := time.Since(began); took != time.Second || !slices.Equal(target.states(), []string{"r1 passed"}) || len(d.Waiting()) != 0 {
			t.Errorf("the stop took %v; told %q", took, target.states())
		}
	})
}

func TestRunsOnceAtATime(t *testing.T) {
	d := dispatcher(t, Options{Routes: []Route{{Target: &fake{}}}})
	stop := running(t, d)
	d.Audience().Tell(notice("r1", run.Passed))
	waitUntil(t, func() bool { return len(d.Waiting()) == 0 })
	if err := d.Run(t.Context()); err == nil || err.Error() != "notices are being told already" {
		t.Errorf("got %v", err)
	}
	stop()
	stop = running(t, d) // and once more when it has ended
	stop()
}

func TestOlderNewsThanWhatIsKnownIsNotTold(t *testing.T) {
	target := &fake{}
	d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
	stop := running(t, d)
	d.Audience().Tell(notice("r1", run.Failed))
	waitUntil(t, func() bool { return len(target.states()) == 1 && len(d.Waiting()) == 0 })
	d.Audience().Tell(notice("r1", run.Running)) // as a listener might after a restart
	if w := d.Waiting(); len(w) != 0 {
		t.Errorf("waiting: %v", w)
	}
	d.Audience().Tell(notice("r1", run.Passed)) // another end of the same attempt: it was lost, and came back
	waitUntil(t, func() bool { return len(target.states()) == 2 })
	stop()
}

func TestGoesOnWithWhatAnotherListenerNoted(t *testing.T) {
	memos := make(chan string, 1)
	target := &remembering{memos: memos}
	d := dispatcher(t, Options{Routes: []Route{{Target: target}}})
	stop := running(t, d)
	n := notice("r1", run.Lost)
	n.Memos = map[string]string{"fake": "message 7", "other": "x"}
	d.Audience().Tell(n)
	if memo := <-memos; memo != "message 7" {
		t.Errorf("the memo was %q", memo)
	}
	stop()
}

// remembering says what its memo was.
type remembering struct {
	fake
	memos chan string
}

func (r *remembering) Send(_ context.Context, _ Telling, m *Memo) error {
	r.memos <- m.Get()
	return nil
}

func TestTellRefusesWhatIsNoNews(t *testing.T) {
	log := &logs{}
	d := dispatcher(t, Options{Routes: []Route{{Target: &fake{}}}, Log: log.logger()})
	for want, change := range map[string]func(*Notice){
		"a notice without a run":                                                func(n *Notice) { n.Run = "" },
		"notice of run r1: no listener":                                         func(n *Notice) { n.Listener = "" },
		"notice of run r1: attempt 0":                                           func(n *Notice) { n.Attempt = 0 },
		`notice of run r1: state \"queued\" is neither a start nor an end`:      func(n *Notice) { n.State = run.Queued },
		`notice of run r1: state \"not_started\" is neither a start nor an end`: func(n *Notice) { n.State = run.NotStarted },
	} {
		n := notice("r1", run.Passed)
		change(&n)
		d.Audience().Tell(n)
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if w := d.Waiting(); len(w) != 0 {
		t.Errorf("waiting: %v", w)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"notices: mkdir " + file + ": not a directory":                    {Dir: file},
		`notices: two targets are called "fake"`:                          {Dir: t.TempDir(), Routes: []Route{{Target: &fake{}}, {Target: &fake{}}}},
		`notices: "../x" cannot be a target's name`:                       {Dir: t.TempDir(), Routes: []Route{{Target: &fake{name: "../x"}}}},
		`notify_on: "sometimes" is none of "always", "change", "failure"`: {Dir: t.TempDir(), Routes: []Route{{&fake{}, "sometimes"}}},
	} {
		o.Log = slog.New(slog.DiscardHandler)
		if _, err := New(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A Tell for each of two targets at once from many goroutines, while both are told: nothing is lost.
func TestManyAtOnce(t *testing.T) {
	one, two := &fake{name: "one"}, &fake{name: "two"}
	d := dispatcher(t, Options{Routes: []Route{{Target: one}, {two, Change}}})
	stop := running(t, d)
	var tellers sync.WaitGroup
	for i := range 8 {
		tellers.Go(func() {
			for j := range 20 {
				id := fmt.Sprintf("r%d-%02d", i, j)
				d.Audience().Tell(notice(id, run.Running))
				d.Audience().Tell(notice(id, run.Failed))
			}
		})
	}
	tellers.Wait()
	waitUntil(t, func() bool { return len(d.Waiting()) == 0 })
	stop()
	ends := map[string]bool{}
	for _, s := range one.states() {
		if id, ok := strings.CutSuffix(s, " failed"); ok {
			ends[id] = true
		}
	}
	if len(ends) != 160 || len(two.states()) != 1 {
		t.Errorf("%d ends told, %d changes told", len(ends), len(two.states()))
	}
}

func TestHeadOf(t *testing.T) {
	e := event.Event{Name: "push", Repo: "a/b", SHA: "c0ffee", PR: 3, Files: []string{"x"}, Message: "m", URL: "https://x", Deleted: true}
	if h := HeadOf(e); h != (Head{Name: "push", Repo: "a/b", SHA: "c0ffee", PR: 3, Message: "m", URL: "https://x", Deleted: true}) {
		t.Errorf("got %+v", h)
	}
}

func TestTryAsksEveryTarget(t *testing.T) {
	sample := Sample("site", "builder-1", "acme/site", "")
	if err := sample.check(); err != nil {
		t.Error(err)
	}
	answers := Try(t.Context(), []Target{&fake{name: "one"}, &fake{name: "two"}}, sample)
	if fmt.Sprint(answers) != "[{one tried <nil>} {two tried <nil>}]" {
		t.Errorf("got %v", answers)
	}
}
