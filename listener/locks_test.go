package listener

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/listener/lock"
	"lightspeed/run"
)

// hold takes a lock as another listener of this machine would.
func hold(t *testing.T, l lock.Lock) *lock.Held {
	t.Helper()
	held, err := lock.Take(t.Context(), []lock.Lock{l}, func(lock.Lock, int) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Release)
	return held
}

// TestLock: a run is not claimed before its listener has the machine's lock, and holds that until its commands are done.
func TestLock(t *testing.T) {
	f := newFakeAdmin(t)
	f.lease = 1 // it registers while it waits, or would count as gone
	c := conf("echo begun; sleep 600")
	c.LockFile = filepath.Join(t.TempDir(), "lock")
	held := hold(t, lock.File(c.LockFile))
	s := launch(t, f, c, t.TempDir(), false)
	r := f.push("r1")
	eventually(t, "that it waits", func() bool { return s.said.times(`msg="there is work, and it waits for lock_file `) == 1 })
	f.await("registrations", func() bool { return len(f.registrations) > 3 })
	if n := f.called("claim"); n != 0 || f.see(r).status != run.Queued {
		t.Errorf("claimed %d times without the lock; the run is %s", n, f.see(r).status)
	}
	all := f.registered()
	if w := all[len(all)-1].Waiting; w == nil || w.String() != fmt.Sprintf("waits for lock_file, held by process %d", os.Getpid()) || time.Since(w.Since) > time.Minute {
		t.Errorf("admin was told that it waits: %+v", w)
	}
	if said := fmt.Sprintf(`held_by="process %d"`, os.Getpid()); s.said.times(said) != 1 {
		t.Errorf("it said %s, want %s in it", s.said, said)
	}
	held.Release()
	f.awaitLog(r, "begun")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lock.Take(short, s.newest.Load().locks, func(lock.Lock, int) {}); err == nil {
		t.Error("the lock is free while the run goes on")
	}
	s.CancelRuns("enough")
	f.awaitEnd(r)
	hold(t, s.newest.Load().locks[0]).Release()
	if s.said.times("has the machine's locks") != 1 {
		t.Errorf("it said %s", s.said)
	}
}

// TestLockThatCannotBeTaken is refused when the listener starts.
func TestLockThatCannotBeTaken(t *testing.T) {
	c := conf("true")
	c.LockFile = filepath.Join(t.TempDir(), "none", "lock")
	_, err := New(Options{Config: c, State: t.TempDir()})
	want := fmt.Sprintf(`lock_file %s of listener "l": open %s: no such file or directory`, c.LockFile, c.LockFile)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestLockIsFreeWhileThereIsNoWork: a listener that waits for work keeps nobody waiting.
func TestLockIsFreeWhileThereIsNoWork(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("true")
	c.LockFile = filepath.Join(t.TempDir(), "lock")
	s := launch(t, f, c, t.TempDir(), false)
	f.await("a look", func() bool { return f.calls["look"] > 0 })
	hold(t, s.newest.Load().locks[0]).Release()
	if end := f.awaitEnd(f.push("r1")); end.Status != run.Passed {
		t.Errorf("got %+v", end)
	}
	f.await("another look", func() bool { return f.calls["look"] > 1 })
	hold(t, s.newest.Load().locks[0]).Release()
}

// TestOneAtATimeInAFolder: runs of one listener on one machine never share their folder, whatever its concurrency
// and whoever else runs it.
func TestOneAtATimeInAFolder(t *testing.T) {
	f := newFakeAdmin(t)
	dir := t.TempDir()
	c := conf("mkdir inside && sleep 0.05 && rmdir inside")
	c.Cwd = dir
	other := hold(t, *folder(c))
	s := listen(t, f, c, t.TempDir())
	first := f.push("r1")
	f.awaitLog(first, "lightspeed: waits for another run of this listener in the same folder\n")
	other.Release()
	c.Concurrency = 3
	if n := c.AtOnceHere(); n != 1 {
		t.Errorf("%d at once in one folder", n)
	}
	for _, r := range []*fakeRun{first, f.push("r2"), f.push("r3")} {
		if end := f.awaitEnd(r); end.Status != run.Passed {
			t.Errorf("got %+v, log %q", end, f.logOf(r))
		}
	}
	if strings.Contains(s.said.String(), "cannot be locked") {
		t.Errorf("it said %s", s.said)
	}
}
