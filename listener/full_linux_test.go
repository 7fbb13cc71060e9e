package listener

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lightspeed/run"
)

// smallDisk mounts a file system of a few bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("NOT TESTED, for want of a small disk: mount tmpfs: %v (run as root)", err)
		}
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestDiskFullWhileARunPrints: the run goes on, its result is kept and told, and what is missing is said.
func TestDiskFullWhileARunPrints(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("seq 1 200000; exit 3"), filepath.Join(smallDisk(t, "size=400k"), "state"))
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Failed || *end.ExitCode != 3 {
		t.Errorf("got %+v", end)
	}
	log := f.logOf(r)
	if !strings.HasPrefix(log, "1\n2\n3\n") || strings.Count(log, " bytes of output are missing here: no space left on device\n") != 1 || int64(len(log)) != end.LogBytes {
		t.Errorf("log of %d bytes, want %d, ends with %q", len(log), end.LogBytes, log[max(0, len(log)-200):])
	}
	if s.said.times("output cannot be written to disk") != 1 {
		t.Errorf("said %s", s.said)
	}
	if next := f.awaitEnd(f.push("r2")); next.Status != run.Failed {
		t.Errorf("the next run: %+v", next)
	}
}

// TestDiskFullBeforeARunStarts: it is given back, nothing more is asked for, and when there is room it runs.
func TestDiskFullBeforeARunStarts(t *testing.T) {
	disk := smallDisk(t, "size=400k")
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo ran"), filepath.Join(disk, "state"))
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	r := f.push("r1")
	eventually(t, "a word of it", func() bool { return s.said.times("run is not started: it cannot be written down") == 1 })
	f.await("it is given back", func() bool { return r.status == run.Queued })
	claims := f.called("claim")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if end := f.awaitEnd(r); end.Status != run.Passed || f.logOf(r) != "ran\n" || f.see(r).claim.Attempt != 2 {
		t.Errorf("got %+v, log %q, attempt %d", end, f.logOf(r), f.see(r).claim.Attempt)
	}
	if asked := f.called("claim") - claims; asked > 2 {
		t.Errorf("asked %d times while the disk was full", asked)
	}
}
