package store

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"lightspeed/event"
	"lightspeed/run"
)

// GitHub does not promise that deliveries come in order. A push whose `after` is the `before` of a stored
// push of that ref is the older of the two, and its run goes before. Pushes that merely return to an old
// commit (forced pushes, reverts, a branch made anew) look alike at first; they descend from the push that
// started there, and are told apart by that.

// maxLinks bounds how far a chain of pushes is followed; past it, order is arrival.
const maxLinks = 100

// noCommit reports whether a commit's id stands for none: zeros, for a ref that is new or gone.
func noCommit(sha string) bool { return strings.Trim(sha, "0") == "" }

// linkKey is the index key of the pushes of a ref that start at a commit, nil when they join nothing.
func linkKey(e event.Event, sha string) any {
	if e.Name != event.Push || noCommit(sha) {
		return nil
	}
	sum := sha256.Sum256([]byte(strings.ToLower(e.Repo) + "\x00" + e.Ref + "\x00" + sha))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// lateness is what came of a push before it was stored: the push that started where it led, and those that
// followed that one. It is empty for a push that is not late.
type lateness []int64

// later finds the stored pushes that a new one (seq) came before.
func (tx *Tx) later(e event.Event, seq int64) (lateness, error) {
	var chain lateness
	for at := e.After; len(chain) < maxLinks; {
		next, after, err := tx.pushFrom(e, at, seq)
		if err != nil {
			return nil, err
		}
		if next == 0 || slices.Contains(chain, next) {
			return chain, nil
		}
		if after == e.Before {
			return nil, nil // the new push goes on from there: it returns to an old commit
		}
		chain, at = append(chain, next), after
	}
	return nil, nil
}

// pushFrom returns the newest stored push of a ref that started at a commit, but for seq, and where it led.
func (tx *Tx) pushFrom(e event.Event, sha string, seq int64) (found int64, after string, err error) {
	key := linkKey(e, sha)
	if key == nil {
		return 0, "", nil
	}
	_, err = tx.row([]any{&found, &after}, `SELECT seq, coalesce(after, '') FROM deliveries
		WHERE before_key = ? AND before = ? AND repo = ? AND ref = ? AND seq <> ? ORDER BY seq DESC LIMIT 1`, key, sha, e.Repo, e.Ref, seq)
	return found, after, err
}

// newerInLane returns the first run that the pushes after a late one led to for the same listener, or none.
func (tx *Tx) newerInLane(r *freshRun, late lateness, onlyQueued bool) (laneRun, error) {
	for _, delivery := range late {
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

// placeBefore puts a late push's run before the queued run that came of it, and with it the queued runs that
// the late one itself came of.
func (tx *Tx) placeBefore(r *freshRun, newer laneRun) error {
	if newer.seq == 0 {
		return nil
	}
	seq, before := r.seq, r.event.Before
	for rank := newer.rank - 1; seq != 0 && rank >= newer.rank-maxLinks; rank-- {
		if _, err := tx.exec(`UPDATE runs SET ord = ?, rank = ? WHERE seq = ?`, newer.ord, rank, seq); err != nil {
			return err
		}
		var err error
		if seq, before, err = tx.behind(r, seq, before); err != nil {
			return err
		}
	}
	return nil
}

// behind returns the queued run of the lane whose push led to a commit and that stands behind another run, with
// where that push started.
func (tx *Tx) behind(r *freshRun, than int64, sha string) (seq int64, before string, err error) {
	if noCommit(sha) {
		return 0, "", nil
	}
	_, err = tx.row([]any{&seq, &before}, `SELECT p.seq, coalesce(d.before, '') FROM runs o JOIN runs p ON p.listener = o.listener AND p.repo = o.repo AND p.ref IS o.ref
		AND p.slot = 0 AND p.cause IN ('delivery', 'poll') AND (p.ord, p.rank) > (o.ord, o.rank)
		JOIN deliveries d ON d.seq = p.delivery WHERE o.seq = ? AND d.after = ? ORDER BY p.ord, p.rank LIMIT 1`, than, sha)
	return seq, before, err
}
