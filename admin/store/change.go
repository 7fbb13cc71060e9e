package store

import (
	"context"
	"net/http"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// runRow is what changing a run needs of it.
type runRow struct {
	seq    int64
	status run.State
	held   bool
}

func (tx *Tx) run(id string) (runRow, error) {
	var r runRow
	ok, err := tx.row([]any{&r.seq, &r.status, &r.held}, `SELECT seq, status, held_clock IS NOT NULL FROM runs WHERE id = ?`, id)
	if err == nil && !ok {
		err = noRun(id)
	}
	return r, err
}

func noRun(id string) error {
	return api.Errorf(http.StatusNotFound, api.NotFound, "there is no run %q", id)
}

func noDelivery(id string) error {
	return api.Errorf(http.StatusNotFound, api.NotFound, "there is no delivery %q", id)
}

func conflict(format string, args ...any) error {
	return api.Errorf(http.StatusConflict, api.Conflict, format, args...)
}

// Cancel ends a run that waits at once, and asks the listener of one that runs to end it.
func (s *Store) Cancel(ctx context.Context, id string, by api.Cancel) error {
	return s.do(ctx, func(tx *Tx) error {
		r, err := tx.run(id)
		if err != nil {
			return err
		}
		switch {
		case r.status == run.Queued:
			return tx.end(r.seq, run.Queued, ending{status: run.Cancelled, reason: cancelReason(by)})
		case r.status == run.Running:
			return tx.askCancel(r.seq, by)
		case r.held:
			return conflict("run %q is lost: release it to free its slot", id)
		default:
			return conflict("run %q has ended: %s", id, r.status)
		}
	})
}

// Release frees the slot that a lost run keeps.
func (s *Store) Release(ctx context.Context, id string) error {
	return s.do(ctx, func(tx *Tx) error {
		r, err := tx.run(id)
		if err != nil {
			return err
		}
		if !r.held {
			return conflict("run %q keeps no slot: it is %s", id, r.status)
		}
		return tx.freeSlot(r.seq)
	})
}

// Again asks for more runs of a stored delivery.
type Again struct {
	Delivery   string
	Event      event.Event
	Generation int64 // Store.Generation of the rules that Matched was decided by
	Matched    []Matched
	Cause      run.Cause // run.ByReplay or run.ByRetry
	RetryOf    string    // the run, which must have ended
}

// RunAgain queues runs of a delivery that is stored. They supersede nothing.
func (s *Store) RunAgain(ctx context.Context, a Again) ([]api.RunRef, error) {
	var refs []api.RunRef
	err := s.do(ctx, func(tx *Tx) (err error) {
		refs, err = tx.runAgain(a)
		return err
	})
	return refs, err
}

func (tx *Tx) runAgain(a Again) ([]api.RunRef, error) {
	if a.Generation != tx.generation {
		return nil, ErrRulesChanged
	}
	var delivery int64
	if ok, err := tx.row([]any{&delivery}, `SELECT seq FROM deliveries WHERE id = ?`, a.Delivery); err != nil || !ok {
		return nil, firstError(err, noDelivery(a.Delivery))
	}
	if a.RetryOf != "" {
		r, err := tx.run(a.RetryOf)
		if err != nil {
			return nil, err
		}
		if !r.status.Ended() {
			return nil, conflict("run %q has not ended: it is %s", a.RetryOf, r.status)
		}
	}
	refs := []api.RunRef{}
	for _, m := range a.Matched {
		r := newRun(a.Event, delivery, m, a.Cause)
		r.retryOf = a.RetryOf
		if err := tx.enqueue(r); err != nil {
			return nil, err
		}
		refs = append(refs, api.RunRef{ID: r.id, Listener: m.Listener})
	}
	return refs, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// maxExpired bounds how many runs one transaction of Expire ends.
const maxExpired = 200

// Expire cancels runs that have waited for max_wait, and frees slots of lost runs whose timeout and grace
// have passed. It reports whether there may be more.
func (s *Store) Expire(ctx context.Context) (more bool, err error) {
	var due bool
	clock := s.clock.Load()
	if err := s.readRow(ctx, []any{&due}, `SELECT EXISTS (SELECT 1 FROM runs WHERE slot = 0 AND expires <= ?)
		OR EXISTS (SELECT 1 FROM runs WHERE held_clock IS NOT NULL AND held_clock <= ?)`, clock, clock); err != nil || !due {
		return false, err
	}
	err = s.do(ctx, func(tx *Tx) error {
		more = false
		n, err := tx.expireWaits()
		if err != nil {
			return err
		}
		m, err := tx.expireSlots()
		more = n == maxExpired || m == maxExpired
		return err
	})
	return more, err
}

func (tx *Tx) expireWaits() (int, error) {
	reasons := map[int64]string{}
	err := tx.query(func(row scanner) error {
		var seq, wait int64
		var paused bool
		err := row.Scan(&seq, &wait, &paused)
		reasons[seq] = waitedTooLong(time.Duration(wait)*time.Second, paused)
		return err
	}, `SELECT r.seq, coalesce(l.max_wait_s, 0), p.listener IS NOT NULL FROM runs r LEFT JOIN listeners l ON l.name = r.listener
		LEFT JOIN pauses p ON p.listener = r.listener WHERE r.slot = 0 AND r.expires <= ? ORDER BY r.expires LIMIT ?`, tx.clock, maxExpired)
	for seq, reason := range reasons {
		if err != nil {
			break
		}
		err = tx.end(seq, run.Queued, ending{status: run.Cancelled, reason: reason})
	}
	return len(reasons), err
}

// waitedTooLong is why a run is not waited for any more; maxWait is 0 when its listener is gone.
func waitedTooLong(maxWait time.Duration, paused bool) string {
	reason := "no listener took it within max_wait"
	if maxWait > 0 {
		reason += ", " + Plain(maxWait)
	}
	if paused {
		reason += ": the listener is paused"
	}
	return reason
}

func (tx *Tx) expireSlots() (int, error) {
	var held []int64
	err := tx.query(func(row scanner) error {
		var seq int64
		err := row.Scan(&seq)
		held = append(held, seq)
		return err
	}, `SELECT seq FROM runs WHERE held_clock IS NOT NULL AND held_clock <= ? ORDER BY held_clock LIMIT ?`, tx.clock, maxExpired)
	for _, seq := range held {
		if err != nil {
			break
		}
		err = tx.freeSlot(seq)
	}
	return len(held), err
}

// Probe writes, to see that the database can be written.
func (s *Store) Probe(ctx context.Context) error {
	return s.do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`UPDATE meta SET value = value + 1 WHERE key = 'probe'`)
		return err
	})
}
