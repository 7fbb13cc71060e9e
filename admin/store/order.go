package store

import (
	"slices"

	"lightspeed/event"
	"lightspeed/run"
)

// GitHub does not promise that deliveries come in order. A push whose `after` is the `before` of a stored
// push of that ref is the older of the two, and its run goes before. Pushes that merely return to an old
// commit (forced pushes, reverts, a branch made anew) look alike at first and are told apart in later.

// maxLinks bounds how far a chain of pushes is followed; past it, order is arrival.
const maxLinks = 100

// lateness says that a push is older than one that is stored.
type lateness struct {
	of    int64 // seq of the stored delivery that came of it, 0: the push is not late
	after []int64
}

// later finds the stored push that the new one (seq) came before, and those that followed that one.
func (tx *Tx) later(e event.Event, seq int64) (lateness, error) {
	if e.Name != "push" || link(e.After) == nil {
		return lateness{}, nil
	}
	of, _, err := tx.pushFrom(e, e.After, seq)
	if of == 0 || err != nil {
		return lateness{}, err
	}
	back, err := tx.returns(e, seq, of)
	if back || err != nil {
		return lateness{}, err
	}
	after, err := tx.followers(e, seq, of)
	return lateness{of: of, after: after}, err
}

// returns reports whether a push leads back to a commit where the ref was before: some other push has led
// there, or the new one itself descends from the one that started there.
func (tx *Tx) returns(e event.Event, seq, of int64) (bool, error) {
	if other, _, err := tx.pushTo(e, e.After, seq); other != 0 || err != nil {
		return true, err
	}
	at := e.Before
	for range maxLinks {
		if link(at) == nil {
			return false, nil
		}
		found, before, err := tx.pushTo(e, at, seq)
		if found == 0 || err != nil {
			return false, err
		}
		if found == of {
			return true, nil
		}
		at = before
	}
	return true, nil
}

// followers lists the stored push that came of a late one, and the pushes that followed it, as far as the
// chain is known.
func (tx *Tx) followers(e event.Event, seq, of int64) ([]int64, error) {
	list := []int64{of}
	var at string
	if _, err := tx.row([]any{&at}, `SELECT coalesce(after, '') FROM deliveries WHERE seq = ?`, of); err != nil {
		return nil, err
	}
	for len(list) < maxLinks && at != "" {
		next, after, err := tx.pushFrom(e, at, seq)
		if err != nil {
			return nil, err
		}
		if next == 0 || slices.Contains(list, next) {
			break
		}
		list, at = append(list, next), after
	}
	return list, nil
}

// pushFrom returns the newest stored push of a ref that started at a commit, but for seq, and where it led.
func (tx *Tx) pushFrom(e event.Event, sha string, seq int64) (found int64, after string, err error) {
	_, err = tx.row([]any{&found, &after}, `SELECT seq, coalesce(after, '') FROM deliveries
		WHERE before = ? AND repo = ? AND ref = ? AND seq <> ? ORDER BY seq DESC LIMIT 1`, sha, e.Repo, e.Ref, seq)
	return found, after, err
}

// pushTo returns the newest stored push of a ref that led to a commit, but for seq, and where it started.
func (tx *Tx) pushTo(e event.Event, sha string, seq int64) (found int64, before string, err error) {
	_, err = tx.row([]any{&found, &before}, `SELECT seq, coalesce(before, '') FROM deliveries
		WHERE after = ? AND repo = ? AND ref = ? AND seq <> ? ORDER BY seq DESC LIMIT 1`, sha, e.Repo, e.Ref, seq)
	return found, before, err
}

// newerInLane returns the first run that the pushes after a late one led to for the same listener, or none.
func (tx *Tx) newerInLane(r *freshRun, late lateness, onlyQueued bool) (laneRun, error) {
	for _, delivery := range late.after {
		var l laneRun
		ok, err := tx.row([]any{&l.seq, &l.id, &l.status, &l.ord, &l.rank}, `SELECT seq, id, status, ord, rank FROM runs
			WHERE delivery = ? AND listener = ? AND cause = 'delivery'`, delivery, r.matched.Listener)
		if err != nil {
			return l, err
		}
		if ok && (!onlyQueued || l.status == run.Queued) {
			return l, nil
		}
	}
	return laneRun{}, nil
}

// placeBefore puts a late push's run before the queued run that came of it, and with it the queued runs of
// the pushes that the late one itself came of.
func (tx *Tx) placeBefore(r *freshRun, newer laneRun, late lateness) error {
	if newer.seq == 0 {
		return nil
	}
	rank := newer.rank - 1
	if err := tx.putAt(r.seq, newer.ord, rank); err != nil {
		return err
	}
	than, at := r.delivery, r.event.Before
	for range maxLinks {
		if link(at) == nil {
			return nil
		}
		from, before, err := tx.pushTo(r.event, at, than)
		if from == 0 || err != nil || slices.Contains(late.after, from) {
			return err
		}
		behind, err := tx.queuedBehind(r, from)
		if err != nil {
			return err
		}
		if behind != 0 {
			rank--
			if err := tx.putAt(behind, newer.ord, rank); err != nil {
				return err
			}
		}
		than, at = from, before
	}
	return nil
}

func (tx *Tx) putAt(seq, ord, rank int64) error {
	_, err := tx.exec(`UPDATE runs SET ord = ?, rank = ? WHERE seq = ?`, ord, rank, seq)
	return err
}

// queuedBehind returns the run that a delivery led to for the same listener, when it waits behind r.
func (tx *Tx) queuedBehind(r *freshRun, delivery int64) (seq int64, err error) {
	_, err = tx.row([]any{&seq}, `SELECT p.seq FROM runs p JOIN runs late ON late.seq = ?
		WHERE p.delivery = ? AND p.listener = ? AND p.cause = 'delivery' AND p.slot = 0 AND (p.ord, p.rank) > (late.ord, late.rank)`,
		r.seq, delivery, r.matched.Listener)
	return seq, err
}
