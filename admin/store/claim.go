package store

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// Claim hands out the next run of a queue to an instance, and waits up to wait for one. It returns the
// attempt, or a zero Ref when there is nothing now. While it waits it is a standing claim: the transaction
// that queues a run, or frees a slot, hands it over there and then.
//
// The same key gets the same attempt again while that is running. An instance that is not registered, or
// whose settings are not the newest, is refused with api.NotRegistered or api.Outdated, also while it waits.
func (s *Store) Claim(ctx context.Context, queue string, r api.ClaimRequest, wait time.Duration) (run.Ref, error) {
	a := s.ask(ctx, &waiter{queue: queue, request: r}, wait)
	return a.ref, a.err
}

// Look is Claim for who only wants to know whether there is a run to claim: it hands out nothing, and somebody
// else may have that run by the time it is claimed.
func (s *Store) Look(ctx context.Context, queue string, r api.ClaimRequest, wait time.Duration) (bool, error) {
	a := s.ask(ctx, &waiter{queue: queue, request: r, looks: true}, wait)
	return a.work, a.err
}

func (s *Store) ask(ctx context.Context, c *waiter, wait time.Duration) granted {
	c.stands, c.answer = wait > 0, make(chan granted, 1)
	if err := s.do(ctx, func(tx *Tx) error { tx.claim(c); return nil }); err != nil {
		return granted{err: err}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-c.answer:
		return a
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.waiting.leave(c)
}

// waiter is one claim, from its operation to its answer.
type waiter struct {
	queue   string
	request api.ClaimRequest
	stands  bool // goes on waiting when there is nothing
	looks   bool // wants to know of a run, not to have it
	answer  chan granted
	outcome *granted // decided in the transaction that is under way
	left    bool     // nobody waits any more; its outcome, if it has one, is still delivered
}

// granted is a claim's answer: an attempt, to who only looks that there is a run, an error, or none of these.
type granted struct {
	ref  run.Ref
	work bool
	err  error
}

// maxStanding bounds how many claims may stand at once, over all queues.
const maxStanding = 50_000

// waiting holds the standing claims, oldest first.
type waiting struct {
	mu     sync.Mutex
	queues map[string][]*waiter
	count  int
	closed bool
}

// leave takes a claim away. When its answer is being committed, that is waited for.
func (w *waiting) leave(c *waiter) granted {
	w.mu.Lock()
	w.remove(c)
	c.left = true
	pending := c.outcome != nil
	w.mu.Unlock()
	if !pending {
		select {
		case a := <-c.answer:
			return a
		default:
			return granted{}
		}
	}
	return <-c.answer
}

func (w *waiting) remove(c *waiter) {
	had := len(w.queues[c.queue])
	list := slices.DeleteFunc(w.queues[c.queue], func(o *waiter) bool { return o == c })
	w.count -= had - len(list)
	if len(list) == 0 {
		delete(w.queues, c.queue)
		return
	}
	w.queues[c.queue] = list
}

// reserve keeps a claim from leaving while it is decided about, and reports false for one that has left.
func (w *waiting) reserve(c *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.left {
		c.outcome = &granted{}
	}
	return !c.left
}

// decide notes what a reserved claim will be answered once the transaction has committed: with nothing, it
// goes on waiting.
func (w *waiting) decide(tx *Tx, c *waiter, g granted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g == (granted{}) {
		c.undecided()
		return
	}
	c.outcome = &g
	tx.answered = append(tx.answered, c)
}

// undecided lets a reserved claim be as it was. One that has left meanwhile waits for its answer.
func (c *waiter) undecided() {
	c.outcome = nil
	if c.left {
		c.answer <- granted{}
	}
}

// answer delivers what was decided, and lets the claims that got nothing stand.
func (w *waiting) answer(tx *Tx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range tx.claims {
		switch {
		case c.outcome != nil:
		case c.stands && !w.closed && w.count < maxStanding:
			w.queues[c.queue] = append(w.queues[c.queue], c)
			w.count++
		default:
			c.answer <- granted{}
		}
	}
	for _, c := range tx.answered {
		w.remove(c)
		c.answer <- *c.outcome
		c.outcome = nil
	}
	for _, c := range tx.replaced {
		w.remove(c)
		if !c.left {
			c.answer <- granted{}
		}
	}
}

// restore forgets what a transaction that was rolled back had decided.
func (w *waiting) restore(tx *Tx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range tx.answered {
		c.undecided()
	}
}

func (w *waiting) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, list := range w.queues {
		for _, c := range list {
			c.answer <- granted{err: ErrClosed}
		}
	}
	clear(w.queues)
}

// standing returns a queue's claims, oldest first.
func (w *waiting) standing(queue string) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.queues[queue])
}

// claim brings in a new claim; settle decides about it.
func (tx *Tx) claim(c *waiter) {
	tx.claims = append(tx.claims, c)
	tx.touch(c.queue)
}

// settle ends each transaction: for every queue that may have work or slots, what is free is handed to the
// claims that wait.
func (tx *Tx) settle() error {
	for i := 0; i < len(tx.touched); i++ {
		if err := tx.settleQueue(tx.touched[i]); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) settleQueue(queue string) error {
	standing := tx.w.store.waiting.standing(queue)
	fresh := tx.fresh(queue)
	if len(standing)+len(fresh) == 0 && tx.w.store.opt.Work == nil {
		return nil
	}
	q, ok, err := tx.queue(queue)
	if err != nil {
		return err
	}
	for _, c := range standing {
		if slices.ContainsFunc(fresh, c.sameKey) {
			tx.replaced = append(tx.replaced, c)
		} else if err := tx.decide(&q, ok, c, tx.registered[queue]); err != nil {
			return err
		}
	}
	for _, c := range fresh {
		if err := tx.decide(&q, ok, c, true); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	return tx.announce(&q)
}

func (c *waiter) sameKey(o *waiter) bool {
	return c.request.Instance == o.request.Instance && c.request.Key == o.request.Key && c.looks == o.looks
}

// fresh returns the new claims of a queue; of two with one key the later counts.
func (tx *Tx) fresh(queue string) []*waiter {
	var list []*waiter
	for i, c := range tx.claims {
		if c.queue == queue && !slices.ContainsFunc(tx.claims[i+1:], func(o *waiter) bool { return o.queue == queue && c.sameKey(o) }) {
			list = append(list, c)
		}
	}
	return list
}

// decide answers one claim, when there is an answer.
func (tx *Tx) decide(q *queue, ok bool, c *waiter, check bool) error {
	waiting := &tx.w.store.waiting
	if !waiting.reserve(c) {
		return nil
	}
	answer, err := tx.answer(q, ok, c, check)
	if err != nil {
		answer = granted{}
	}
	waiting.decide(tx, c, answer)
	return err
}

// answer is the attempt that a claim's key got before, whatever has become of its settings since, a refusal,
// the queue's next run, or nothing.
func (tx *Tx) answer(q *queue, ok bool, c *waiter, check bool) (granted, error) {
	if check {
		again, err := tx.again(c)
		if !c.looks && again.Run != "" || err != nil {
			return granted{ref: again}, err
		}
		refused, host, err := tx.mayClaim(q, ok, c)
		if err != nil {
			return granted{}, err
		}
		if refused != nil {
			return granted{err: refused}, nil
		}
		q.hosts[c.request.Instance] = host
	}
	n, ok, err := tx.next(q)
	if err != nil || !ok {
		return granted{}, err
	}
	if c.looks {
		return granted{work: true}, nil
	}
	q.free--
	return granted{ref: run.Ref{Run: n.id, Attempt: n.attempt + 1}}, tx.startAttempt(q, n, c)
}

// mayClaim checks that a claim's instance is registered with the newest settings, and returns its host.
func (tx *Tx) mayClaim(q *queue, ok bool, c *waiter) (refused *api.Error, host string, err error) {
	r := c.request
	var start, settings string
	var revision int
	known := false
	if ok {
		known, err = tx.row([]any{&start, &revision, &settings, &host},
			`SELECT start, revision, settings, host FROM instances WHERE listener = ? AND instance = ?`, c.queue, r.Instance)
	}
	switch {
	case err != nil:
		return nil, "", err
	case !known || start != r.Start:
		return api.Errorf(http.StatusConflict, api.NotRegistered, "listener %q has no instance %q with start %q: register first", c.queue, r.Instance, r.Start), "", nil
	case revision != r.Revision || settings != q.settings:
		return api.Errorf(http.StatusConflict, api.Outdated, "another instance has set newer settings for listener %q: this one gets no work until it is started or reloaded with them", c.queue), "", nil
	}
	return nil, host, nil
}

// again finds the running attempt that this claim's key has got before.
func (tx *Tx) again(c *waiter) (run.Ref, error) {
	var ref run.Ref
	_, err := tx.row([]any{&ref.Run, &ref.Attempt}, `SELECT r.id, a.attempt FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt
		WHERE r.listener = ? AND r.slot = 1 AND r.status = 'running' AND a.instance = ? AND a.key = ?`, c.queue, c.request.Instance, c.request.Key)
	return ref, err
}

// queue is what a transaction knows of a listener whose claims it settles.
type queue struct {
	name        string
	settings    string
	concurrency int
	whenBusy    string
	onLost      string
	limitS      int64
	matchID     int64
	free        int
	dry         bool // no run of it can start now
	hosts       map[string]string
}

func (tx *Tx) queue(name string) (queue, bool, error) {
	q := queue{name: name, hosts: map[string]string{}}
	ok, err := tx.row([]any{&q.settings, &q.concurrency, &q.whenBusy, &q.onLost, &q.limitS, &q.matchID},
		`SELECT settings, concurrency, when_busy, on_lost, limit_s, match_id FROM listeners WHERE name = ?`, name)
	if !ok || err != nil {
		return q, ok, err
	}
	var busy int
	_, err = tx.row([]any{&busy}, `SELECT count(*) FROM runs WHERE listener = ? AND slot = 1`, name)
	q.free = q.concurrency - busy
	if err == nil {
		q.dry, err = tx.paused(name)
	}
	return q, true, err
}

// next is the run that a queue would start now.
type next struct {
	seq     int64
	id      string
	attempt int
	matchID int64
}

// nextRun is the first in order that may start. Under supersede and latest a lane whose run has not ended
// is passed over.
const (
	nextRun     = `SELECT seq, id, attempt, match_id FROM runs q WHERE listener = ? AND slot = 0 ORDER BY ord, rank LIMIT 1`
	nextOfLanes = `SELECT seq, id, attempt, match_id FROM runs q WHERE listener = ? AND slot = 0 AND NOT EXISTS (
		SELECT 1 FROM runs b WHERE b.listener = q.listener AND b.repo = q.repo AND b.ref IS q.ref AND b.slot = 1)
		ORDER BY ord, rank LIMIT 1`
)

// next finds the queue's next run, if it may start now. A run that is still to be checked against changed rules
// holds its queue up: the check, which is under way, touches the queue again.
func (tx *Tx) next(q *queue) (n next, ok bool, err error) {
	if q.free <= 0 || q.dry {
		return n, false, nil
	}
	query := nextRun
	if q.whenBusy != api.Queue {
		query = nextOfLanes
	}
	ok, err = tx.row([]any{&n.seq, &n.id, &n.attempt, &n.matchID}, query, q.name)
	if err != nil {
		return n, false, err
	}
	q.dry = !ok || n.matchID != q.matchID
	return n, !q.dry, nil
}

func (tx *Tx) startAttempt(q *queue, n next, c *waiter) error {
	host, err := tx.host(q, c)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO attempts (run, attempt, status, host, instance, start, key, started_at, clock, limit_s, on_lost)
		VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?)`, n.seq, n.attempt+1, host, c.request.Instance, c.request.Start, c.request.Key,
		micros(tx.now), tx.clock, q.limitS, q.onLost)
	if err != nil {
		return err
	}
	return tx.moved(n.seq, `UPDATE runs SET status = 'running', attempt = attempt + 1, started_at = ?, reason = NULL, slot = 1,
		log_bytes = 0, log_cut = 0 WHERE seq = ? AND status = 'queued'`, micros(tx.now), n.seq)
}

func (tx *Tx) host(q *queue, c *waiter) (string, error) {
	if host, ok := q.hosts[c.request.Instance]; ok {
		return host, nil
	}
	var host string
	_, err := tx.row([]any{&host}, `SELECT host FROM instances WHERE listener = ? AND instance = ?`, q.name, c.request.Instance)
	q.hosts[c.request.Instance] = host
	return host, err
}

// announce tells of the runs of a queue that could start now and that no claim took.
func (tx *Tx) announce(q *queue) error {
	if tx.w.store.opt.Work == nil || q.free <= 0 || q.dry {
		return nil
	}
	work := Work{Queue: q.name}
	err := tx.query(func(rows scanner) error {
		var id string
		err := rows.Scan(&id)
		work.Runs = append(work.Runs, id)
		return err
	}, `SELECT id FROM runs WHERE listener = ? AND slot = 0 AND match_id = ? ORDER BY ord, rank LIMIT ?`, q.name, q.matchID, q.free)
	if len(work.Runs) > 0 {
		tx.work = append(tx.work, work)
	}
	return err
}
