package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a store with a few shorthands. What commits changed is kept.
type fixture struct {
	testing.TB
	*Store
	path string

	mu      sync.Mutex
	changes []Change
}

// open opens a new database.
func open(t testing.TB) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.db")
	empty, err := emptyDatabase()
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return openAt(t, path)
}

// emptyDatabase is a new database's file. It is made once: with the race detector that takes a sixth of a second each time.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "lightspeed-store-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "admin.db")
	s, err := Open(Options{Path: path})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openAt(t testing.TB, path string) *fixture {
	t.Helper()
	f := &fixture{TB: t, path: path}
	s, err := Open(Options{Path: path, Committed: f.committed})
	if err != nil {
		t.Fatal(err)
	}
	f.Store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) committed(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, changes...)
}

func settings(name string, change ...func(*api.Settings)) api.Settings {
	s := api.Settings{
		Rules: match.Rules{Name: name}, Concurrency: 1, WhenBusy: api.Queue, OnLost: api.Fail, MaxWaitS: 3600, TimeoutS: 60, GraceS: 10,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// instance is one process of a listener.
type instance struct {
	f    *fixture
	name string
	reg  api.Registration
	keys int
}

func (f *fixture) listen(name, id string, change ...func(*api.Settings)) *instance {
	f.Helper()
	i := &instance{f: f, name: name, reg: api.Registration{Instance: id, Start: "s1", Revision: 1, Host: "box-" + id, Settings: settings(name, change...)}}
	i.register()
	return i
}

func (i *instance) register(holds ...run.Ref) Registered {
	i.f.Helper()
	i.reg.Holds = holds
	out, err := i.f.Register(context.Background(), i.name, i.reg)
	if err != nil {
		i.f.Fatal(err)
	}
	return out
}

func (i *instance) request() api.ClaimRequest {
	i.keys++
	return api.ClaimRequest{Instance: i.reg.Instance, Start: i.reg.Start, Revision: i.reg.Revision, Key: fmt.Sprintf("k%d", i.keys)}
}

// claim returns the attempt that there is to have now, or a zero Ref.
func (i *instance) claim() run.Ref {
	i.f.Helper()
	ref, err := i.f.Claim(context.Background(), i.name, i.request(), 0)
	if err != nil {
		i.f.Fatal(err)
	}
	return ref
}

func (f *fixture) finish(ref run.Ref, status run.State) {
	f.Helper()
	if err := f.Finish(context.Background(), ref, api.Finish{Status: status}); err != nil {
		f.Fatal(err)
	}
}

// pushed is a push of a ref from one commit to another.
func pushed(from, to string) event.Event {
	return event.Event{Name: "push", Repo: "acme/web", Ref: "refs/heads/main", Branch: "main", SHA: to, Before: from, After: to}
}

var deliveries int

// accept stores a push that matched a listener and returns the run.
func (f *fixture) accept(e event.Event, m Matched) string {
	f.Helper()
	receipt, err := f.Accept(context.Background(), f.acceptance(e, m))
	if err != nil {
		f.Fatal(err)
	}
	return receipt.Runs[0].ID
}

var counting sync.Mutex

func (f *fixture) acceptance(e event.Event, matched ...Matched) Acceptance {
	counting.Lock()
	deliveries++
	id := fmt.Sprintf("delivery-%d", deliveries)
	counting.Unlock()
	return Acceptance{
		Delivery: event.Delivery{ID: id, Event: "push", ContentType: "application/json", ReceivedAt: time.Now(), Body: []byte(id)},
		Event:    e, Status: api.Accepted, Generation: f.Generation(), Matched: matched,
	}
}

// matched is what the rules of a registered listener give.
func (i *instance) matched() Matched {
	i.f.Helper()
	rules, _, err := i.f.CurrentRules(context.Background(), 0)
	if err != nil {
		i.f.Fatal(err)
	}
	for _, r := range rules {
		if r.Listener == i.name {
			return Matched{Listener: i.name, WhenBusy: r.Settings.WhenBusy, MatchID: r.MatchID, MaxWaitS: r.Settings.MaxWaitS}
		}
	}
	i.f.Fatalf("listener %s is not there", i.name)
	return Matched{}
}

func (f *fixture) run(id string) run.Run {
	f.Helper()
	r, err := f.Run(context.Background(), id)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// want checks a run's state and reason.
func (f *fixture) want(id string, status run.State, reason string) run.Run {
	f.Helper()
	r := f.run(id)
	got := ""
	if r.Reason != nil {
		got = *r.Reason
	}
	if r.Status != status || got != reason {
		f.Fatalf("run %s is %s, %q; want %s, %q", id, r.Status, got, status, reason)
	}
	return r
}
