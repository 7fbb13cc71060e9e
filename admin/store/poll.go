package store

import (
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

const (
	// polledFor is how long a run that was found by a look stands for the delivery of the same push.
	polledFor = 24 * time.Hour

	// polledWindow is how many of the newest runs are looked through for the push that a listener has seen itself.
	polledWindow = 20_000
)

// ranBefore returns the run that a listener has done of the same push of the same ref already: found by its own
// look when a delivery comes, and the reverse. A ref that has been back where the push comes from is pushed anew. A
// delivery may come late, when the ref has moved on; of one that makes the ref, that is taken for another.
func (tx *Tx) ranBefore(a Acceptance, listener string) (id string, err error) {
	if a.Trigger || a.Event.Name != event.Push {
		return "", nil
	}
	e := a.Event
	if !a.Polled {
		from := e.Before
		if e.Created {
			from = ""
		}
		_, err = tx.row([]any{&id}, `SELECT id FROM runs p INDEXED BY runs_polled
			WHERE cause = 'poll' AND listener = ?1 AND sha IS ?2 AND repo = ?3 AND ref IS ?4 AND queued_at > ?5
			AND NOT EXISTS (SELECT 1 FROM runs n INDEXED BY runs_lrbs WHERE n.listener = ?1 AND n.repo = ?3 AND n.branch IS ?6
				AND n.status IN (SELECT value FROM json_each(?7)) AND n.seq > p.seq AND n.ref IS ?4
				AND n.cause IN ('delivery', 'poll') AND (?8 IS NULL OR n.sha IS ?8))`,
			listener, null(e.SHA), e.Repo, null(e.Ref), micros(tx.now.Add(-polledFor)), null(e.Branch), everyState, null(from))
		return id, err
	}
	decided := false
	err = tx.query(func(rows scanner) error {
		var one, sha string
		if err := rows.Scan(&one, &sha); err != nil || decided {
			return err
		}
		if decided = sha == e.SHA || sha == e.Before; sha == e.SHA {
			id = one
		}
		return nil
	}, `SELECT id, coalesce(sha, '') FROM runs NOT INDEXED WHERE seq > (SELECT max(seq) FROM runs) - ? AND listener = ? AND repo = ? AND ref IS ?
		AND cause IN ('delivery', 'poll') ORDER BY seq DESC`, polledWindow, listener, e.Repo, null(e.Ref))
	return id, err
}

// cause is why the runs of an acceptance exist.
func (a Acceptance) cause() run.Cause {
	switch {
	case a.Trigger:
		return run.ByTrigger
	case a.Polled:
		return run.ByPoll
	}
	return run.ByDelivery
}

// skippedAsDone says that a listener has done a push already.
func skippedAsDone(listener, id string) api.Skipped {
	return api.Skipped{Listener: listener, Rule: "poll", Saw: id, Why: "run " + id + " is of the same push: a webhook and a look have both found it"}
}
