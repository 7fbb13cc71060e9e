package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a disk of this size. Where that is not allowed, the test fails under CI and is skipped
// elsewhere.
func smallDisk(t *testing.T, size string) string {
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
	return dir
}

func TestDiskFull(t *testing.T) {
	dir := filepath.Join(smallDisk(t, "256k"), "spool")
	s := open(t, dir, room)
	var taken []string
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		id := fmt.Sprint(n)
		if err = s.Put(delivery(id, strings.Repeat("x", 10_000))); err == nil {
			taken = append(taken, id)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFull) || len(taken) == 0 {
		t.Fatalf("after %d deliveries: got %v, want ENOSPC", len(taken), err)
	}
	if err := fill(dir); err != nil { // the last blocks, so that nothing at all fits
		t.Fatal(err)
	}
	if err := s.Check(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Check says %v, want ENOSPC", err)
	}
	if got := files(t, dir); len(got) != len(taken) || s.Stats().Deliveries != len(taken) {
		t.Errorf("%d files and %d deliveries, want %d", len(got), s.Stats().Deliveries, len(taken))
	}
	if want := int64(len(taken)) * onDisk(10_300); s.Stats().Bytes != want {
		t.Errorf("%d bytes count, want %d", s.Stats().Bytes, want)
	}
	if err := os.Remove(filepath.Join(dir, "..", "filler")); err != nil {
		t.Fatal(err)
	}
	e, _ := s.Next()
	if err := s.Done(e); err != nil { // room again
		t.Fatal(err)
	}
	put(t, s, "late")
	s.Close()
	if got, want := take(t, open(t, dir, room)), append(taken[1:], "late"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func fill(dir string) error {
	f, err := os.Create(filepath.Join(dir, "..", "filler"))
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, block))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
