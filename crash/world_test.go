package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/run"
	"lightspeed/secret"
)

const webhookSecret = "crash-secret"

// world is admin, hooks and listeners of one test, each a process of its own with a folder of its own.
type world struct {
	t    *testing.T
	dir  string
	port int // admin's
	api  *api.Client
	http *http.Client

	hooksURL  string
	marks     string
	admin     *server
	hooks     *server
	listeners []*server
	links     []*fleet.Proxy
	count     int    // deliveries made
	commit    string // what is pushed; empty: something made up

	accepted map[string]string  // ids of deliveries → what hooks promised first
	kept     map[run.Ref][]byte // output that stood in a listener's journal when it was killed
	doomed   chan error         // how the death of the process went that was to die; nil when none was
}

// options change what newWorld makes.
type options struct {
	lease      string // admin's; "2s" when empty
	adminState string // folders, when they are not to be in the world's own
	hooksState string
}

// newWorld prepares admin and hooks; start and listener start them.
func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), accepted: map[string]string{}, kept: map[run.Ref][]byte{}, http: &http.Client{Transport: &http.Transport{}}}
	w.marks = filepath.Join(w.dir, "marks")
	for _, kind := range markKinds {
		w.must(os.MkdirAll(filepath.Join(w.marks, kind), 0o755))
	}
	w.write("script.sh", script)
	if o.lease == "" {
		o.lease = "2s"
	}
	if o.adminState == "" {
		o.adminState = filepath.Join(w.dir, "state-admin")
	}
	if o.hooksState == "" {
		o.hooksState = filepath.Join(w.dir, "state-hooks")
	}
	var err error
	w.port, err = fleet.Port()
	w.must(err)
	hooksPort, err := fleet.Port()
	w.must(err)
	w.hooksURL = fmt.Sprintf("http://127.0.0.1:%d/receive_hook", hooksPort)
	w.api, err = api.NewClient("http://"+w.adminAddr(), secret.Value{}, w.http)
	w.must(err)
	w.admin = w.server("admin", "admin", "admin", "--addr", w.adminAddr(), "--lease", o.lease, "--state", o.adminState)
	w.hooks = w.server("hooks", "hooks", "hooks", "--addr", fmt.Sprintf("127.0.0.1:%d", hooksPort),
		"--secret", webhookSecret, "--admin", "http://"+w.adminAddr(), "--state", o.hooksState)
	t.Cleanup(w.end)
	return w
}

func (w *world) adminAddr() string { return fmt.Sprintf("127.0.0.1:%d", w.port) }

func (w *world) server(name, ready string, args ...string) *server {
	return &server{t: w.t, ready: ready, command: fleet.Command{Name: name, Path: lightspeed, Args: args, Dir: w.dir}}
}

// start starts admin and hooks.
func (w *world) start() {
	w.t.Helper()
	w.admin.start()
	w.hooks.start()
}

// settings of a listener's config that a test changes.
type settings map[string]any

// listener prepares a listener on a machine of its own. through is its way to admin; nil goes straight.
func (w *world) listener(machine string, change settings, through *fleet.Proxy) *server {
	w.t.Helper()
	config := w.config(machine, change)
	addr := w.adminAddr()
	if through != nil {
		addr = through.Addr()
	}
	l := w.server(machine, "listen job", "listen", config, "--admin", "http://"+addr, "--state", w.listenerState(machine))
	w.listeners = append(w.listeners, l)
	return l
}

func (w *world) listenerState(machine string) string { return filepath.Join(w.dir, "state-"+machine) }

// config writes a machine's config, anew when it is there.
func (w *world) config(machine string, change settings) string {
	w.t.Helper()
	config := settings{
		"name": "job", "repos": []string{"crash/*"}, "timeout": "60s", "grace": "300ms",
		"exec": [][]string{{"sh", filepath.Join(w.dir, "script.sh"), w.marks, "1"}},
	}
	for key, value := range change {
		config[key] = value
	}
	text, err := json.Marshal(config)
	w.must(err)
	return w.write(machine+".json", string(text))
}

// link makes a way to admin that can be cut.
func (w *world) link() *fleet.Proxy {
	w.t.Helper()
	link, err := fleet.NewProxy(w.adminAddr())
	w.must(err)
	w.links = append(w.links, link)
	return link
}

// open lets the scripts that wait at their gate go on.
func (w *world) open() { w.write("marks/go", "") }

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.WriteFile(path, []byte(text), 0o755))
	return path
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// await polls until ok.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	if !poll(patience, ok) {
		w.t.Fatalf("waited %v in vain for %s", patience, what)
	}
}

// poll asks until ok or until the time is over.
func poll(limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// awaitListener waits until admin knows the listener.
func (w *world) awaitListener() {
	w.t.Helper()
	w.await("the listener's registration", func() bool {
		_, err := w.api.Listener(w.t.Context(), "job")
		return err == nil
	})
}

// runs reads all of them, the oldest first.
func (w *world) runs() ([]run.Run, error) {
	list, err := w.api.Runs(w.t.Context(), api.RunFilter{Limit: api.MaxLimit})
	if err != nil {
		return nil, err
	}
	slices.Reverse(list.Items)
	return list.Items, nil
}

// runOf returns a delivery's run, as soon as there is one.
func (w *world) runOf(delivery string) run.Run {
	w.t.Helper()
	var found run.Run
	w.await("a run of "+delivery, func() bool {
		list, err := w.api.Runs(w.t.Context(), api.RunFilter{Delivery: delivery})
		if err == nil && len(list.Items) > 0 {
			found = list.Items[0]
		}
		return found.ID != ""
	})
	return found
}

// awaitStatus waits until a run is in one of these states, and returns it.
func (w *world) awaitStatus(id string, states ...run.State) run.Run {
	w.t.Helper()
	var r run.Run
	ok := poll(patience, func() bool {
		got, err := w.api.Run(w.t.Context(), id)
		if err != nil {
			return false
		}
		r = got
		return slices.Contains(states, r.Status)
	})
	if !ok {
		w.t.Fatalf("run %s is %s (%s), and not %v", id, r.Status, text(r.Reason), states)
	}
	return r
}

// awaitLog waits until admin has at least this much of an attempt's log.
func (w *world) awaitLog(id string, attempt int, want string) {
	w.t.Helper()
	w.await("the log of "+id, func() bool {
		got, err := w.log(id, attempt)
		return err == nil && strings.HasPrefix(got, want)
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// end ends every process, also scripts that a killed listener left, and shows what was said when it failed.
func (w *world) end() {
	if w.doomed != nil {
		if err := <-w.doomed; err != nil { // its context has ended by now
			w.t.Error(err)
		}
	}
	for _, s := range append([]*server{w.hooks, w.admin}, w.listeners...) {
		s.end()
		if w.t.Failed() && s.command.Name != "" {
			w.t.Logf("%s said:\n%s", s.command.Name, s.everything())
		}
	}
	for _, link := range w.links {
		link.Close()
	}
	w.http.CloseIdleConnections()
	for _, pid := range w.alive() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// alive finds the scripts of this world that run.
func (w *world) alive() []int {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	w.must(err)
	var pids []int
	for _, path := range found {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(w.marks+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// marked reports whether an attempt's script has left a mark.
func (w *world) marked(kind, id string, attempt int) bool {
	_, err := os.Stat(filepath.Join(w.marks, kind, id+"."+strconv.Itoa(attempt)))
	return err == nil
}
