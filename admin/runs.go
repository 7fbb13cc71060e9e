package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

func (s *Server) getRuns(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "listener", "repo", "branch", "delivery", "status", "limit", "before")
	f := api.RunFilter{
		Listener: q.text("listener"), Repo: q.text("repo"), Branch: q.text("branch"), Delivery: q.text("delivery"),
		Status: q.status(), Limit: q.limit(), Before: q.text("before"),
	}
	if q.err != nil {
		return q.err
	}
	list, err := s.findRuns(r.Context(), f)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s *Server) findRuns(ctx context.Context, f api.RunFilter) (api.List[run.Run], error) {
	list, err := s.store.Runs(ctx, f)
	if err != nil {
		return list, err
	}
	for i := range list.Items {
		if err := s.showLog(&list.Items[i]); err != nil {
			return list, err
		}
	}
	return list, nil
}

func (s *Server) getRun(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	return s.answerRun(w, r, http.StatusOK, runID(r))
}

func (s *Server) answerRun(w http.ResponseWriter, r *http.Request, status int, id string) error {
	found, err := s.findRun(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, status, found)
}

func (s *Server) findRun(ctx context.Context, id string) (run.Run, error) {
	found, err := s.store.Run(ctx, id)
	if err == nil {
		err = s.showLog(&found)
	}
	return found, err
}

// showLog says how much of the log there is of attempts that may still send some.
func (s *Server) showLog(r *run.Run) error {
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if (a.Status != run.Running && a.Status != run.Lost) || a.LogPrunedAt != nil {
			continue
		}
		size, err := s.logs.size(run.Ref{Run: r.ID, Attempt: a.Attempt})
		if err != nil {
			return err
		}
		a.LogBytes = size
		if a.Attempt == r.Attempt && r.Status != run.Queued {
			r.LogBytes = size
		}
	}
	return nil
}

func (s *Server) postCancel(w http.ResponseWriter, r *http.Request) error {
	var by api.Cancel
	if err := s.readPlain(w, r, &by); err != nil {
		return err
	}
	if len(by.By) > maxText || len(by.Why) > maxText {
		return badRequest("by and why may have %d bytes each", maxText)
	}
	if err := s.cancel(r.Context(), runID(r), by); err != nil {
		return err
	}
	return s.answerRun(w, r, http.StatusOK, runID(r))
}

// cancel ends a run that waits, and asks for one that runs to end.
func (s *Server) cancel(ctx context.Context, id string, by api.Cancel) error {
	err := s.store.Cancel(ctx, id, by)
	if err == nil {
		s.noteAskedOf(ctx, "cancel", id, "by", by.By, "why", by.Why)
	}
	return err
}

// readPlain reads a call that has no parameters and may have a small body.
func (s *Server) readPlain(w http.ResponseWriter, r *http.Request, into any) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	return readOrder(w, r, into)
}

func (s *Server) postRelease(w http.ResponseWriter, r *http.Request) error {
	if err := s.readPlain(w, r, &struct{}{}); err != nil {
		return err
	}
	if err := s.release(r.Context(), runID(r)); err != nil {
		return err
	}
	return s.answerRun(w, r, http.StatusOK, runID(r))
}

// release frees the slot that a lost run keeps.
func (s *Server) release(ctx context.Context, id string) error {
	err := s.store.Release(ctx, id)
	if err == nil {
		s.noteAskedOf(ctx, "release", id)
	}
	return err
}

// postRenew keeps an attempt's lease, and waits for a cancel to be asked for. The wait is cut to a third of
// the lease, since a connection that stands is no sign of life.
func (s *Server) postRenew(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt", "wait")
	ref, wait := q.attempt(r), q.wait()
	if q.err != nil {
		return q.err
	}
	wait = min(wait, time.Duration(s.leases.seconds())*time.Second/3)
	woken, done := s.hub.subscribe(ref.Run)
	defer done()
	cancel, live := s.leases.renew(ref, time.Now().UTC())
	if live && cancel == nil && wait > 0 {
		cancel, live = s.awaitCancel(r, ref, woken, wait)
	}
	if !live {
		held, err := s.heldLate(r, ref)
		if err != nil {
			return err
		}
		cancel = held.Cancel
	}
	return writeJSON(w, http.StatusOK, api.Renewal{LeaseS: s.leases.seconds(), Cancel: cancel})
}

func (s *Server) awaitCancel(r *http.Request, ref run.Ref, woken <-chan struct{}, wait time.Duration) (*api.Cancel, bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		cancel, live := s.leases.cancelOf(ref)
		if cancel != nil || !live {
			return cancel, live
		}
		select {
		case <-woken:
		case <-timer.C:
			return nil, true
		case <-r.Context().Done():
			return nil, true
		case <-s.stopping.Done():
			return nil, true
		}
	}
}

// heldLate reads an attempt that has no lease: one that was given up may still be reported by its listener,
// which then need not end it. One that is just being given up is told to ask again.
func (s *Server) heldLate(r *http.Request, ref run.Ref) (store.Held, error) {
	held, err := s.store.Attempt(r.Context(), ref)
	switch {
	case err != nil:
		return held, err
	case held.Status == run.Running:
		return held, unavailable("the lease of run %s is over: it is being given up", ref.Run)
	case !held.Taken():
		return held, attemptOver(ref)
	}
	return held, nil
}

func attemptOver(ref run.Ref) error {
	return api.Errorf(http.StatusConflict, api.AttemptOver, "attempt %d of run %s is over", ref.Attempt, ref.Run)
}

// finishStates are what an attempt may be reported as.
var finishStates = []run.State{run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Lost, run.NotStarted}

// postFinish ends an attempt, once its whole log is here and safe.
func (s *Server) postFinish(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt")
	ref := q.attempt(r)
	if q.err != nil {
		return q.err
	}
	var f api.Finish
	if err := readJSON(w, r, maxSteps, &f); err != nil {
		return err
	}
	if err := checkSteps(f.Steps); err != nil {
		return err
	}
	if !slices.Contains(finishStates, f.Status) {
		return badRequest("status %q is none of %v", shorten(string(f.Status), 50), finishStates)
	}
	f.Reason = shorten(f.Reason, maxText)
	if err := s.finish(r, ref, f); err != nil {
		return err
	}
	return s.answerFinish(w, r, ref.Run)
}

func (s *Server) answerFinish(w http.ResponseWriter, r *http.Request, id string) error {
	found, err := s.findRun(r.Context(), id)
	if err != nil {
		return err
	}
	told, err := s.store.ToldByAnother(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Finished{Run: found, Told: told})
}

func (s *Server) finish(r *http.Request, ref run.Ref, f api.Finish) error {
	held, err := s.store.Attempt(r.Context(), ref)
	if err != nil {
		return err
	}
	if held.Taken() {
		if err := s.logComplete(ref, f.LogBytes); err != nil {
			return err
		}
	}
	fault.Point("admin.finish.logged")
	err = s.store.Finish(r.Context(), ref, f)
	fault.Point("admin.finish.committed")
	return err
}

func (s *Server) logComplete(ref run.Ref, want int64) error {
	size, err := s.logs.size(ref)
	if err != nil {
		return err
	}
	if size < want {
		incomplete := api.Errorf(http.StatusConflict, api.LogIncomplete, "the log of run %s ends at %d here, not at %d", ref.Run, size, want)
		incomplete.Offset = size
		return incomplete
	}
	fault.Point("admin.finish.syncing")
	return s.logs.sync(ref)
}

// Log chunks are held in memory while they come in, maxChunks at a time.
const maxChunks = 16

// postLog takes a chunk of an attempt's log.
func (s *Server) postLog(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt", "offset")
	ref, offset := q.attempt(r), q.number("offset", -1, 0)
	if offset < 0 {
		q.fail("offset is needed")
	}
	if q.err != nil {
		return q.err
	}
	if _, live := s.leases.cancelOf(ref); !live {
		held, err := s.store.Attempt(r.Context(), ref)
		if err != nil {
			return err
		}
		if !held.Taken() {
			return attemptOver(ref)
		}
	}
	chunk, done, err := s.readChunk(w, r)
	if err != nil {
		return err
	}
	defer done()
	times, err := timesOf(r, offset, *chunk)
	if err != nil {
		return err
	}
	fault.Point("admin.log.appending")
	next, err := s.logs.append(ref, offset, *chunk, times)
	fault.Point("admin.log.appended")
	var gap gapError
	if errors.As(err, &gap) {
		refused := api.Errorf(http.StatusConflict, api.LogGap, "the log of run %s ends at %d here: go on from there", ref.Run, gap.end)
		refused.Offset = gap.end
		return refused
	}
	if err != nil {
		return err
	}
	s.metrics.logBytes.Add(len(*chunk))
	s.hub.wake(ref.Run)
	return writeJSON(w, http.StatusOK, api.LogOffset{Offset: next})
}
