package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"lightspeed/api"
	"lightspeed/match"
	"lightspeed/run"
)

// Registered is what a registration did.
type Registered struct {
	Revision int
	Outdated bool
	New      bool      // a start or a reload that was not seen before
	Renewed  []run.Ref // running attempts that the instance holds: their leases begin anew
}

// Register takes an instance's registration. Settings become the listener's newest only with a start and
// revision of the instance that were not seen before. A new start also settles what the instance had claimed:
// running attempts that it does not hold never started and go back to their queue as the next attempt.
// Any registration frees the slots of lost runs that the instance does not hold.
func (s *Store) Register(ctx context.Context, name string, r api.Registration) (Registered, error) {
	settings, err := json.Marshal(r.Settings)
	if err != nil {
		return Registered{}, err
	}
	var out Registered
	err = s.do(ctx, func(tx *Tx) (err error) {
		out, err = tx.register(name, r, string(settings))
		return err
	})
	return out, err
}

// listenerRow is what registering needs of a listener that may be there.
type listenerRow struct {
	known     bool
	settings  string
	revision  int
	matchID   int64
	temporary bool
}

func (tx *Tx) listener(name string) (listenerRow, error) {
	var l listenerRow
	var err error
	l.known, err = tx.row([]any{&l.settings, &l.revision, &l.matchID, &l.temporary},
		`SELECT settings, revision, match_id, temporary FROM listeners WHERE name = ?`, name)
	return l, err
}

func (tx *Tx) register(name string, r api.Registration, settings string) (Registered, error) {
	l, err := tx.listener(name)
	if err != nil {
		return Registered{}, err
	}
	seen, err := tx.startSeen(name, r)
	if err != nil {
		return Registered{}, err
	}
	fresh := seen < r.Revision || !l.known
	if fresh {
		if l, err = tx.newSettings(name, r, settings, l); err != nil {
			return Registered{}, err
		}
	}
	out := Registered{Revision: l.revision, New: fresh}
	start, own, err := tx.instance(name, r.Instance)
	if err != nil {
		return out, err
	}
	out.Outdated = start != r.Start || own != l.settings
	if start == r.Start {
		out.Renewed, err = tx.settleHolds(name, r, seen == 0)
	}
	return out, err
}

// startSeen returns the newest revision that a start of an instance has registered, 0 for a new start.
func (tx *Tx) startSeen(name string, r api.Registration) (revision int, err error) {
	_, err = tx.row([]any{&revision}, `SELECT revision FROM starts WHERE listener = ? AND instance = ? AND start = ?`, name, r.Instance, r.Start)
	return revision, err
}

// newSettings records a start or a reload, and makes its settings the listener's newest when they differ.
func (tx *Tx) newSettings(name string, r api.Registration, settings string, l listenerRow) (listenerRow, error) {
	var err error
	if !l.known || l.settings != settings || l.temporary != r.Temporary {
		if l, err = tx.changeListener(name, r, settings, l); err != nil {
			return l, err
		}
	}
	if _, err = tx.exec(`INSERT INTO instances (listener, instance, start, revision, settings, host, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET start = excluded.start, revision = excluded.revision, settings = excluded.settings,
		host = excluded.host, seen_at = excluded.seen_at`,
		name, r.Instance, r.Start, r.Revision, settings, r.Host, micros(tx.now)); err != nil {
		return l, err
	}
	_, err = tx.exec(`INSERT INTO starts (listener, instance, start, revision) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET revision = excluded.revision`, name, r.Instance, r.Start, r.Revision)
	tx.recheckClaims(name)
	return l, err
}

// recheckClaims has the standing claims of a queue show again that they may claim.
func (tx *Tx) recheckClaims(name string) {
	tx.touch(name)
	if tx.registered == nil {
		tx.registered = map[string]bool{}
	}
	tx.registered[name] = true
}

// changeListener writes new settings and their place in the history. Runs that wait are matched again when
// the rules themselves have changed.
func (tx *Tx) changeListener(name string, r api.Registration, settings string, l listenerRow) (listenerRow, error) {
	id, revision, err := tx.newRules(name, settings)
	if err != nil {
		return l, err
	}
	s := r.Settings
	next := listenerRow{known: true, settings: settings, revision: revision, matchID: id, temporary: r.Temporary}
	if l.known && sameRules(l.settings, s.Rules) {
		next.matchID = l.matchID
	} else if err := tx.recheck(name); err != nil {
		return l, err
	}
	_, err = tx.exec(`INSERT INTO listeners (name, settings, revision, match_id, temporary, registered_at, concurrency, when_busy, on_lost, max_wait_s, limit_s)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET settings = excluded.settings, revision = excluded.revision, match_id = excluded.match_id,
		temporary = excluded.temporary, registered_at = excluded.registered_at, concurrency = excluded.concurrency,
		when_busy = excluded.when_busy, on_lost = excluded.on_lost, max_wait_s = excluded.max_wait_s, limit_s = excluded.limit_s`,
		name, settings, revision, next.matchID, r.Temporary, micros(tx.now), s.Concurrency, s.WhenBusy, s.OnLost, s.MaxWaitS, s.TimeoutS+s.GraceS)
	return next, err
}

// newRules adds to the history of a listener's rules; empty settings say that it was removed.
func (tx *Tx) newRules(name, settings string) (id int64, revision int, err error) {
	if _, err = tx.row([]any{&revision}, `SELECT revision FROM rules WHERE listener = ? ORDER BY id DESC LIMIT 1`, name); err != nil {
		return 0, 0, err
	}
	revision++
	err = tx.insert(&id, `INSERT INTO rules (listener, revision, settings, at) VALUES (?, ?, ?, ?)`, name, revision, null(settings), micros(tx.now))
	tx.generation = id
	return id, revision, err
}

func sameRules(settings string, rules match.Rules) bool {
	var old struct {
		Rules json.RawMessage `json:"rules"`
	}
	encoded, err := json.Marshal(rules)
	return err == nil && json.Unmarshal([]byte(settings), &old) == nil && string(old.Rules) == string(encoded)
}

// instance returns an instance's newest start, and the settings that it came with.
func (tx *Tx) instance(name, instance string) (start, settings string, err error) {
	_, err = tx.row([]any{&start, &settings}, `SELECT start, settings FROM instances WHERE listener = ? AND instance = ?`, name, instance)
	return start, settings, err
}

// notStarted is the reason of an attempt that its instance does not know of.
const notStarted = "not started"

// settleHolds compares what admin believes an instance to hold with what it does hold.
func (tx *Tx) settleHolds(name string, r api.Registration, fresh bool) ([]run.Ref, error) {
	list, err := tx.holdings(`SELECT `+holdingColumns+` FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt
		WHERE r.listener = ? AND r.slot = 1 AND a.instance = ? ORDER BY r.seq`, name, r.Instance)
	if err != nil {
		return nil, err
	}
	holds := make(map[run.Ref]bool, len(r.Holds))
	for _, ref := range r.Holds {
		holds[ref] = true
	}
	var renewed []run.Ref
	for _, h := range list {
		switch {
		case holds[h.ref] && h.status == run.Running:
			renewed = append(renewed, h.ref)
		case holds[h.ref]:
		case h.status == run.Lost:
			err = tx.forgotten(h)
		case fresh:
			err = tx.finish(h, api.Finish{Status: run.NotStarted, Reason: notStarted})
		}
		if err != nil {
			return nil, err
		}
	}
	return renewed, nil
}

// forgotten frees the slot of a lost run that its instance, which is back, does not hold: it will say nothing of it.
func (tx *Tx) forgotten(h holding) error {
	if _, err := tx.exec(`UPDATE tellings SET instance = '' WHERE run = ?`, h.seq); err != nil {
		return err
	}
	return tx.freeSlot(h.seq)
}

// Remove forgets a listener and its instances. Its runs that wait are cancelled by Recheck; those that run
// go on. The history of its rules is kept, so that explain still answers.
func (s *Store) Remove(ctx context.Context, name string) error {
	return s.do(ctx, func(tx *Tx) error {
		l, err := tx.listener(name)
		if err != nil {
			return err
		}
		if !l.known {
			return noListener(name)
		}
		return tx.remove(name)
	})
}

func noListener(name string) error {
	return api.Errorf(http.StatusNotFound, api.NotFound, "there is no listener %q", name)
}

func (tx *Tx) remove(name string) error {
	if _, _, err := tx.newRules(name, ""); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM tellings WHERE listener = ?`,
		`DELETE FROM listeners WHERE name = ?`, `DELETE FROM instances WHERE listener = ?`, `DELETE FROM starts WHERE listener = ?`,
		`DELETE FROM pauses WHERE listener = ?`,
	} {
		if _, err := tx.exec(query, name); err != nil {
			return fmt.Errorf("removing listener %q: %w", name, err)
		}
	}
	tx.recheckClaims(name)
	return tx.recheck(name)
}

// KeptAway is how long an instance is remembered that has left and holds nothing.
const KeptAway = 7 * 24 * time.Hour

// Left notes when an instance was last heard of, and forgets other instances of its listener that have been
// away for long and hold nothing. Those in connected are there, however long ago they registered.
func (s *Store) Left(ctx context.Context, name, instance string, at time.Time, connected []string) error {
	there, err := json.Marshal(append([]string{}, connected...))
	if err != nil {
		return err
	}
	return s.do(ctx, func(tx *Tx) error {
		if _, err := tx.exec(`UPDATE instances SET seen_at = ? WHERE listener = ? AND instance = ?`, micros(at), name, instance); err != nil {
			return err
		}
		if _, err := tx.exec(`DELETE FROM instances WHERE listener = ? AND instance <> ? AND seen_at < ?
			AND instance NOT IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
			SELECT 1 FROM runs r INDEXED BY runs_busy JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt
			WHERE r.listener = instances.listener AND r.slot = 1 AND a.instance = instances.instance)`,
			name, instance, micros(tx.now.Add(-KeptAway)), string(there)); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM starts WHERE listener = ? AND NOT EXISTS (
			SELECT 1 FROM instances i WHERE i.listener = starts.listener AND i.instance = starts.instance)`, name)
		return err
	})
}
