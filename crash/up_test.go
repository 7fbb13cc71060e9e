package crash

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"lightspeed/run"
)

// up is one process: killed in mid run it loses all three roles at once, and settles everything when it is back.
func TestUpIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	hooksAddr := w.hooks.command.Args[2]
	up := w.server("up", "listen job", "up", w.config("machine", nil), "--addr", w.adminAddr(), "--hooks-addr", hooksAddr,
		"--secret", webhookSecret, "--state", filepath.Join(w.dir, "state-machine"))
	w.listeners = append(w.listeners, up)
	up.start()
	r := w.runOf(w.send("gate"))
	w.send("other")
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	for range 2 {
		up.Kill()
		w.must(w.keep("machine"))
		up.start()
	}
	w.awaitStatus(r.ID, run.Lost)
	w.open()
	w.send("more")
	w.settle()
	w.check() // the others pass, after an attempt that a kill kept from starting or not
	w.checkKept()
	r, err := w.api.Run(t.Context(), r.ID)
	w.must(err)
	if got := statuses(r); got != "lost" {
		t.Errorf("the first run's attempts are %q, want %q", got, "lost")
	}
}

// Whoever is killed while starting, also for the first time, starts the next time.
func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	l := w.listener("machine", nil, nil)
	for i := range 12 {
		for _, s := range []*server{w.admin, w.hooks, l} {
			w.must(s.launch())
		}
		pause(t, time.Duration(i*i)*time.Millisecond) // the moment of the kill is what is tried
		for _, s := range []*server{w.admin, w.hooks, l} {
			s.Kill()
		}
	}
	w.start()
	l.start()
	for i := range 3 {
		w.send(fmt.Sprint("branch-", i))
	}
	w.settle()
	w.check()
	w.checkAttempts("passed")
}
