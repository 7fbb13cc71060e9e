package fanout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/run"
	"lightspeed/secret"
)

const webhookSecret = "fanout-secret"

// script is what every listener runs. $1 is a folder of marks, $2 the machine's name. It marks which machine
// started an attempt, that the same one started twice, and that it ended. On a branch gate… it waits for a file.
const script = `#!/bin/sh
marks=$1 me=$LIGHTSPEED_RUN_ID.$LIGHTSPEED_ATTEMPT
(set -C; echo "$2" > "$marks/started/$me") 2>/dev/null || echo "$2" >> "$marks/twice/$me"
case $LIGHTSPEED_BRANCH in
gate*) while [ ! -e "$marks/open-$LIGHTSPEED_BRANCH" ]; do sleep 0.05; done ;;
nap*) sleep 0.1 ;;
esac
echo > "$marks/ended/$me"
`

// world is admin, hooks and listeners of one test, each a process of its own with a folder of its own.
type world struct {
	t    *testing.T
	dir  string
	http *http.Client
	api  *api.Client

	adminAddr string
	hooksURL  string
	marks     string
	admin     *server
	hooks     *server
	listeners []*server
	sent      []string // ids of deliveries that were promised
}

// newWorld prepares admin, with this lease, and hooks; start starts them.
func newWorld(t *testing.T, lease string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), http: &http.Client{Transport: &http.Transport{}}}
	w.marks = filepath.Join(w.dir, "marks")
	for _, kind := range []string{"started", "twice", "ended"} {
		w.must(os.MkdirAll(filepath.Join(w.marks, kind), 0o755))
	}
	w.write("script.sh", script)
	w.adminAddr = w.address()
	hooks := w.address()
	w.hooksURL = "http://" + hooks + "/receive_hook"
	var err error
	w.api, err = api.NewClient("http://"+w.adminAddr, secret.Value{}, w.http)
	w.must(err)
	w.admin = w.server("admin", "admin", "admin", "--addr", w.adminAddr, "--lease", lease)
	w.hooks = w.server("hooks", "hooks", "hooks", "--addr", hooks, "--secret", webhookSecret, "--admin", "http://"+w.adminAddr)
	t.Cleanup(w.end)
	return w
}

// address is one on loopback that stays the same over a server's lives.
func (w *world) address() string {
	w.t.Helper()
	port, err := fleet.Port()
	w.must(err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func (w *world) server(name, ready string, args ...string) *server {
	args = append(args, "--state", filepath.Join(w.dir, "state-"+name))
	return &server{t: w.t, ready: ready, command: fleet.Command{Name: name, Path: lightspeed, Args: args, Dir: w.dir}}
}

// start starts admin, with this broker or none, and hooks.
func (w *world) start(url string) {
	w.t.Helper()
	w.admin.start(url)
	w.hooks.start("")
}

// listener prepares a machine that listens under these names, all of which run every push.
func (w *world) listener(machine string, concurrency int, names ...string) *server {
	w.t.Helper()
	var configs []map[string]any
	for _, name := range names {
		configs = append(configs, map[string]any{
			"name": name, "repos": []string{"fanout/*"}, "concurrency": concurrency, "share_cwd": true, "timeout": "2m",
			"exec": [][]string{{"sh", filepath.Join(w.dir, "script.sh"), w.marks, machine}},
		})
	}
	text, err := json.Marshal(configs)
	w.must(err)
	l := w.server(machine, "listen "+names[len(names)-1], "listen", w.write(machine+".json", string(text)), "--admin", "http://"+w.adminAddr)
	w.listeners = append(w.listeners, l)
	return l
}

// open lets the scripts that wait at a gate go on.
func (w *world) open(branch string) { w.write("marks/open-"+branch, "") }

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// push sends a push to a branch and wants a promise. It returns the delivery's id.
func (w *world) push(branch string) string {
	w.t.Helper()
	p := fleet.NewPush(fmt.Sprintf("delivery-%d", len(w.sent)+1), "fanout/pushed", branch, "")
	_, err := p.Post(w.t.Context(), w.http, w.hooksURL, webhookSecret)
	w.must(err)
	w.sent = append(w.sent, p.ID)
	return p.ID
}

// runOf returns a delivery's only run, as soon as there is one.
func (w *world) runOf(delivery string) run.Run {
	w.t.Helper()
	var found []run.Run
	w.await("a run of "+delivery, func() bool {
		list, err := w.api.Runs(w.t.Context(), api.RunFilter{Delivery: delivery})
		found = list.Items
		return err == nil && len(found) == 1
	})
	return found[0]
}

// awaitStatus waits until a delivery's only run is in this state, and returns it.
func (w *world) awaitStatus(delivery string, want run.State) run.Run {
	w.t.Helper()
	r := w.runOf(delivery)
	w.await(fmt.Sprintf("run %s of %s to be %s", r.ID, delivery, want), func() bool {
		got, err := w.api.Run(w.t.Context(), r.ID)
		if err == nil {
			r = got
		}
		return r.Status == want
	})
	return r
}

// awaitMark waits until a run's first attempt has started or ended its script.
func (w *world) awaitMark(kind string, r run.Run) {
	w.t.Helper()
	w.await("run "+r.ID+" to have "+kind, func() bool {
		_, err := os.Stat(filepath.Join(w.marks, kind, r.ID+".1"))
		return err == nil
	})
}

// awaitVia waits until admin says of every machine of a listener how it is told of work.
func (w *world) awaitVia(name string, machines int, want string) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d machines of %s to be told by %q", machines, name, want), func() bool {
		l, err := w.api.Listener(w.t.Context(), name)
		return err == nil && len(l.Instances) == machines &&
			!slices.ContainsFunc(l.Instances, func(i api.Instance) bool { return i.Via != want || !i.Connected })
	})
}

// readyz returns what admin says of its broker; empty: it says nothing of any. Admin is ready in any case.
func (w *world) readyz() string {
	w.t.Helper()
	resp, err := w.http.Get("http://" + w.adminAddr + "/readyz")
	w.must(err)
	defer resp.Body.Close()
	var ready struct {
		Ready  bool
		Checks map[string]string
	}
	w.must(json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&ready))
	if !ready.Ready || resp.StatusCode != http.StatusOK {
		w.t.Errorf("admin is not ready: %s %v", resp.Status, ready.Checks)
	}
	return ready.Checks["broker"]
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	if !poll(patience, ok) {
		w.t.Fatalf("waited %v in vain for %s", patience, what)
	}
}

// end ends every process, and shows what was said when the test failed.
func (w *world) end() {
	for _, s := range append(slices.Clip(w.listeners), w.hooks, w.admin) {
		s.end()
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", s.command.Name, s.everything())
		}
	}
	w.http.CloseIdleConnections()
	for _, gate := range []string{"gate", "gate2"} { // of scripts that a killed listener has left
		_ = os.WriteFile(filepath.Join(w.marks, "open-"+gate), nil, 0o600)
	}
}

// settle waits until every run has ended, and checks that each of these many ran once and passed, at its first
// attempt. It returns them.
func (w *world) settle(names int) []run.Run {
	w.t.Helper()
	var runs []run.Run
	w.await("every run to end", func() bool {
		var err error
		runs, err = w.runs()
		return err == nil && len(runs) == names*len(w.sent) &&
			!slices.ContainsFunc(runs, func(r run.Run) bool { return !r.Status.Ended() })
	})
	for _, r := range runs {
		if r.Status != run.Passed || r.Attempt != 1 {
			w.t.Errorf("run %s of %s is %s, attempt %d", r.ID, r.Delivery, r.Status, r.Attempt)
		}
	}
	for kind, want := range map[string]int{"started": len(runs), "ended": len(runs), "twice": 0} {
		if got := len(w.marked(kind)); got != want {
			w.t.Errorf("%d scripts %s, and not %d", got, kind, want)
		}
	}
	return runs
}

func (w *world) runs() ([]run.Run, error) {
	var all []run.Run
	filter := api.RunFilter{Limit: api.MaxLimit}
	for {
		list, err := w.api.Runs(w.t.Context(), filter)
		all = append(all, list.Items...)
		if err != nil || list.Next == nil {
			return all, err
		}
		filter.Before = *list.Next
	}
}

// marked counts the marks of a kind by the machine that left them.
func (w *world) marked(kind string) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.marks, kind))
	w.must(err)
	var machines []string
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(w.marks, kind, entry.Name()))
		w.must(err)
		machines = append(machines, string(bytes.TrimSpace(text)))
	}
	return machines
}

// median of some times.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
