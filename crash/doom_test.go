package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// up starts a server; the one that is to die at p dies there, and is then started again.
func (w *world) up(p point, s *server) {
	w.t.Helper()
	roles := map[*server]string{w.admin: "admin", w.hooks: "hooks", w.listeners[0]: "listener"}
	if roles[s] != p.role || w.doomed != nil {
		s.start()
		return
	}
	w.must(s.launch("LIGHTSPEED_FAULT=" + p.fault()))
	w.doomed = make(chan error, 1)
	go func() {
		defer close(w.doomed)
		if err := w.revive(s, p); err != nil {
			w.doomed <- err
		}
	}()
}

// revive waits until the server has died at p, notes what its journal holds, and starts it without its fault.
func (w *world) revive(s *server, p point) error {
	select {
	case <-s.Done():
	case <-time.After(patience):
		return fmt.Errorf("the point was not reached within %v", patience)
	case <-w.t.Context().Done():
		return w.t.Context().Err()
	}
	if log := s.Log(); !s.Killed() || !strings.Contains(log, "fault: "+p.name+"\n") {
		return fmt.Errorf("it did not die there:\n%s", log)
	}
	if err := w.keep(s.command.Name); err != nil {
		return err
	}
	return s.launch()
}

// keep notes what stands in the journal of a machine's listener that has died: all of it must be in admin in
// the end. A folder without a record is not of an attempt that has started, or of one that admin has whole.
func (w *world) keep(machine string) error {
	records, err := filepath.Glob(filepath.Join(w.attempts(machine), "*", "records"))
	for _, file := range records {
		folder := filepath.Dir(file)
		id, attempt, _ := strings.Cut(filepath.Base(folder), ".")
		n, _ := strconv.Atoi(attempt)
		if text, err := os.ReadFile(file); err != nil || !bytes.ContainsRune(text, '\n') {
			continue
		}
		log, err := os.ReadFile(filepath.Join(folder, "log"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.kept[run.Ref{Run: id, Attempt: n}] = log
	}
	return err
}

// attempts is the folder of a machine's journal.
func (w *world) attempts(machine string) string {
	return filepath.Join(w.listenerState(machine), "listener", "job", "attempts")
}

// checkKept looks for what the journals held in what admin has.
func (w *world) checkKept() {
	w.t.Helper()
	for ref, kept := range w.kept {
		body, err := w.api.Log(w.t.Context(), ref.Run, api.LogQuery{Attempt: ref.Attempt})
		w.must(err)
		got, err := io.ReadAll(body)
		w.must(err)
		w.must(body.Close())
		if !bytes.HasPrefix(got, kept) {
			w.t.Errorf("run %s attempt %d had printed %q, and admin has %q", ref.Run, ref.Attempt, kept, got)
		}
	}
}

// awaitSettled waits until a first run that is to be lost is.
func (w *world) awaitSettled(first string) {
	w.t.Helper()
	if !strings.HasPrefix(first, "lost") {
		return
	}
	w.await("the loss of the first run", func() bool {
		runs, err := w.runs()
		return err == nil && len(runs) > 0 && strings.HasPrefix(statuses(runs[0]), "lost")
	})
}

// checkAttempts compares the statuses of the first run's attempts. All other runs pass in their first.
func (w *world) checkAttempts(first string) {
	w.t.Helper()
	runs, err := w.runs()
	w.must(err)
	if len(runs) == 0 {
		w.t.Error("there was no run")
	}
	for i, r := range runs {
		want := "passed"
		if i == 0 && first != "" {
			want = strings.TrimSuffix(first, "none")
		}
		if got := statuses(r); got != want {
			w.t.Errorf("run %d: its attempts are %q, want %q", i+1, got, want)
		}
	}
}
