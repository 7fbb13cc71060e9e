package hooks

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// Under a flood of the largest bodies there can be, admin coming and going, hooks stays under 128 MB.
func TestMemoryUnderFlood(t *testing.T) {
	const limit = 128_000
	binary := filepath.Join(t.TempDir(), "hooks.test")
	// Not this test's own binary: with the race detector in it, it would measure that.
	if out, err := exec.Command("go", "test", "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the binary to be measured: %v\n%s", err, out)
	}
	admin := newFakeAdmin(t)
	admin.breakWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	hooks, at := child(t, binary, t.TempDir(), admin.URL)
	idle := peak(t, hooks.Process.Pid)
	c := client(t)
	large := `{"a":"` + strings.Repeat("x", event.MaxPayload-8) + `"}`
	small := `{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`
	signedLarge, signedSmall := sign(key, large), sign(key, small)

	var flood sync.WaitGroup
	var taken, busy, spooled atomic.Int64
	send := func(id, body, signature string) {
		r := post(at, id, "", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			r.Header.Set("X-Hub-Signature-256", signature)
		})
		switch r := do(t, c, r); {
		case r.status == http.StatusServiceUnavailable:
			busy.Add(1)
		case r.status == http.StatusAccepted && r.receipt(t).Status == api.Spooled:
			if spooled.Add(1) == 3 {
				admin.breakWith(nil) // from now on the spool is read, too
			}
			fallthrough
		default:
			taken.Add(1)
		}
	}
	for i := range 6 {
		flood.Go(func() { send(fmt.Sprintf("large-%d", i), large, signedLarge) })
		flood.Go(func() {
			for n := range 3 {
				send(fmt.Sprintf("small-%d-%d", i, n), small, signedSmall)
			}
		})
	}
	flood.Wait()
	kb := peak(t, hooks.Process.Pid)
	t.Logf("peak %d KB (%d when idle); %d deliveries taken, %d of them spooled, %d told to come again", kb, idle, taken.Load(), spooled.Load(), busy.Load())
	if kb > limit || taken.Load() == 0 {
		t.Errorf("peak %d KB, want under %d; %d taken", kb, limit, taken.Load())
	}
}

// peak reads the most memory that a process ever had resident, in KB.
func peak(t *testing.T, pid int) (kb int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			fmt.Sscan(value, &kb)
		}
	}
	return kb
}

func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=128k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a tmpfs: %v: run the tests as root", err)
		}
		t.Skipf("disk full is NOT tested: mount a tmpfs: %v: run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { diskFull(t, filepath.Join(disk, "hooks")) })
}

func diskFull(t *testing.T, state string) {
	admin := &switched{err: away}
	s := newSetup(t, admin, func(o *Options) { o.State = state })
	var spooled []string
	var r reply
	for n := 0; n < 100; n++ {
		id := fmt.Sprint(n)
		if r = s.direct(post("", id, push)); r.status != http.StatusAccepted {
			break
		}
		spooled = append(spooled, id)
	}
	if want := failure(api.Unavailable, "admin does not take it now, and the spool cannot be written"); r.status != 503 || r.body != want {
		t.Fatalf("after %d: got %d %s, want 503 %s", len(spooled), r.status, r.body, want)
	}
	lines := s.log.with("refused")
	if len(lines) != 1 || !strings.Contains(lines[0]["error"].(string), "no space left on device") {
		t.Errorf("the log does not say why: %v", lines)
	}
	ready, _ := http.NewRequest(http.MethodGet, "/readyz", nil)
	if r := s.direct(ready); r.status != 503 || !strings.HasPrefix(r.body, `{"ready":false,"checks":{"spool":"cannot be written: no space left on device"},`) {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	admin.fail(nil)
	stop := s.run(t)
	synctest.Wait()
	if got := admin.taken(); !slices.Equal(got, spooled) {
		t.Errorf("admin has got %v, want %v", got, spooled)
	}
	s.accept(t, api.Accepted, "after")
	time.Sleep(checkEvery)
	if r := s.direct(ready); r.status != 200 {
		t.Errorf("readyz with room again: %d %s", r.status, r.body)
	}
	stop()
	s.Close()
}
