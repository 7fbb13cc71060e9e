package crash

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// disk is a small disk of its own.
type disk struct {
	t   *testing.T
	dir string
}

// newDisk mounts one. Where that is not allowed the test fails under CI, and is skipped elsewhere.
func newDisk(t *testing.T, size string) disk {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a tmpfs: %v: run the tests as root", err)
		}
		t.Skipf("disk full is NOT tested: mount a tmpfs: %v: run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return disk{t, dir}
}

// fill takes every block that is free.
func (d disk) fill() {
	d.t.Helper()
	file, err := os.OpenFile(d.filler(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

// free gives them back.
func (d disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) filler() string { return filepath.Join(d.dir, "filler") }

// The disk of hooks is full while admin is away: what was taken is kept, more is refused by a 503 that says why,
// and taken when there is room again.
func TestDiskOfHooksIsFull(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "400k")
	w := newWorld(t, options{hooksState: d.dir})
	w.start()
	w.listener("machine", nil, nil).start()
	w.admin.Kill()
	taken := w.flood("main", 100, 10<<10)
	if len(taken) == 0 || len(taken) == 100 {
		t.Fatalf("%d of 100 were taken: the disk was not full", len(taken))
	}
	d.fill()
	a, err := w.post(w.push("main"))
	if w.must(err); a.refused != http.StatusServiceUnavailable || a.Error == nil ||
		a.Error.Message != "admin does not take it now, and the spool cannot be written" {
		t.Errorf("on a full disk: %+v %+v", a, a.Error)
	}
	w.hooks.Kill()
	w.hooks.start() // on the full disk
	w.admin.start()
	w.settle()
	d.free()
	w.admin.Kill()
	w.send("main")
	w.admin.start()
	w.settle()
	w.check()
	w.checkAttempts("passed")
}

// The disk of admin is full: deliveries wait in hooks, a run that goes on is not disturbed, admin can be killed and
// started again, says once what is wrong, and has all of it whole when there is room.
func TestDiskOfAdminIsFull(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "32m")
	w := newWorld(t, options{adminState: d.dir})
	w.start()
	w.listener("machine", nil, nil).start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	d.fill()
	for range 10 {
		w.send("main")
	}
	if w.accepted[deliveryID(11)] != api.Spooled {
		t.Error("the disk is full, and admin takes deliveries")
	}
	w.open()
	w.await("the end of its script", func() bool { return w.marked("ended", r.ID, 1) })
	pause(t, time.Second) // everyone tries again and again
	if n := strings.Count(w.admin.Log(), "level=ERROR"); n != 1 || !strings.Contains(w.admin.Log(), `msg="the disk is full: `) {
		t.Errorf("admin says it %d times:\n%s", n, w.admin.Log())
	}
	w.admin.Kill()
	w.admin.start() // on the full disk
	d.free()
	w.settle()
	w.check()
	w.checkAttempts("passed")
}

// The disk of a listener is full: the end of what runs is told all the same; it starts nothing that it cannot
// write down, and gives it back; output that found no room is missing, and the log says how much.
func TestDiskOfAListenerIsFull(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "1m")
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.command.Args[len(l.command.Args)-1] = d.dir
	l.start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	d.fill()
	w.open()
	w.awaitStatus(r.ID, run.Passed)
	w.await("an empty journal", func() bool {
		held, err := os.ReadDir(filepath.Join(d.dir, "listener", "job", "attempts"))
		return err == nil && len(held) == 0
	})
	d.fill()
	next := w.runOf(w.send("main"))
	w.await("the next run, given back", func() bool {
		next, _ = w.api.Run(t.Context(), next.ID)
		return len(next.Attempts) > 0 && next.Attempts[0].Status == run.NotStarted
	})
	pause(t, time.Second) // it must not be asked for again and again
	d.free()
	next = w.awaitStatus(next.ID, run.Passed)
	if got := statuses(next); got != "not_started passed" || text(next.Attempts[0].Reason) != "the listener could not write its journal" {
		t.Errorf("its attempts are %s: %s", got, text(next.Attempts[0].Reason))
	}
	w.settle()
	w.check()
}

func TestOutputThatFindsNoRoom(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "1m")
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", settings{"exec": []string{"head -c 2000000 /dev/zero | tr '\\0' x", "echo", "echo end"}}, nil)
	l.command.Args[len(l.command.Args)-1] = d.dir
	l.start()
	r := w.awaitStatus(w.runOf(w.send("main")).ID, run.Passed)
	body, err := w.api.Log(t.Context(), r.ID, api.LogQuery{})
	w.must(err)
	defer body.Close()
	log, err := io.ReadAll(io.LimitReader(body, 4<<20))
	w.must(err)
	missing := regexp.MustCompile(`\nlightspeed: (\d+) bytes of output are missing here: .*no space left on device\n`).FindSubmatch(log)
	if missing == nil {
		t.Fatalf("log of %d bytes ends with %q", len(log), log[max(0, len(log)-300):])
	}
	if n, _ := strconv.Atoi(string(missing[1])); n+len(log)-len(missing[0]) != 2000000+len("\nend\n") {
		t.Errorf("%d bytes are said to be missing, and %d are there", n, len(log)-len(missing[0]))
	}
	if n := strings.Count(l.everything(), "level=ERROR"); n > 2 {
		t.Errorf("the listener says it %d times:\n%s", n, l.everything())
	}
}
