package hooks

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/secret"
)

// Names of the variables that make this test binary, started once more, into a hooks that serves until it is killed.
const (
	childState = "LIGHTSPEED_TEST_HOOKS_STATE"
	childAdmin = "LIGHTSPEED_TEST_HOOKS_ADMIN"
)

func serveUntilKilled(state, admin string) int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, err); return 1 }
	c, err := api.NewClient(admin, secret.New("hooks"), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
	if err != nil {
		return fail(err)
	}
	s, err := New(Options{Secrets: []secret.Value{secret.New(key)}, Admin: c, State: state, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fail(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	go func() { _ = s.Run(context.Background()) }()
	fmt.Printf("http://%s\n", listener.Addr())
	return fail(http.Serve(listener, s.Handler()))
}

// child starts binary as such a hooks and returns its address.
func child(t *testing.T, binary, state, admin string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command(binary)
	c.Env = append(os.Environ(), childState+"="+state, childAdmin+"="+admin)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("hooks did not start: %v", err)
	}
	return c, strings.TrimSpace(at)
}

// Promise 1: whatever was answered 2xx is in admin in the end, although hooks is killed at any moment, and
// admin comes and goes.
func TestKill9(t *testing.T) {
	admin := newFakeAdmin(t)
	state := t.TempDir()
	promised := map[string]string{} // id → status of the answer
	for round := range 4 {
		stop := func() {}
		if round%2 == 1 { // in the others admin is well, and deliveries go straight through
			stop = flap(t, admin)
		}
		postUntilKilled(t, round, admin, state, promised)
		stop()
	}
	s := newSetup(t, admin.client(t), func(o *Options) { o.State = state })
	s.run(t)
	s.waitEmpty(t)
	how := map[string]int{}
	for id, status := range promised {
		how[status]++
		if admin.delivery(id).ID == "" {
			t.Errorf("%s was answered %s and is not in admin", id, status)
		}
	}
	t.Logf("answers: %v; admin has %d deliveries, and was handed %d", how, len(admin.bodies), len(admin.stored()))
	if how[api.Accepted] == 0 || how[api.Spooled] == 0 {
		t.Error("the rounds did not show both ways of a delivery")
	}
	if stats := s.spool.Stats(); stats.Damaged != 0 || stats.Refused != 0 {
		t.Errorf("set aside: %+v", stats)
	}
}

// flap makes admin break down in changing ways, and work between, until stop is called.
func flap(t *testing.T, admin *fakeAdmin) (stop func()) {
	faults := []http.HandlerFunc{
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		cutOff,
	}
	var flapping sync.WaitGroup
	stopped := make(chan struct{})
	flapping.Go(func() {
		for n := 0; ; n++ {
			admin.breakWith(nil)
			if n%2 == 1 {
				admin.breakWith(faults[n/2%len(faults)])
			}
			select {
			case <-stopped:
				admin.breakWith(nil)
				return
			case <-time.After(rand.N(100 * time.Millisecond)):
			}
		}
	})
	stop = sync.OnceFunc(func() { close(stopped); flapping.Wait() })
	t.Cleanup(stop)
	return stop
}

// postUntilKilled starts one hooks, posts to it from all sides, and kills it at a random moment.
func postUntilKilled(t *testing.T, round int, admin *fakeAdmin, state string, promised map[string]string) {
	t.Helper()
	hooks, at := child(t, os.Args[0], state, admin.URL)
	c := client(t)
	if round%2 == 0 {
		waitDrained(t, c, at)
	}
	var mu sync.Mutex
	var posting sync.WaitGroup
	var killed atomic.Bool
	for poster := range 6 {
		posting.Go(func() {
			for n := 0; !killed.Load(); n++ {
				id := fmt.Sprintf("%d-%d-%d", round, poster, n)
				resp, err := c.Do(post(at, id, push))
				if err != nil {
					continue // no answer: nothing is promised
				}
				r, err := read(resp)
				if err != nil || r.status != http.StatusAccepted {
					continue
				}
				mu.Lock()
				promised[id] = r.receipt(t).Status
				mu.Unlock()
			}
		})
	}
	time.AfterFunc(100*time.Millisecond+rand.N(400*time.Millisecond), func() {
		_ = hooks.Process.Kill()
		killed.Store(true)
	})
	posting.Wait()
	_ = hooks.Wait()
}

// waitDrained waits until what earlier rounds left in the spool has been handed in.
func waitDrained(t *testing.T, c *http.Client, at string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		var ready readiness
		answer := do(t, c, r)
		if err := json.Unmarshal([]byte(answer.body), &ready); err != nil || time.Now().After(deadline) {
			t.Fatalf("still not drained: %s (%v)", answer.body, err)
		}
		if ready.Spool.Deliveries == 0 {
			return
		}
	}
}
