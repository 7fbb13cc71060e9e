package store

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// freshRun is a run that is about to be queued.
type freshRun struct {
	id       string
	seq      int64
	delivery int64
	cause    run.Cause
	retryOf  string
	matched  Matched
	event    event.Event
	pr       any
}

func newRun(e event.Event, delivery int64, m Matched, cause run.Cause) *freshRun {
	return &freshRun{id: NewID(), delivery: delivery, cause: cause, matched: m, event: e, pr: nullInt(e.PR)}
}

// crockford is Crockford's base32 in lower case: no letter that is easily taken for another.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an id: 15 characters, in the order of time to the second, 40 of its bits random.
func NewID() string {
	var b [9]byte
	binary.BigEndian.PutUint32(b[:4], uint32(time.Now().Unix()))
	_, _ = rand.Read(b[4:])
	return crockford.EncodeToString(b[:])
}

// enqueueDelivered queues a delivery's run, and does to the older runs of its lane (listener, repository and
// ref) what when_busy says. A push that came late takes its place before what it led to; where only the
// newest counts, it is itself the older one.
func (tx *Tx) enqueueDelivered(r *freshRun, whenBusy string, late lateness) error {
	var newer laneRun
	if len(late) > 0 {
		var err error
		if newer, err = tx.newerInLane(r, late, whenBusy == api.Queue); err != nil {
			return err
		}
	}
	if err := tx.enqueue(r); err != nil {
		return err
	}
	if whenBusy == api.Queue {
		return tx.placeBefore(r, newer)
	}
	if newer.seq != 0 {
		return tx.supersedeQueued(r.seq, r.id, newer.id)
	}
	return tx.supersedeOlder(r, whenBusy)
}

// enqueue stores a run at the end of its queue.
func (tx *Tx) enqueue(r *freshRun) error {
	e := r.event
	err := tx.insert(&r.seq, `INSERT INTO runs (id, listener, delivery, cause, retry_of, event, repo, ref, branch, tag, sha, pr,
		status, queued_at, slot, ord, match_id, expires)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, 0, (SELECT coalesce(max(seq), 0) + 1 FROM runs), ?, ?)`,
		r.id, r.matched.Listener, r.delivery, string(r.cause), null(r.retryOf), e.Name, e.Repo, null(e.Ref), null(e.Branch),
		null(e.Tag), null(e.SHA), r.pr, micros(tx.now), r.matched.MatchID, tx.clock+r.matched.MaxWaitS)
	if err != nil {
		return err
	}
	tx.touch(r.matched.Listener)
	tx.changed = append(tx.changed, Change{Run: r.id, Listener: r.matched.Listener, Status: run.Queued, Step: true})
	return nil
}

// supersedeOlder ends the older runs of a lane: those that wait at once; the one that runs is asked to end
// under supersede, and left to finish under latest.
func (tx *Tx) supersedeOlder(r *freshRun, whenBusy string) error {
	lane, err := tx.lane(r)
	if err != nil {
		return err
	}
	for _, older := range lane {
		switch {
		case older.seq == r.seq:
		case older.status == run.Queued:
			err = tx.supersedeQueued(older.seq, older.id, r.id)
		case older.status == run.Running && whenBusy == api.Supersede:
			err = tx.askCancel(older.seq, api.Cancel{By: "lightspeed", Why: "superseded by run " + r.id})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) supersedeQueued(seq int64, id, by string) error {
	return tx.end(seq, run.Queued, ending{status: run.Superseded, reason: "superseded by run " + by})
}

// laneRun is a run of a lane that has not ended, or keeps a slot.
type laneRun struct {
	seq    int64
	id     string
	status run.State
	ord    int64
	rank   int64
}

func (tx *Tx) lane(r *freshRun) ([]laneRun, error) {
	var lane []laneRun
	err := tx.query(func(rows scanner) error {
		var l laneRun
		err := rows.Scan(&l.seq, &l.id, &l.status, &l.ord, &l.rank)
		lane = append(lane, l)
		return err
	}, `SELECT seq, id, status, ord, rank FROM runs WHERE listener = ? AND repo = ? AND ref IS ? AND slot IS NOT NULL ORDER BY seq`,
		r.matched.Listener, r.event.Repo, null(r.event.Ref))
	return lane, err
}

// ending is how a run, and its newest attempt, ends.
type ending struct {
	status   run.State
	reason   string
	exitCode *int
	logBytes int64
	logCut   bool
}

// end takes a run that has not ended from one state to a last one, and frees its slot. That it is there, and
// may, is checked: a step that the diagram does not have is an error.
func (tx *Tx) end(seq int64, from run.State, to ending) error {
	if err := legal(seq, from, to.status); err != nil {
		return err
	}
	if from == run.Queued {
		if err := tx.oweTelling(seq, ""); err != nil {
			return err
		}
	}
	return tx.moved(seq, `UPDATE runs SET status = ?, reason = ?, exit_code = ?, log_bytes = ?, log_cut = ?, finished_at = ?,
		slot = NULL, held_until = NULL, held_clock = NULL WHERE seq = ? AND status = ?`,
		string(to.status), null(to.reason), to.exitCode, to.logBytes, to.logCut, micros(tx.now), seq, string(from))
}

// legal refuses a step that run.State.May does not know.
func legal(seq int64, from, to run.State) error {
	if !from.May(to) {
		return fmt.Errorf("run %d may not go from %s to %s", seq, from, to)
	}
	return nil
}

// moved runs an update that must bring exactly one run to another status, and notes the change.
func (tx *Tx) moved(seq int64, query string, args ...any) error {
	if err := tx.one(seq, query, args...); err != nil {
		return err
	}
	return tx.note(seq, true)
}

// one runs an update that must change exactly one run.
func (tx *Tx) one(seq int64, query string, args ...any) error {
	n, err := tx.exec(query, args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("run %d is not in the state that it was read in", seq)
	}
	return err
}

// noteChange tells of a run that is in the status in which it was.
func (tx *Tx) noteChange(seq int64) error { return tx.note(seq, false) }

// note tells of a run as it is now.
func (tx *Tx) note(seq int64, step bool) error {
	c := Change{Step: step}
	var reason, by, why, instance, host *string
	_, err := tx.row([]any{&c.Run, &c.Listener, &c.Delivery, &c.Status, &reason, &c.Attempt, &by, &why, &instance, &host},
		`SELECT r.id, r.listener, d.id, r.status, r.reason, r.attempt, r.cancel_by, r.cancel_why, a.instance, a.host
		FROM runs r JOIN deliveries d ON d.seq = r.delivery LEFT JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt WHERE r.seq = ?`, seq)
	if err != nil {
		return err
	}
	if reason != nil {
		c.Reason = *reason
	}
	if by != nil && why != nil {
		c.Cancel = &api.Cancel{By: *by, Why: *why}
	}
	if instance != nil && c.Status == run.Running {
		c.Instance, c.Host = *instance, *host
	}
	tx.touch(c.Listener)
	tx.changed = append(tx.changed, c)
	return nil
}

// askCancel notes that a running run is to end. The first asker is remembered.
func (tx *Tx) askCancel(seq int64, by api.Cancel) error {
	n, err := tx.exec(`UPDATE runs SET cancel_at = ?, cancel_by = ?, cancel_why = ? WHERE seq = ? AND status = 'running' AND cancel_at IS NULL`,
		micros(tx.now), by.By, by.Why, seq)
	if err != nil || n == 0 {
		return err
	}
	return tx.noteChange(seq)
}
