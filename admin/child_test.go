package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
	"lightspeed/secret"
)

// childVariable names the state folder of a test binary that is to be an admin and nothing else: the tests
// kill it.
const childVariable = "LIGHTSPEED_ADMIN_TEST_CHILD"

// serveAsChild serves until it is killed, or its standard input ends because the test has gone.
func serveAsChild(state string) int {
	s, err := New(Options{State: state})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = s.Run(context.Background()) }()
	go func() { _ = http.Serve(socket, s.Handler()) }()
	fmt.Println("http://" + socket.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// child is an admin in a process of its own.
type child struct {
	t     *testing.T
	state string
	cmd   *exec.Cmd
	stdin io.Closer
	base  atomic.Pointer[api.Client]
	http  *http.Client
}

func startChild(t *testing.T) *child {
	c := &child{t: t, state: filepath.Join(t.TempDir(), "admin"), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	c.start()
	t.Cleanup(func() { c.kill(); c.http.CloseIdleConnections() })
	return c
}

func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childVariable+"="+c.state)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.t.Fatal("admin did not start: ", err)
	}
	client, err := api.NewClient(strings.TrimSpace(line), secret.Value{}, c.http)
	if err != nil {
		c.t.Fatal(err)
	}
	c.base.Store(client)
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
}

// told is what admin has said: it must be true for ever.
type told struct {
	progress chan struct{} // one for each call that was answered
	mu       sync.Mutex
	accepted map[string]string // delivery → run
	finished map[string]int64  // run → length of its log
}

func (s *told) tell() {
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// deliver hands in deliveries until ctx ends, each until it is answered.
func (c *child) deliver(ctx context.Context, worker int, said *told) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("d-%d-%d", worker, n)
		d := delivery(c.t, id, event.PushSpec{Repo: "acme/web", Branch: fmt.Sprintf("b%d", n%3), SHA: sha(id), Nonce: id})
		for ctx.Err() == nil {
			receipt, err := c.base.Load().Deliver(ctx, d)
			if err != nil {
				wait(ctx, 5*time.Millisecond)
				continue
			}
			if len(receipt.Runs) != 1 {
				c.t.Errorf("delivery %s: %+v", id, receipt)
				return
			}
			said.mu.Lock()
			said.accepted[id] = receipt.Runs[0].ID
			said.mu.Unlock()
			said.tell()
			break
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// work plays a listener: it claims, logs and finishes, each call until it is answered.
func (c *child) work(ctx context.Context, worker int, said *told, starts *sync.Map) {
	reg := api.Registration{Instance: fmt.Sprintf("i%d", worker), Start: "s1", Revision: 1, Host: "box",
		Settings: api.Settings{Rules: match.Rules{Name: "web", Repos: []string{"**"}}, Concurrency: 4}}
	if !until(ctx, func() error { _, err := c.base.Load().Register(ctx, "web", reg); return err }) {
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		request := api.ClaimRequest{Instance: reg.Instance, Start: reg.Start, Revision: 1, Key: fmt.Sprintf("k%d", n)}
		var claim *api.Claim
		ok := until(ctx, func() (err error) {
			claim, err = c.base.Load().Claim(ctx, "web", request, time.Second)
			return err
		})
		if !ok || claim == nil {
			continue
		}
		if was, twice := starts.LoadOrStore(claim.Run.ID, request.Key); twice {
			c.t.Errorf("run %s was handed out as %v and as %s", claim.Run.ID, was, request.Key)
		}
		c.finishRun(ctx, claim, said)
	}
}

func (c *child) finishRun(ctx context.Context, claim *api.Claim, said *told) {
	text := []byte(strings.Repeat("line of "+claim.Run.ID+"\n", 1+len(claim.Run.ID)))
	ok := until(ctx, func() error { _, err := c.base.Load().AppendLog(ctx, refOf(claim), 0, text); return err }) &&
		until(ctx, func() error {
			_, err := c.base.Load().Finish(ctx, refOf(claim), api.Finish{Status: run.Passed, LogBytes: int64(len(text))})
			return err
		})
	if ok {
		said.mu.Lock()
		said.finished[claim.Run.ID] = int64(len(text))
		said.mu.Unlock()
		said.tell()
	}
}

// until repeats a call until it is answered, and reports whether it was.
func until(ctx context.Context, call func() error) bool {
	for ctx.Err() == nil {
		err := call()
		if err == nil {
			return true
		}
		var refused *api.Error
		if errors.As(err, &refused) && refused.Status < 500 {
			return false
		}
		wait(ctx, 5*time.Millisecond)
	}
	return false
}

// kill -9 at any moment, again and again, under load: what was answered is there, once, and nothing is handed
// out twice.
func TestKilledAgainAndAgain(t *testing.T) {
	c := startChild(t)
	said := &told{progress: make(chan struct{}, 100), accepted: map[string]string{}, finished: map[string]int64{}}
	var starts sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for worker := range 2 {
		group.Go(func() { c.work(ctx, worker, said, &starts) })
	}
	for !until(ctx, func() error { _, err := c.base.Load().Listener(ctx, "web"); return err }) {
		wait(ctx, 5*time.Millisecond) // nobody has registered yet
	}
	for worker := range 6 {
		group.Go(func() { c.deliver(ctx, worker, said) })
	}
	for range 8 {
		for range 4 + rand.IntN(20) {
			<-said.progress
		}
		wait(ctx, time.Duration(rand.IntN(30))*time.Millisecond)
		c.kill()
		c.start()
	}
	for range 20 {
		<-said.progress
	}
	cancel()
	group.Wait()
	c.kill()
	checkTold(t, c.state, said)
}

func checkTold(t *testing.T, state string, said *told) {
	t.Helper()
	f := startIn(t, state)
	for id, want := range said.accepted {
		d, err := f.client.Delivery(t.Context(), id)
		if err != nil || len(d.Runs) != 1 || d.Runs[0].ID != want {
			t.Errorf("delivery %s was accepted as run %s: %+v, %v", id, want, d.Runs, err)
		}
	}
	for id, size := range said.finished {
		r := f.run(id)
		if r.Status != run.Passed || r.LogBytes != size || int64(len(f.log(id, api.LogQuery{}))) != size || len(r.Attempts) != 1 {
			t.Errorf("run %s was finished with %d bytes: %+v", id, size, r)
		}
	}
	t.Logf("%d deliveries accepted, %d runs finished", len(said.accepted), len(said.finished))
}
