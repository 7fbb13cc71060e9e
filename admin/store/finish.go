package store

import (
	"context"
	"fmt"
	"net/http"

	"lightspeed/api"
	"lightspeed/run"
)

// reportedLate is said of a result that came after its attempt had been given up.
const reportedLate = "reported late"

// Finish ends an attempt as its listener reports it. A repeat of what is known already is taken, and so is
// the late result of an attempt that was given up, as long as no later attempt has started: the run is then
// what it really was. Anything else is refused with api.AttemptOver. A run whose attempt was lost goes back
// to its queue when its listener asked for that; one whose attempt was not started always does.
func (s *Store) Finish(ctx context.Context, ref run.Ref, f api.Finish) error {
	return s.do(ctx, func(tx *Tx) error {
		h, err := tx.held(ref)
		if err != nil {
			return err
		}
		if h.attemptStatus == run.Running {
			return tx.finish(h, f)
		}
		if h.attemptStatus == run.Lost && h.attempt == ref.Attempt && (h.status == run.Lost || h.status == run.Queued) {
			return tx.finishLate(h, f)
		}
		if h.attemptStatus == f.Status {
			return nil
		}
		return attemptOver(ref)
	})
}

// withMore adds to a reason, which may be empty.
func withMore(reason, more string) string {
	if reason == "" {
		return more
	}
	return reason + "; " + more
}

func attemptOver(ref run.Ref) error {
	return api.Errorf(http.StatusConflict, api.AttemptOver, "attempt %d of run %s is over", ref.Attempt, ref.Run)
}

// holding is a run with one of its attempts.
type holding struct {
	seq, ord      int64
	id            string
	delivery      string
	listener      string
	status        run.State
	attempt       int
	cancel        *api.Cancel
	ref           run.Ref
	attemptStatus run.State
	instance      string
	host          string
	clock, limitS int64
	onLost        string
}

const holdingColumns = `r.seq, r.ord, r.id, (SELECT d.id FROM deliveries d WHERE d.seq = r.delivery), r.listener, r.status, r.attempt, r.cancel_by, r.cancel_why,
	a.attempt, a.status, a.instance, a.host, a.clock, a.limit_s, a.on_lost`

func scanHolding(row scanner) (holding, error) {
	var h holding
	var by, why *string
	err := row.Scan(&h.seq, &h.ord, &h.id, &h.delivery, &h.listener, &h.status, &h.attempt, &by, &why,
		&h.ref.Attempt, &h.attemptStatus, &h.instance, &h.host, &h.clock, &h.limitS, &h.onLost)
	if by != nil && why != nil {
		h.cancel = &api.Cancel{By: *by, Why: *why}
	}
	h.ref.Run = h.id
	return h, err
}

// held reads an attempt, or refuses one that there is not.
func (tx *Tx) held(ref run.Ref) (holding, error) {
	list, err := tx.holdings(`SELECT `+holdingColumns+` FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = ? WHERE r.id = ?`, ref.Attempt, ref.Run)
	if err == nil && len(list) == 0 {
		err = api.Errorf(http.StatusNotFound, api.NotFound, "there is no attempt %d of a run %q", ref.Attempt, ref.Run)
	}
	if err != nil {
		return holding{}, err
	}
	return list[0], nil
}

func (tx *Tx) holdings(query string, args ...any) ([]holding, error) {
	var list []holding
	err := tx.query(func(rows scanner) error {
		h, err := scanHolding(rows)
		list = append(list, h)
		return err
	}, query, args...)
	return list, err
}

// finish ends the running attempt.
func (tx *Tx) finish(h holding, f api.Finish) error {
	if f.Reason == "" && f.Status == run.Cancelled && h.cancel != nil {
		f.Reason = cancelReason(*h.cancel)
	}
	if err := tx.endAttempt(h, f); err != nil {
		return err
	}
	if f.Status == run.NotStarted {
		return tx.backToQueue(h, f.Reason)
	}
	if f.Status == run.Lost && h.onLost == api.Requeue {
		again, err := tx.mayStartAgain(h)
		if err != nil {
			return err
		}
		if again || h.cancel != nil {
			return tx.backToQueue(h, f.Reason)
		}
		f.Reason = withMore(f.Reason, tooOftenLost)
	}
	return tx.end(h.seq, h.status, endingOf(f))
}

// maxLost is how many attempts of a run may be lost before it is not started again, whatever on_lost says: a run that
// takes its machine down with it would do so for ever, and no other would get done there.
const maxLost = 5

// tooOftenLost is added to the reason of a run that is not started again.
var tooOftenLost = fmt.Sprintf("lost %d times, so it is not started again", maxLost)

// mayStartAgain reports whether a run whose attempt is lost may have another.
func (tx *Tx) mayStartAgain(h holding) (bool, error) {
	var lost int
	_, err := tx.row([]any{&lost}, `SELECT count(*) FROM attempts WHERE run = ? AND status = 'lost'`, h.seq)
	return lost < maxLost, err
}

func endingOf(f api.Finish) ending {
	return ending{status: f.Status, reason: f.Reason, exitCode: f.ExitCode, logBytes: f.LogBytes, logCut: f.LogCut}
}

func (tx *Tx) endAttempt(h holding, f api.Finish) error {
	_, err := tx.exec(`UPDATE attempts SET status = ?, reason = ?, exit_code = ?, log_bytes = ?, log_cut = ?, finished_at = ? WHERE run = ? AND attempt = ?`,
		string(f.Status), null(f.Reason), f.ExitCode, f.LogBytes, f.LogCut, micros(tx.now), h.seq, h.ref.Attempt)
	if err != nil || len(f.Steps) == 0 {
		return err
	}
	return tx.setSteps(h, f.Steps)
}

// finishLate takes the result of an attempt that was given up. That it was lost is all that a listener may
// know too: then only the slot is free again.
func (tx *Tx) finishLate(h holding, f api.Finish) error {
	if err := tx.tellsItself(h.seq); err != nil {
		return err
	}
	if f.Status == run.Lost || f.Status == run.NotStarted {
		return tx.lostForGood(h, f)
	}
	f.Reason = withMore(f.Reason, reportedLate)
	if err := tx.endAttempt(h, f); err != nil {
		return err
	}
	if h.status == run.Queued {
		if err := tx.takeBack(h); err != nil {
			return err
		}
		h.status = run.Running
	}
	return tx.end(h.seq, h.status, endingOf(f))
}

// lostForGood keeps what was handed in of the log, and frees the slot that the lost run kept.
func (tx *Tx) lostForGood(h holding, f api.Finish) error {
	if len(f.Steps) > 0 {
		if err := tx.setSteps(h, f.Steps); err != nil {
			return err
		}
	}
	if _, err := tx.exec(`UPDATE attempts SET log_bytes = ?, log_cut = ? WHERE run = ? AND attempt = ?`, f.LogBytes, f.LogCut, h.seq, h.ref.Attempt); err != nil {
		return err
	}
	if _, err := tx.exec(`UPDATE runs SET log_bytes = ?, log_cut = ? WHERE seq = ?`, f.LogBytes, f.LogCut, h.seq); err != nil {
		return err
	}
	if h.status == run.Lost {
		return tx.freeSlot(h.seq)
	}
	return tx.noteChange(h.seq)
}

// takeBack makes a run that waits for its next attempt the running one's again, so that its late result
// ends it by a step that the diagram has.
func (tx *Tx) takeBack(h holding) error {
	if err := legal(h.seq, run.Queued, run.Running); err != nil {
		return err
	}
	if err := tx.one(h.seq, `UPDATE runs SET status = 'running', slot = 1 WHERE seq = ? AND status = 'queued'`, h.seq); err != nil {
		return err
	}
	return tx.noteChange(h.seq) // it ends at once: nobody is told that it runs
}

// backToQueue makes a running run wait for its next attempt, in the place that it had. One that someone had
// asked to end ends, and so does one that a newer run of its lane has replaced.
func (tx *Tx) backToQueue(h holding, reason string) error {
	if h.cancel != nil {
		return tx.end(h.seq, h.status, ending{status: run.Cancelled, reason: cancelReason(*h.cancel)})
	}
	if err := legal(h.seq, h.status, run.Queued); err != nil {
		return err
	}
	err := tx.moved(h.seq, `UPDATE runs SET status = 'queued', slot = 0, reason = ?, started_at = NULL, log_bytes = 0, log_cut = 0,
		expires = ? + coalesce((SELECT max_wait_s FROM listeners WHERE name = runs.listener), 0) WHERE seq = ? AND status = 'running'`,
		null(reason), tx.clock, h.seq)
	if err != nil {
		return err
	}
	if err := tx.recheckStale(h); err != nil {
		return err
	}
	return tx.yieldToNewer(h)
}

// yieldToNewer supersedes a run that has come back to a lane where only the newest counts.
func (tx *Tx) yieldToNewer(h holding) error {
	var newer string
	ok, err := tx.row([]any{&newer}, `SELECT n.id FROM runs o JOIN listeners l ON l.name = o.listener AND l.when_busy <> 'queue'
		JOIN runs n ON n.listener = o.listener AND n.repo = o.repo AND n.ref IS o.ref AND n.slot = 0 AND n.cause IN ('delivery', 'poll') AND n.ord > o.ord
		WHERE o.seq = ? ORDER BY n.ord DESC LIMIT 1`, h.seq)
	if !ok || err != nil {
		return err
	}
	return tx.supersedeQueued(h.seq, h.id, newer)
}

func cancelReason(c api.Cancel) string {
	reason := "cancelled"
	if c.By != "" {
		reason += " by " + c.By
	}
	if c.Why != "" {
		reason += ": " + c.Why
	}
	return reason
}

// GiveUp ends an attempt whose listener was not heard of. The run is lost and keeps its slot, since it may
// still run, until its instance is back, until its timeout and grace have passed, or until Release; or it
// goes back to its queue, when its listener asked for that and so ends such runs itself. An attempt that
// is not running any more is left alone.
func (s *Store) GiveUp(ctx context.Context, ref run.Ref, reason string) error {
	return s.do(ctx, func(tx *Tx) error {
		h, err := tx.held(ref)
		if err != nil || h.attemptStatus != run.Running {
			return err
		}
		if err := tx.endAttempt(h, api.Finish{Status: run.Lost, Reason: reason}); err != nil {
			return err
		}
		if h.onLost == api.Requeue && h.cancel == nil {
			again, err := tx.mayStartAgain(h)
			if err != nil {
				return err
			}
			if again {
				return tx.backToQueue(h, reason)
			}
			reason = withMore(reason, tooOftenLost)
		}
		return tx.loseHolding(h, reason)
	})
}

func (tx *Tx) loseHolding(h holding, reason string) error {
	if err := legal(h.seq, h.status, run.Lost); err != nil {
		return err
	}
	if err := tx.oweTelling(h.seq, h.instance); err != nil {
		return err
	}
	until := h.clock + h.limitS
	return tx.moved(h.seq, `UPDATE runs SET status = 'lost', reason = ?, finished_at = ?, slot = 1, held_clock = ?, held_until = ? WHERE seq = ? AND status = 'running'`,
		reason, micros(tx.now), until, micros(tx.now)+(until-tx.clock)*1e6, h.seq)
}

// showHeld brings up to date until when kept slots are shown to be kept: the store's clock stands still while
// admin is down.
func (tx *Tx) showHeld() error {
	_, err := tx.exec(`UPDATE runs SET held_until = ? + (held_clock - ?) * 1000000 WHERE held_clock IS NOT NULL`, micros(tx.now), tx.clock)
	return err
}

// freeSlot lets a lost run's slot go.
func (tx *Tx) freeSlot(seq int64) error {
	if err := tx.one(seq, `UPDATE runs SET slot = NULL, held_clock = NULL, held_until = NULL WHERE seq = ? AND status = 'lost'`, seq); err != nil {
		return err
	}
	return tx.noteChange(seq)
}
