package admin

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// smallDisk mounts a small tmpfs, which only root may do, with a file that fills half of it.
func smallDisk(t *testing.T) (dir, filler string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
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
	filler = filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, filler
}

// On a full disk admin says so, to hooks and to listeners, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	dir, filler := smallDisk(t)
	f := startIn(t, filepath.Join(dir, "admin"))
	defer f.end() // before the disk is unmounted
	l := f.listener("web")
	f.push("d1", "main")
	c := l.mustClaim()
	const full = "the disk of admin is full: nothing was stored"
	var err error
	var end int64
	chunk := strings.Repeat("x", 300_000)
	for n := 0; err == nil; n++ {
		if end, err = f.client.AppendLog(t.Context(), refOf(c), end, []byte(chunk)); n > 100 {
			t.Fatal("the disk is not small")
		}
	}
	if refused := f.wantCode(err, 503, api.Unavailable); refused.Message != full || !api.Temporary(err) {
		t.Errorf("%v", err)
	}
	_, err = f.client.Deliver(t.Context(), delivery(t, "d2", event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha("2"), Message: chunk}))
	if refused := f.wantCode(err, 503, api.Unavailable); refused.Message != full {
		t.Errorf("%v", err)
	}
	f.server.probe = probe{}
	if status, body := f.call("GET", "/readyz", ""); status != 503 || !strings.Contains(body, full) {
		t.Errorf("%d %s", status, body)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f.push("d2", "main")
	size := f.run(c.Run.ID).LogBytes
	if _, err := f.append(c, size, "the end\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: size + 8}); err != nil {
		t.Fatal(err)
	}
	if text := f.log(c.Run.ID, api.LogQuery{}); int64(len(text)) != size+8 || strings.Trim(strings.TrimSuffix(text, "the end\n"), "x") != "" {
		t.Errorf("the log has %d bytes", len(text))
	}
}

// An artifact that the disk has no room for is refused in words and leaves the room to logs and results.
func TestFullDiskForArtifacts(t *testing.T) {
	dir, _ := smallDisk(t)
	f := startIn(t, filepath.Join(dir, "admin"))
	defer f.end()
	l := f.listener("web")
	f.push("d1", "main")
	c := l.mustClaim()
	large := artifact("large", "")
	large.Bytes = 100 << 20
	var err error
	for offset := int64(0); err == nil && offset < large.Bytes; {
		offset, err = f.client.AppendArtifact(t.Context(), refOf(c), large, offset, make([]byte, api.MaxLogChunk))
	}
	if refused := f.wantCode(err, 507, api.Full); refused.Message != "the disk of admin is full: the artifact was not stored" {
		t.Errorf("%v", err)
	}
	if _, err := f.append(c, 0, "the end\n"); err != nil {
		t.Error(err)
	}
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: 8}); err != nil {
		t.Error(err)
	}
}
