package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// model plays random operations against a store, with crashes between them, and checks after each what must
// always hold.
type model struct {
	*fixture
	*rand.Rand
	listeners []*instance
	attempts  []run.Ref      // all that were ever handed out
	before    map[string]row // what each run was when it was last looked at
	commit    int
}

// row is a run as the database has it.
type row struct {
	id, listener, ref string
	status            run.State
	attempt           int
	slot              *int
	held              bool
	ord               int64
}

func TestRandomOperations(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("LIGHTSPEED_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LIGHTSPEED_TEST_SEED=%d", seed)
	m := &model{fixture: open(t), Rand: rand.New(rand.NewPCG(seed, 0)), before: map[string]row{}}
	for i, mode := range []string{api.Queue, api.Supersede, api.Latest, api.Queue} {
		for _, id := range []string{"a", "b"} {
			l := m.listen(fmt.Sprintf("l%d", i), id, func(s *api.Settings) {
				s.WhenBusy, s.Concurrency, s.OnLost = mode, i+1, []string{api.Fail, api.Requeue}[i/2]
			})
			m.listeners = append(m.listeners, l)
		}
	}
	for range max(100, 800/raceFactor) {
		what := m.step()
		m.check(what)
	}
}

func (m *model) step() string {
	ctx := context.Background()
	l := m.listeners[m.IntN(len(m.listeners))]
	switch n := m.IntN(100); {
	case n < 30:
		m.commit++
		e := event.Event{Name: "push", Repo: "acme/web", Ref: fmt.Sprintf("refs/heads/b%d", m.IntN(3)), SHA: strconv.Itoa(m.commit), After: strconv.Itoa(m.commit)}
		return "accept " + m.accept(e, l.matched())
	case n < 60:
		return m.claimNext(l)
	case n < 75 && len(m.attempts) > 0:
		states := []run.State{run.Passed, run.Failed, run.Cancelled, run.Lost, run.NotStarted, run.TimedOut, run.Errored}
		ref, to := m.pick(), states[m.IntN(len(states))]
		err := m.Finish(ctx, ref, api.Finish{Status: to})
		m.refusal(err)
		return fmt.Sprintf("finish %v %s: %v", ref, to, err)
	case n < 82 && len(m.attempts) > 0:
		ref := m.pick()
		m.refusal(m.GiveUp(ctx, ref, "gone"))
		return fmt.Sprintf("give up %v", ref)
	case n < 87:
		id := m.anyRun()
		m.refusal(m.Cancel(ctx, id, api.Cancel{By: "ann"}))
		return "cancel " + id
	case n < 90:
		id := m.anyRun()
		m.refusal(m.Release(ctx, id))
		return "release " + id
	case n < 95:
		return m.restart(l)
	case n < 98:
		m.clock.Add(int64(m.IntN(40)))
		_, err := m.Expire(ctx)
		m.refusal(err)
		return "expire"
	default:
		return m.reopen()
	}
}

// refusal lets pass what the store may say, and nothing else.
func (m *model) refusal(err error) {
	m.Helper()
	if err != nil && !refusal(err) {
		m.Fatal(err)
	}
}

func (m *model) pick() run.Ref { return m.attempts[max(0, len(m.attempts)-1-m.IntN(10))] }

func (m *model) anyRun() string {
	for id := range m.before {
		return id
	}
	return "none"
}

// claimNext claims, and checks that a queue gives its oldest run.
func (m *model) claimNext(l *instance) string {
	oldest := ""
	for _, r := range m.rows() {
		if r.listener == l.name && r.status == run.Queued {
			oldest = r.id
			break
		}
	}
	ref := l.claim()
	if ref.Run == "" {
		return "claim nothing of " + l.name
	}
	if l.reg.Settings.WhenBusy == api.Queue && ref.Run != oldest {
		m.Fatalf("claimed %v, but %s is older", ref, oldest)
	}
	m.attempts = append(m.attempts, ref)
	return fmt.Sprintf("claim %v of %s", ref, l.name)
}

// restart registers a new process of an instance, which holds some of what it had claimed.
func (m *model) restart(l *instance) string {
	var holds []run.Ref
	for _, ref := range m.attempts {
		if m.IntN(2) == 0 {
			holds = append(holds, ref)
		}
	}
	l.reg.Start += "+"
	l.register(holds...)
	return "restart " + l.name + l.reg.Instance
}

func (m *model) reopen() string {
	if err := m.Close(); err != nil {
		m.Fatal(err)
	}
	s, err := Open(Options{Path: m.path})
	if err != nil {
		m.Fatal(err)
	}
	m.Store = s
	m.Cleanup(func() { _ = s.Close() })
	return "reopen"
}

// rows reads all runs in the order of their queues.
func (m *model) rows() []row {
	var list []row
	err := m.read(context.Background(), func(s scanner) error {
		var r row
		err := s.Scan(&r.id, &r.listener, &r.ref, &r.status, &r.attempt, &r.slot, &r.held, &r.ord)
		list = append(list, r)
		return err
	}, `SELECT id, listener, ref, status, attempt, slot, held_clock IS NOT NULL, ord FROM runs ORDER BY ord, rank`)
	if err != nil {
		m.Fatal(err)
	}
	return list
}

func (m *model) check(what string) {
	m.Helper()
	busy, lanes := map[string]int{}, map[string]int{}
	for _, r := range m.rows() {
		if was, known := m.before[r.id]; !known || was.status != r.status || was.attempt != r.attempt {
			m.checkStep(what, r)
			m.checkAttempts(what, r)
		}
		m.before[r.id] = r
		if want := wantedSlot(r); (r.slot == nil) != (want < 0) || (r.slot != nil && *r.slot != want) {
			m.Fatalf("%s: %+v, want slot %d", what, r, want)
		}
		if r.slot != nil && *r.slot == 1 {
			busy[r.listener]++
			lanes[r.listener+" "+r.ref]++
		}
	}
	for _, l := range m.listeners {
		if busy[l.name] > l.reg.Settings.Concurrency {
			m.Fatalf("%s: %d of %s run", what, busy[l.name], l.name)
		}
		for i := range 3 {
			if n := lanes[fmt.Sprintf("%s refs/heads/b%d", l.name, i)]; n > 1 && l.reg.Settings.WhenBusy != api.Queue {
				m.Fatalf("%s: %d of one lane of %s run", what, n, l.name)
			}
		}
	}
}

// checkStep wants every change of a run to be a legal step, or two that one transaction may take.
func (m *model) checkStep(what string, r row) {
	m.Helper()
	was := m.before[r.id].status
	if was == "" {
		was = run.Queued
	}
	all := append(slices.Clone(runStates), r.status)
	if was != r.status && !was.May(r.status) && !slices.ContainsFunc(all, func(by run.State) bool { return was.May(by) && by.May(r.status) }) {
		m.Fatalf("%s: run %s went from %s to %s", what, r.id, was, r.status)
	}
}

func wantedSlot(r row) int {
	switch {
	case r.status == run.Queued:
		return 0
	case r.status == run.Running || r.held:
		return 1
	}
	return -1
}

// checkAttempts wants the attempts numbered without a gap, and only the newest of a running run to run.
func (m *model) checkAttempts(what string, r row) {
	m.Helper()
	attempts := m.run(r.id).Attempts
	if len(attempts) != r.attempt {
		m.Fatalf("%s: run %+v has attempts %+v", what, r, attempts)
	}
	for i, a := range attempts {
		running := a.Status == run.Running
		if a.Attempt != i+1 || running != (r.status == run.Running && i == len(attempts)-1) || (a.FinishedAt == nil) != running {
			m.Fatalf("%s: run %+v has attempts %+v", what, r, attempts)
		}
	}
}

func TestDatabaseCopiedWhileRunning(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	id := f.accept(pushed("1", "2"), l.matched())
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(f.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "admin.db"+suffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openAt(t, filepath.Join(dir, "admin.db")).want(id, run.Queued, "")
}
