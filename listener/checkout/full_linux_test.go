package checkout

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk: the disk is full when the mirror is made, and again when the tree is. Each says so, leaves no half of
// either, and works as soon as there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=600k"); err != nil {
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
	grow := func(size string) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, size); err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 1<<20) // nothing that git could make smaller by much
	_, _ = rand.Read(noise)
	r := newRepo(t)
	r.write("large", hex.EncodeToString(noise))
	sha := r.push("refs/heads/main", "a large file")
	f := &fixture{t: t, store: Open(filepath.Join(dir, "mirrors")), dir: dir}
	fails := func(where string) {
		t.Helper()
		q := f.want("file://"+r.dir, "refs/heads/main", sha)
		_, err := f.store.Checkout(t.Context(), q)
		var known *Error
		if !errors.As(err, &known) || !strings.Contains(strings.ToLower(known.Reason), "no space left on device") {
			t.Errorf("%s: %v", where, err)
		}
		if _, err := os.Lstat(q.Tree); !os.IsNotExist(err) {
			t.Errorf("%s: half a tree is left: %v", where, err)
		}
	}
	fails("no room for the mirror")
	grow("size=2500k")
	fails("room for the mirror, and none for the tree")
	grow("size=20m")
	if got := len(content(t, filepath.Join(f.get(f.want("file://"+r.dir, "refs/heads/main", sha)), "large"))); got != 2<<20 {
		t.Errorf("the file has %d bytes", got)
	}
}
