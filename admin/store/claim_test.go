package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// stand sends a claim that waits, and returns once it stands.
func (i *instance) stand(ctx context.Context) <-chan granted {
	i.f.Helper()
	answer := make(chan granted, 1)
	before := len(i.f.waiting.standing(i.name))
	request := i.request()
	go func() {
		ref, err := i.f.Claim(ctx, i.name, request, time.Minute)
		answer <- granted{ref: ref, err: err}
	}()
	for len(i.f.waiting.standing(i.name)) == before {
		select {
		case a := <-answer:
			answer <- a
			return answer
		default: // the writer is about to take it
		}
	}
	return answer
}

func TestTheSameKeyGetsTheSameAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.db")
	f := openAt(t, path)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 5 })
	f.accept(pushed("1", "2"), l.matched())
	f.accept(pushed("2", "3"), l.matched())
	r := l.request()
	first, err := f.Claim(t.Context(), "web", r, 0)
	if err != nil || first.Run == "" {
		t.Fatal(first, err)
	}
	if again, err := f.Claim(t.Context(), "web", r, 0); err != nil || again != first {
		t.Fatalf("again: %v, %v", again, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openAt(t, path)
	if again, err := f.Claim(t.Context(), "web", r, 0); err != nil || again != first {
		t.Fatalf("after a restart: %v, %v", again, err)
	}
	f.finish(first, run.Passed)
	if next, err := f.Claim(t.Context(), "web", r, 0); err != nil || next == first || next.Run == "" {
		t.Fatalf("after its end: %v, %v", next, err)
	}
}

func TestClaimsInOneBatchGetDifferentRuns(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 3 })
	for range 5 {
		f.accept(pushed("1", "2"), l.matched())
	}
	refs := make(chan run.Ref, 10)
	release := f.hold()
	var group sync.WaitGroup
	for range 10 {
		r := l.request()
		group.Go(func() {
			ref, err := f.Claim(context.Background(), "web", r, 0)
			if err != nil {
				t.Error(err)
			}
			refs <- ref
		})
	}
	release()
	group.Wait()
	close(refs)
	seen := map[run.Ref]int{}
	for ref := range refs {
		seen[ref]++
	}
	if len(seen) != 4 || seen[run.Ref{}] != 7 {
		t.Fatalf("answers %v, want three runs and seven times nothing", seen)
	}
}

func TestStandingClaims(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	waits := l.stand(t.Context())
	commits := f.Commits()
	id := f.accept(pushed("1", "2"), l.matched())
	if a := <-waits; a.err != nil || a.ref.Run != id {
		t.Fatal(a)
	}
	if n := f.Commits() - commits; n != 1 {
		t.Errorf("queueing and claiming took %d commits, want 1", n)
	}
	second := l.stand(t.Context())
	id2 := f.accept(pushed("2", "3"), l.matched())
	f.finish(run.Ref{Run: id, Attempt: 1}, run.Passed)
	if a := <-second; a.err != nil || a.ref.Run != id2 {
		t.Fatalf("after a slot became free: %v", a)
	}
}

func TestStandingClaimsAreServedInOrder(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 9 })
	first, second := l.stand(t.Context()), l.stand(t.Context())
	f.accept(pushed("1", "2"), l.matched())
	<-first
	select {
	case a := <-second:
		t.Fatalf("the second was served too: %v", a)
	default:
	}
	f.accept(pushed("2", "3"), l.matched())
	<-second
}

func TestClaimThatLeavesGetsNothing(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	ctx, cancel := context.WithCancel(t.Context())
	waits := l.stand(ctx)
	cancel()
	if a := <-waits; a.err != nil || a.ref.Run != "" {
		t.Fatal(a)
	}
	f.accept(pushed("1", "2"), l.matched())
	if ref := l.claim(); ref.Run == "" {
		t.Fatal("the run went to a claim that had left")
	}
	if n := len(f.waiting.queues); n != 0 {
		t.Errorf("%d queues have standing claims", n)
	}
}

func TestClaimTimesOut(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	ref, err := f.Claim(t.Context(), "web", l.request(), time.Millisecond)
	if err != nil || ref.Run != "" {
		t.Fatal(ref, err)
	}
}

// Claims leave while runs come in: each run is held by one claim, and none by a claim that said nothing.
func TestClaimsThatLeaveWhileRunsCome(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 1000 })
	m := l.matched()
	got := make(chan run.Ref, 200)
	var group sync.WaitGroup
	for i := range 200 {
		r := l.request()
		group.Go(func() {
			ref, err := f.Claim(context.Background(), "web", r, time.Duration(i%20)*time.Millisecond)
			if err != nil {
				t.Error(err)
			}
			got <- ref
		})
	}
	for range 100 {
		f.accept(pushed("1", "2"), m)
	}
	group.Wait()
	close(got)
	seen := map[run.Ref]bool{}
	for ref := range got {
		if ref.Run != "" && seen[ref] {
			t.Errorf("%v twice", ref)
		}
		seen[ref] = true
	}
	delete(seen, run.Ref{})
	running, err := f.Running(t.Context())
	if err != nil || len(running) != len(seen) {
		t.Fatalf("%d run, %d were answered; %v", len(running), len(seen), err)
	}
}

func TestClaimsAreRefused(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	refused := func(change func(*api.ClaimRequest), queue string, want api.Code) {
		t.Helper()
		r := l.request()
		change(&r)
		if _, err := f.Claim(t.Context(), queue, r, time.Minute); !api.IsCode(err, want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	refused(func(r *api.ClaimRequest) { r.Instance = "i9" }, "web", api.NotRegistered)
	refused(func(r *api.ClaimRequest) { r.Start = "s9" }, "web", api.NotRegistered)
	refused(func(*api.ClaimRequest) {}, "other", api.NotRegistered)
	refused(func(r *api.ClaimRequest) { r.Revision = 2 }, "web", api.Outdated)
	waits := l.stand(t.Context())
	f.listen("web", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	if a := <-waits; !api.IsCode(a.err, api.Outdated) {
		t.Errorf("a standing claim that is outdated: %v", a)
	}
	refused(func(*api.ClaimRequest) {}, "web", api.Outdated)
	l.reg.Revision, l.reg.Settings.Concurrency = 2, 2
	l.register()
	waits = l.stand(t.Context())
	if err := f.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if a := <-waits; !api.IsCode(a.err, api.NotRegistered) {
		t.Errorf("a standing claim of a removed listener: %v", a)
	}
}

// A key's answer is given also when the instance has become outdated in between.
func TestKeyIsAnsweredThoughOutdated(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	f.accept(pushed("1", "2"), l.matched())
	r := l.request()
	first, err := f.Claim(t.Context(), "web", r, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.listen("web", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	if again, err := f.Claim(t.Context(), "web", r, 0); err != nil || again != first {
		t.Fatal(again, err)
	}
}

func TestANewClaimWithTheKeyOfAStandingOneReplacesIt(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	first := l.stand(t.Context())
	l.keys--
	second := make(chan granted, 1)
	request := l.request()
	go func() {
		ref, err := f.Claim(context.Background(), "web", request, time.Minute)
		second <- granted{ref: ref, err: err}
	}()
	if a := <-first; a.err != nil || a.ref.Run != "" {
		t.Fatalf("the first: %v", a)
	}
	id := f.accept(pushed("1", "2"), l.matched())
	if a := <-second; a.err != nil || a.ref.Run != id {
		t.Fatalf("the second: %v", a)
	}
}

func TestCloseEndsStandingClaims(t *testing.T) {
	f := open(t)
	waits := f.listen("web", "i1").stand(t.Context())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-waits; !errors.Is(a.err, ErrClosed) {
		t.Fatal(a)
	}
}

func TestConcurrencyCountsAllInstances(t *testing.T) {
	f := open(t)
	a := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	b := f.listen("web", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	for range 3 {
		f.accept(pushed("1", "2"), a.matched())
	}
	first, second := a.claim(), b.claim()
	if first.Run == "" || second.Run == "" || first.Run == second.Run {
		t.Fatal(first, second)
	}
	if ref := a.claim(); ref.Run != "" {
		t.Fatalf("a third: %v", ref)
	}
	f.finish(second, run.Failed)
	if ref := a.claim(); ref.Run == "" {
		t.Fatal("no slot became free")
	}
}

func TestWorkIsTold(t *testing.T) {
	f := &fixture{TB: t}
	told := make(chan Work, 100)
	s, err := Open(Options{Path: filepath.Join(t.TempDir(), "admin.db"), Work: func(list []Work) {
		for _, w := range list {
			told <- w
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.Store = s
	t.Cleanup(func() { _ = s.Close() })
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	first := f.accept(pushed("1", "2"), l.matched())
	if w := <-told; w.Queue != "web" || len(w.Runs) != 1 || w.Runs[0] != first {
		t.Fatalf("%+v", w)
	}
	second := f.accept(pushed("2", "3"), l.matched())
	if w := <-told; len(w.Runs) != 2 || w.Runs[1] != second {
		t.Fatalf("%+v", w)
	}
	f.accept(pushed("3", "4"), l.matched())
	if w := <-told; len(w.Runs) != 2 {
		t.Fatalf("more than slots are free: %+v", w)
	}
	ref := l.claim()
	if w := <-told; len(w.Runs) != 1 {
		t.Fatalf("%+v", w)
	}
	l.claim()
	select {
	case w := <-told:
		t.Fatalf("no slot is free, but %+v", w)
	default:
	}
	f.finish(ref, run.Passed)
	if w := <-told; len(w.Runs) != 1 {
		t.Fatalf("%+v", w)
	}
}
