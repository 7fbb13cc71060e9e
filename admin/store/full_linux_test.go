package store

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lightspeed/api"
)

// smallDisk mounts a small tmpfs, which only root may do.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Skipf("LOUD: a full disk is not tested here, mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk nothing that was accepted is lost, nothing else is said to be accepted, and it goes on when
// there is room.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "8m")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "admin.db")
	f := openAt(t, path)
	l := f.listen("web", "i1")
	m := l.matched()
	accepted := map[string]bool{}
	deliver := func() error {
		a := f.acceptance(pushed("1", "2"), m)
		a.Delivery.Body = append(bytes.Repeat([]byte("x"), 100_000), a.Delivery.ID...)
		receipt, err := f.Accept(t.Context(), a)
		accepted[a.Delivery.ID] = err == nil && receipt.Status == api.Accepted
		return err
	}
	var err error
	for n := 0; err == nil; n++ {
		if err = deliver(); n > 100 {
			t.Fatal("the disk is not small")
		}
	}
	if !IsFull(err) {
		t.Fatalf("error %v", err)
	}
	if err := deliver(); !IsFull(err) {
		t.Fatalf("error %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := deliver(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openAt(t, path)
	for id, want := range accepted {
		d, err := f.Delivery(t.Context(), id)
		if want && (err != nil || len(d.Runs) != 1) {
			t.Errorf("%s was accepted and is lost: %+v, %v", id, d, err)
		}
		if !want && !api.IsCode(err, api.NotFound) {
			t.Errorf("%s was refused and is there: %v", id, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
