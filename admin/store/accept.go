package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"lightspeed/api"
	"lightspeed/event"
)

// ErrRulesChanged says that listeners' rules have changed since the decision was made: decide again.
var ErrRulesChanged = errors.New("the rules have changed meanwhile")

// Acceptance is a delivery to be stored, with what was decided about it.
type Acceptance struct {
	Delivery   event.Delivery
	Event      event.Event
	Status     string // api.Accepted or api.Ignored
	Why        string // of Ignored
	Generation int64  // Store.Generation of the rules that Matched was decided by
	Matched    []Matched
	Identical  bool // bodies that were stored before under another id are accepted
	Trigger    bool // made by hand: the run's cause is run.ByTrigger, and it supersedes nothing
	Polled     bool // found by its one listener's own look: the run's cause is run.ByPoll
	sum        []byte
}

// Matched is a listener whose rules hold.
type Matched struct {
	Listener string
	WhenBusy string // api.Queue, api.Supersede, api.Latest
	MatchID  int64  // names the listener's rules, as Rules.MatchID gave it
	MaxWaitS int64
}

// Accept stores a delivery and its runs in one transaction, and applies when_busy there. What was stored
// before, by its id or by its body, is answered as a duplicate. The receipt's Skipped is left to the caller.
func (s *Store) Accept(ctx context.Context, a Acceptance) (api.Receipt, error) {
	if !a.Trigger { // two of those may be alike
		sum := sha256.Sum256(a.Delivery.Body)
		a.sum = sum[:]
	}
	var receipt api.Receipt
	err := s.do(ctx, func(tx *Tx) (err error) {
		receipt, err = tx.accept(a)
		return err
	})
	return receipt, err
}

func (tx *Tx) accept(a Acceptance) (api.Receipt, error) {
	if a.Generation != tx.generation {
		return api.Receipt{}, ErrRulesChanged
	}
	receipt := api.Receipt{Delivery: a.Delivery.ID, Status: a.Status, Why: a.Why, Runs: []api.RunRef{}, Skipped: []api.Skipped{}}
	known, seq, err := tx.known(a)
	if err != nil {
		return receipt, err
	}
	if seq != 0 {
		return tx.duplicate(receipt, known, seq)
	}
	if seq, err = tx.insertDelivery(a); err != nil {
		return receipt, err
	}
	late, err := tx.later(a.Event, seq)
	if err != nil {
		return receipt, err
	}
	for _, m := range a.Matched {
		done, err := tx.ranBefore(a, m.Listener)
		if err != nil {
			return receipt, err
		}
		if done != "" {
			receipt.Skipped = append(receipt.Skipped, skippedAsDone(m.Listener, done))
			continue
		}
		r := newRun(a.Event, seq, m, a.cause())
		if a.Trigger {
			err = tx.enqueue(r)
		} else {
			err = tx.enqueueDelivered(r, m.WhenBusy, late)
		}
		if err != nil {
			return receipt, err
		}
		receipt.Runs = append(receipt.Runs, api.RunRef{ID: r.id, Listener: m.Listener})
	}
	return receipt, nil
}

// known looks for the same delivery, or the same body, stored before.
func (tx *Tx) known(a Acceptance) (id string, seq int64, err error) {
	ok, err := tx.row([]any{&id, &seq}, `SELECT id, seq FROM deliveries WHERE id = ?`, a.Delivery.ID)
	if ok || err != nil || a.Identical {
		return id, seq, err
	}
	_, err = tx.row([]any{&id, &seq}, `SELECT id, seq FROM deliveries WHERE body_key = ? AND sha256 = ? ORDER BY seq LIMIT 1`, a.bodyKey(), a.sum)
	return id, seq, err
}

// duplicate answers with the runs that the delivery led to when it was stored.
func (tx *Tx) duplicate(receipt api.Receipt, known string, seq int64) (api.Receipt, error) {
	receipt.Status, receipt.Why = api.Duplicate, ""
	if known != receipt.Delivery {
		receipt.DuplicateOf = known
	}
	err := tx.query(func(rows scanner) error {
		var ref api.RunRef
		err := rows.Scan(&ref.ID, &ref.Listener)
		receipt.Runs = append(receipt.Runs, ref)
		return err
	}, `SELECT id, listener FROM runs WHERE delivery = ? AND cause = 'delivery' ORDER BY seq`, seq)
	return receipt, err
}

// bodyKey is the index key of the body, nil for a trigger's.
func (a Acceptance) bodyKey() any {
	if a.sum == nil {
		return nil
	}
	return int64(binary.BigEndian.Uint64(a.sum[:8]))
}

func (tx *Tx) insertDelivery(a Acceptance) (int64, error) {
	d, e := a.Delivery, a.Event
	var sum, link any
	if !a.Trigger {
		sum, link = a.sum, linkKey(e, e.Before)
	}
	var seq int64
	err := tx.insert(&seq, `INSERT INTO deliveries (id, event, content_type, sha256, body_key, before_key, bytes, received_at, status, why, generation,
		action, repo, ref, branch, tag, sha, before, after, pr, pusher, message, url)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, d.Event, d.ContentType, sum, a.bodyKey(), link, len(d.Body), micros(d.ReceivedAt), a.Status, null(a.Why), tx.generation,
		null(e.Action), null(e.Repo), null(e.Ref), null(e.Branch), null(e.Tag), null(e.SHA), null(e.Before), null(e.After),
		nullInt(e.PR), null(e.Pusher), null(firstLine(e.Message)), null(e.URL))
	if err != nil {
		return 0, err
	}
	_, err = tx.exec(`INSERT INTO payloads (delivery, body) VALUES (?, ?)`, seq, d.Body)
	return seq, err
}

// maxShown bounds the first line of a message, in bytes.
const maxShown = 200

func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\r\n"), "\n")
	line = strings.TrimRight(line, "\r")
	if len(line) <= maxShown {
		return line
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return line[:cut] + "…"
}

func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func nullInt(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func micros(t time.Time) int64 { return t.UnixMicro() }
