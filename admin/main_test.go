package admin

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
	"lightspeed/secret"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		os.Exit(serveAsChild(child))
	}
	goleak.VerifyTestMain(m)
}

// fixture is an admin that serves on a real socket, with its clock in the test's hand.
type fixture struct {
	*testing.T
	server *Server
	http   *httptest.Server
	client *api.Client
	state  string
	calls  *calls // every call and answer is checked by api/openapi.json
	end    func()
}

// start starts an admin that has a new database.
func start(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	state := filepath.Join(t.TempDir(), "admin")
	empty, err := emptyDatabase()
	if err == nil {
		err = os.Mkdir(state, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(state, "admin.db"), empty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return startIn(t, state, change...)
}

// emptyDatabase is a new database's file. It is made once: with the race detector that takes a sixth of a second each time.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "lightspeed-admin-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "admin.db")
	s, err := store.Open(store.Options{Path: path})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func startIn(t *testing.T, state string, change ...func(*Options)) *fixture {
	t.Helper()
	opt := Options{State: state}
	for _, c := range change {
		c(&opt)
	}
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, server: s, state: state, calls: &calls{TB: t, next: s.Handler()}}
	s.ticks = make(chan time.Time)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	f.http = httptest.NewServer(f.calls)
	f.client = f.clientWith("")
	done := false
	f.end = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		f.http.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(f.end)
	return f
}

func (f *fixture) clientWith(token string) *api.Client {
	f.Helper()
	c, err := api.NewClient(f.http.URL, secret.New(token), f.http.Client())
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// tick lets n seconds pass for admin, each fully handled. Its own ticker stands still.
func (f *fixture) tick(n int) {
	for range n {
		f.server.tick(f.Context())
	}
}

// listener is one instance of a listener, as a test plays it.
type listener struct {
	f    *fixture
	name string
	reg  api.Registration
	keys int
}

func (f *fixture) listener(name string, change ...func(*api.Registration)) *listener {
	f.Helper()
	l := &listener{f: f, name: name, reg: api.Registration{
		Instance: "i1", Start: "s1", Revision: 1, Host: "box",
		Settings: api.Settings{Rules: match.Rules{Name: name, Repos: []string{"**"}}},
	}}
	for _, c := range change {
		c(&l.reg)
	}
	l.register()
	return l
}

func (l *listener) register() api.Registered {
	l.f.Helper()
	done, err := l.f.client.Register(l.f.Context(), l.name, l.reg)
	if err != nil {
		l.f.Fatal(err)
	}
	return done
}

func (l *listener) request() api.ClaimRequest {
	l.keys++
	return api.ClaimRequest{Instance: l.reg.Instance, Start: l.reg.Start, Revision: l.reg.Revision, Key: fmt.Sprintf("key-%d", l.keys)}
}

// claim asks for the next run, which must be there, or must not.
func (l *listener) claim() *api.Claim {
	l.f.Helper()
	c, err := l.f.client.Claim(l.f.Context(), l.name, l.request(), 0)
	if err != nil {
		l.f.Fatal(err)
	}
	return c
}

func (l *listener) mustClaim() *api.Claim {
	l.f.Helper()
	c := l.claim()
	if c == nil {
		l.f.Fatal("nothing to claim")
	}
	return c
}

func (l *listener) finish(c *api.Claim, status run.State) run.Run {
	l.f.Helper()
	r, err := l.f.client.Finish(l.f.Context(), refOf(c), api.Finish{Status: status})
	if err != nil {
		l.f.Fatal(err)
	}
	return r.Run
}

func refOf(c *api.Claim) run.Ref { return run.Ref{Run: c.Run.ID, Attempt: c.Attempt} }

// push hands in a push of a branch and returns the receipt.
func (f *fixture) push(id, branch string) api.Receipt {
	f.Helper()
	return f.deliver(id, event.PushSpec{Repo: "acme/web", Branch: branch, SHA: sha("c" + id), Before: sha("b" + id), Nonce: id})
}

func (f *fixture) deliver(id string, spec event.PushSpec) api.Receipt {
	f.Helper()
	receipt, err := f.client.Deliver(f.Context(), delivery(f.T, id, spec))
	if err != nil {
		f.Fatal(err)
	}
	return receipt
}

func delivery(t testing.TB, id string, spec event.PushSpec) event.Delivery {
	t.Helper()
	body, err := event.MakePush(spec)
	if err != nil {
		t.Fatal(err)
	}
	return event.Delivery{ID: id, Event: "push", ContentType: "application/json", Body: body}
}

// sha makes a commit's id out of a word.
func sha(word string) string { return fmt.Sprintf("%040x", word)[:40] }

func (f *fixture) run(id string) run.Run {
	f.Helper()
	r, err := f.client.Run(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

func (f *fixture) wantRun(id string, status run.State, reason string) run.Run {
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

// wantCode checks that an error is admin's, with this code.
func (f *fixture) wantCode(err error, status int, code api.Code) *api.Error {
	f.Helper()
	var refused *api.Error
	if !api.IsCode(err, code) {
		f.Fatalf("error %v, want code %s", err, code)
	}
	refused = err.(*api.Error)
	if refused.Status != status {
		f.Fatalf("status %d, want %d", refused.Status, status)
	}
	return refused
}
