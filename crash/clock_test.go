package crash

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/fleet"
	"lightspeed/run"
)

// clockVariable names the file whose first 8 bytes are how many seconds the clock of a process is off.
const clockVariable = "LIGHTSPEED_TEST_CLOCK"

// clockSource is added to the standard library's package time. The file is mapped, since time.Now is called where
// no system call may be made.
const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var clockOff = openClock()

func openClock() *int64 {
	path, set := syscall.Getenv("` + clockVariable + `")
	if !set {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}
`

// buildWithClock builds lightspeed with a clock that can be set, as the system's can: the time of day jumps, and
// the monotonic clock does not. No privilege is needed, and no other process is touched.
func buildWithClock(t *testing.T, dir string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const read, off = "\tsec, nsec, mono := runtimeNow()\n", "\tsec += *clockOff\n"
	if n := strings.Count(string(source), "func Now() Time {\n"+read); n != 1 {
		t.Fatalf("time.Now of this Go is another: %d matches", n)
	}
	patched := strings.Replace(string(source), "func Now() Time {\n"+read, "func Now() Time {\n"+read+off, 1)
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": patched, "clock_off.go": clockSource} {
		replace[filepath.Join(folder, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := fleet.Build(context.Background(), "..", dir, "-overlay", file)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// clock is that of one world.
type clock struct{ file string }

func (w *world) clock(built string) clock {
	w.t.Helper()
	c := clock{filepath.Join(w.dir, "clock")}
	w.must(os.WriteFile(c.file, make([]byte, 8), 0o600))
	for _, s := range append([]*server{w.admin, w.hooks}, w.listeners...) {
		s.command.Path = built
		s.command.Env = append(s.command.Env, clockVariable+"="+c.file)
	}
	return c
}

// set puts the clock off by d. The file is written in place: it is mapped.
func (c clock) set(t *testing.T, d time.Duration) {
	t.Helper()
	file, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var off [8]byte
	binary.NativeEndian.PutUint64(off[:], uint64(int64(d/time.Second)))
	if _, err := file.WriteAt(off[:], 0); err != nil {
		t.Fatal(err)
	}
}

// The clock is set by months, forward and back, while runs wait and one runs, while deliveries stand in the
// spool, and while processes are away: nothing is given up, lost, forgotten or put out of order.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	built := buildWithClock(t, t.TempDir())
	w := newWorld(t, options{})
	old := w.listener("old", nil, nil)
	newer := w.listener("new", settings{"branches": []string{"**", "!nothing"}}, nil)
	clock := w.clock(built)
	w.start()
	old.start()
	newer.start() // its rules are the newest: the old one gets no work
	gate := w.runOf(w.send("gate"))
	w.awaitLog(gate.ID, 1, half(gate.ID, 1))
	w.send("waits")
	const months = 60 * 24 * time.Hour
	for i, off := range []time.Duration{months, -months} {
		clock.set(t, off)
		w.awaitDate(off)
		pause(t, 3*time.Second) // more than a lease
		if gate = w.awaitStatus(gate.ID, run.Running, run.Lost); gate.Status != run.Running {
			t.Fatalf("clock set by %v: the run is %s: %s", off, gate.Status, text(gate.Reason))
		}
		w.send("more")
		w.admin.Kill()
		w.send("spooled")
		if i == 1 {
			w.hooks.Kill()
			w.hooks.start()
		}
		w.send("spooled")
		w.admin.start()
	}
	w.open()
	w.settle()
	w.check()
	w.checkAttempts("passed")
	w.checkOrder()

	clock.set(t, months)
	w.must(newer.Stop(patience))
	w.await("the new machine's leaving", func() bool {
		l, err := w.api.Listener(t.Context(), "job")
		return err == nil && !l.Connected
	})
	waits := w.runOf(w.send("later"))
	pause(t, 2*time.Second) // the old one asks, and must get nothing
	if waits = w.awaitStatus(waits.ID, run.Queued, run.Passed); waits.Status != run.Queued {
		t.Error("an outdated machine has become the newest")
	}
	newer.start()
	w.settle()
	w.check()
}

// awaitDate waits until admin's time of day is off by as much.
func (w *world) awaitDate(off time.Duration) {
	w.t.Helper()
	w.await("the other date", func() bool {
		resp, err := w.http.Get("http://" + w.adminAddr() + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		date, err := time.Parse(time.RFC1123, resp.Header.Get("Date"))
		return err == nil && date.Sub(time.Now().Add(off)).Abs() < time.Hour
	})
}

// checkOrder compares the order in which runs are listed, and in which they started, with that of the pushes.
func (w *world) checkOrder() {
	w.t.Helper()
	runs, err := w.runs()
	w.must(err)
	for i, r := range runs {
		if want := deliveryID(i + 1); r.Delivery != want {
			w.t.Errorf("run %d is of %s, want %s", i+1, r.Delivery, want)
		}
	}
}
