package crash

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/run"
	"lightspeed/secret"
)

// Spool files that are torn are kept aside and named, those that were half written are cleared away, and all
// others are handed on. A redelivery of what was torn is taken.
func TestTornSpoolFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.listener("machine", nil, nil).start()
	w.admin.Kill()
	for range 4 {
		w.send("main")
	}
	w.hooks.Kill()
	spool := filepath.Join(w.dir, "state-hooks", "hooks", "spool")
	files, err := filepath.Glob(filepath.Join(spool, "0*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("in the spool: %v, %v", files, err)
	}
	w.must(os.Truncate(files[0], 300)) // in its body
	w.must(os.Truncate(files[2], 0))
	w.must(os.WriteFile(filepath.Join(spool, "7.tmp"), []byte("half"), 0o600))
	for _, torn := range []int{1, 3} {
		delete(w.accepted, deliveryID(torn))
	}
	w.hooks.start()
	w.admin.start()
	w.settle()
	if n := strings.Count(w.hooks.everything(), "a delivery in the spool is damaged: redeliver it from GitHub"); n != 2 {
		t.Errorf("it is said %d times, want once for each", n)
	}
	left, err := filepath.Glob(filepath.Join(spool, "[0-9]*"))
	if aside, _ := filepath.Glob(filepath.Join(spool, "damaged", "*")); err != nil || len(left) != 0 || len(aside) != 2 {
		t.Errorf("left in the spool: %v; kept aside: %v", left, aside)
	}
	w.count = 0 // the same deliveries once more
	for range 4 {
		w.send("main")
	}
	w.settle()
	w.check()
}

// A database that a newer version has written is refused, and left as it is.
func TestDatabaseOfANewerVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.listener("machine", nil, nil).start()
	w.send("main")
	w.settle()
	w.must(w.admin.Stop(patience))
	path := filepath.Join(w.dir, "state-admin", "admin", "admin.db")
	version := w.setVersion(path, 99)
	w.must(w.admin.launch())
	<-w.admin.Done()
	const why = "was written by a newer version of lightspeed: its schema is 99, this one knows up to"
	if said := w.admin.Log(); !strings.Contains(said, why) || strings.Count(strings.TrimSpace(said), "\n") > 1 {
		t.Errorf("it said %q", said)
	}
	w.setVersion(path, version)
	w.admin.start()
	w.send("main")
	w.settle()
	w.check()
}

// setVersion sets a database's schema version, and returns the one that it had.
func (w *world) setVersion(path string, version int) (before int) {
	w.t.Helper()
	db, err := sql.Open("sqlite", path)
	w.must(err)
	defer db.Close()
	w.must(db.QueryRow("PRAGMA user_version").Scan(&before))
	_, err = db.Exec(fmt.Sprintf("PRAGMA user_version = %d", version))
	w.must(err)
	return before
}

// admin's folder is copied away while deliveries come in and a run goes on; an admin that is started on the copy
// has all that was promised before, and tells the truth about the run, which it can hear of no more.
func TestStateCopiedWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	gate := w.runOf(w.send("gate"))
	w.awaitLog(gate.ID, 1, half(gate.ID, 1))
	before := w.flood("waits", 50, 7<<10)
	var busy sync.WaitGroup
	busy.Go(func() { w.flood("waits", 100, 7<<10) })
	copied := filepath.Join(w.dir, "copy")
	w.must(os.CopyFS(copied, os.DirFS(filepath.Join(w.dir, "state-admin"))))
	busy.Wait()

	port, err := fleet.Port()
	w.must(err)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	second := w.server("copy", "admin", "admin", "--addr", addr, "--lease", "2s", "--state", copied)
	second.start()
	t.Cleanup(second.end)
	there := *w
	there.api, err = api.NewClient("http://"+addr, secret.Value{}, w.http)
	w.must(err)
	stored, err := there.deliveries()
	w.must(err)
	for _, id := range before {
		if stored[id] != 1 {
			t.Errorf("%s had been promised before the copy, and is in it %d times", id, stored[id])
		}
	}
	if r := there.awaitStatus(gate.ID, run.Lost); r.SlotHeldUntil == nil {
		t.Errorf("in the copy: %+v", r)
	}
	if got, err := there.log(gate.ID, 1); err != nil || got != half(gate.ID, 1) {
		t.Errorf("its log there is %q, %v", got, err)
	}
	w.open()
	w.awaitStatus(gate.ID, run.Passed)
}
