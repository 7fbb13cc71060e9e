package store

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// view is a read transaction: what it shows stood in the database at one moment.
type view struct {
	ctx context.Context
	s   *Store
	tx  *sql.Tx
}

func (s *Store) view(ctx context.Context, look func(view) error) error {
	select {
	case s.views <- struct{}{}:
		defer func() { <-s.views }()
	case <-ctx.Done():
		return s.readError(ctx.Err())
	}
	tx, err := s.reading.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s.readError(err)
	}
	defer func() { _ = tx.Rollback() }()
	return s.readError(look(view{ctx, s, tx}))
}

// readError says ErrClosed for what a closed database answers.
func (s *Store) readError(err error) error {
	select {
	case <-s.closing:
		if err != nil {
			return ErrClosed
		}
	default:
	}
	return err
}

// prepared returns the reading statement for a query. Queries are constants, and those that are put together
// from constants: their number is small. Preparing takes a connection beside the view's own: one is kept for whoever
// does it, one at a time, so that views never wait for each other's.
func (s *Store) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.readStmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if stmt, ok := s.readStmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := s.reading.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.readStmts.Store(query, stmt)
	return stmt, nil
}

func (v view) query(scan func(scanner) error, query string, args ...any) error {
	stmt, err := v.s.prepared(v.ctx, query)
	if err != nil {
		return err
	}
	rows, err := v.tx.StmtContext(v.ctx, stmt).QueryContext(v.ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// row reads the first row into dest and reports whether there was one.
func (v view) row(dest []any, query string, args ...any) (ok bool, err error) {
	err = v.query(func(row scanner) error {
		if ok {
			return nil
		}
		ok = true
		return row.Scan(dest...)
	}, query, args...)
	return ok, err
}

// read reads all rows of one query.
func (s *Store) read(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	return s.view(ctx, func(v view) error { return v.query(scan, query, args...) })
}

func (s *Store) readRow(ctx context.Context, dest []any, query string, args ...any) error {
	return s.view(ctx, func(v view) error {
		_, err := v.row(dest, query, args...)
		return err
	})
}

func timeOf(us int64) time.Time { return time.UnixMicro(us).UTC() }

func timeOrNil(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	t := timeOf(*us)
	return &t
}

const runColumns = `r.seq, r.id, r.listener, d.id, r.cause, r.retry_of, r.event, r.repo, r.ref, r.branch, r.tag, r.sha, r.pr,
	r.status, r.attempt, r.reason, r.exit_code, r.queued_at, r.started_at, r.finished_at, r.log_bytes, r.log_cut, r.cancel_at, r.held_until`

// scanRun reads runColumns of runs r JOIN deliveries d, and what stands behind them.
func scanRun(row scanner, more ...any) (seq int64, r run.Run, err error) {
	var queued int64
	var started, finished, cancelled, held *int64
	err = row.Scan(append([]any{&seq, &r.ID, &r.Listener, &r.Delivery, &r.Cause, &r.RetryOf, &r.Event, &r.Repo, &r.Ref, &r.Branch, &r.Tag, &r.SHA, &r.PR,
		&r.Status, &r.Attempt, &r.Reason, &r.ExitCode, &queued, &started, &finished, &r.LogBytes, &r.LogCut, &cancelled, &held}, more...)...)
	r.QueuedAt = timeOf(queued)
	r.StartedAt, r.FinishedAt = timeOrNil(started), timeOrNil(finished)
	r.CancelRequestedAt, r.SlotHeldUntil = timeOrNil(cancelled), timeOrNil(held)
	r.Attempts, r.Notices = []run.Attempt{}, []run.Notice{}
	return seq, r, err
}

func (v view) attempts(seq int64) ([]run.Attempt, error) {
	list := []run.Attempt{}
	err := v.query(func(row scanner) error {
		var a run.Attempt
		var started int64
		var finished, pruned, gone *int64
		var steps *string
		err := row.Scan(&a.Attempt, &a.Status, &a.Reason, &a.ExitCode, &a.Host, &started, &finished, &a.LogBytes, &a.LogCut, &pruned, &gone, &steps)
		a.StartedAt, a.FinishedAt, a.LogPrunedAt, a.ArtifactsPrunedAt = timeOf(started), timeOrNil(finished), timeOrNil(pruned), timeOrNil(gone)
		if err == nil {
			a.Steps, err = stepsOf(a.Status, steps)
		}
		list = append(list, a)
		return err
	}, `SELECT a.attempt, a.status, a.reason, a.exit_code, a.host, a.started_at, a.finished_at, a.log_bytes, a.log_cut, a.log_pruned_at, a.artifacts_pruned_at, s.list
		FROM attempts a LEFT JOIN steps s ON s.run = a.run AND s.attempt = a.attempt WHERE a.run = ? ORDER BY a.attempt`, seq)
	return list, err
}

// Run reads a run with its attempts.
func (s *Store) Run(ctx context.Context, id string) (run.Run, error) {
	var r run.Run
	err := s.view(ctx, func(v view) (err error) {
		_, r, err = v.run(id)
		return err
	})
	return r, err
}

func (v view) run(id string) (seq int64, r run.Run, err error) {
	ok := false
	err = v.query(func(row scanner) (err error) {
		ok = true
		seq, r, err = scanRun(row)
		return err
	}, `SELECT `+runColumns+` FROM runs r JOIN deliveries d ON d.seq = r.delivery WHERE r.id = ?`, id)
	if err == nil && !ok {
		err = noRun(id)
	}
	if err != nil {
		return 0, r, err
	}
	err = v.details(seq, &r)
	return seq, r, err
}

// details reads what stands beside a run's own row.
func (v view) details(seq int64, r *run.Run) (err error) {
	if r.Attempts, err = v.attempts(seq); err == nil {
		r.Notices, err = v.notices(seq)
	}
	return err
}

// Claimed reads what a claim is answered with, but for the lease. A payload of more than limit bytes is left to
// Stored; its length is returned. It is on the way of each push: before the first attempt nobody has said anything of the run.
func (s *Store) Claimed(ctx context.Context, ref run.Ref, limit int64) (c api.Claim, length int64, err error) {
	c.Attempt = ref.Attempt
	err = s.view(ctx, func(v view) error {
		var seq int64
		if seq, length, err = v.delivered(ref.Run, limit, &c.Run, &c.Delivery, &c.Payload); err != nil {
			return err
		}
		if ref.Attempt == 1 {
			c.Run.Attempts, err = v.attempts(seq)
			return err
		}
		if err = v.details(seq, &c.Run); err != nil {
			return err
		}
		c.Memos, err = v.memos(seq)
		return err
	})
	return c, length, err
}

// delivered reads a run's row and the delivery behind it; its payload only when that has at most limit bytes.
func (v view) delivered(id string, limit int64, r *run.Run, head *api.DeliveryHead, payload *[]byte) (seq, length int64, err error) {
	ok := false
	err = v.query(func(row scanner) (err error) {
		ok = true
		seq, *r, err = scanRun(row, &head.ID, &head.Event, &head.ContentType, &length, payload)
		return err
	}, `SELECT `+runColumns+`, d.id, d.event, d.content_type, d.bytes, CASE WHEN d.bytes <= ? THEN p.body END FROM runs r
		JOIN deliveries d ON d.seq = r.delivery LEFT JOIN payloads p ON p.delivery = d.seq WHERE r.id = ?`, limit, id)
	if err == nil && !ok {
		err = noRun(id)
	}
	return seq, length, err
}

// Attempt reads the state of one attempt, and whether a later one has started.
func (s *Store) Attempt(ctx context.Context, ref run.Ref) (Held, error) {
	var h holding
	ok := false
	err := s.read(ctx, func(row scanner) (err error) {
		ok = true
		h, err = scanHolding(row)
		return err
	}, `SELECT `+holdingColumns+` FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = ? WHERE r.id = ?`, ref.Attempt, ref.Run)
	if err == nil && !ok {
		err = api.Errorf(404, api.NotFound, "there is no attempt %d of a run %q", ref.Attempt, ref.Run)
	}
	return Held{Ref: ref, Delivery: h.delivery, Listener: h.listener, Instance: h.instance, Host: h.host, Status: h.attemptStatus, Run: h.status,
		Newest: h.attempt == ref.Attempt, Cancel: h.cancel}, err
}

// Held is an attempt and who has, or had, it.
type Held struct {
	Ref      run.Ref
	Delivery string
	Listener string
	Instance string
	Host     string
	Status   run.State // of the attempt
	Run      run.State
	Newest   bool // no later attempt has started
	Cancel   *api.Cancel
}

// Taken reports whether what the attempt's listener reports is still taken: it runs, or was given up and
// may still turn out otherwise.
func (h Held) Taken() bool {
	return h.Status == run.Running || (h.Status == run.Lost && h.Newest && (h.Run == run.Lost || h.Run == run.Queued))
}

// Running lists the attempts that run.
func (s *Store) Running(ctx context.Context) ([]Held, error) {
	var list []Held
	err := s.read(ctx, func(row scanner) error {
		h, err := scanHolding(row)
		list = append(list, Held{Ref: h.ref, Delivery: h.delivery, Listener: h.listener, Instance: h.instance, Host: h.host, Status: h.attemptStatus, Run: h.status, Newest: true, Cancel: h.cancel})
		return err
	}, `SELECT `+holdingColumns+` FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt WHERE r.status = 'running'`)
	return list, err
}

// Stored reads a delivery as it came, with the generation of the rules by which it was decided.
type Stored struct {
	Delivery   event.Delivery
	Status     string
	Why        string
	Generation int64
	Trigger    bool
}

// Stored reads a delivery with its body. One whose body was pruned is refused with api.Pruned.
func (s *Store) Stored(ctx context.Context, id string) (Stored, error) {
	var d Stored
	var received int64
	var why *string
	var pruned *int64
	ok := false
	err := s.read(ctx, func(row scanner) error {
		ok = true
		return row.Scan(&d.Delivery.ID, &d.Delivery.Event, &d.Delivery.ContentType, &received, &d.Delivery.Body, &d.Status, &why, &d.Generation, &d.Trigger, &pruned)
	}, `SELECT d.id, d.event, d.content_type, d.received_at, p.body, d.status, d.why, d.generation, d.sha256 IS NULL, d.payload_pruned_at
		FROM deliveries d LEFT JOIN payloads p ON p.delivery = d.seq WHERE d.id = ?`, id)
	switch {
	case err == nil && !ok:
		err = noDelivery(id)
	case err == nil && pruned != nil:
		err = api.Errorf(http.StatusGone, api.Pruned, "the payload of delivery %q was deleted on %s: admin keeps only so much", id, timeOf(*pruned).Format(time.DateOnly))
	}
	d.Delivery.ReceivedAt = timeOf(received)
	if why != nil {
		d.Why = *why
	}
	return d, err
}

// RunsOf lists the runs that a delivery led to, oldest first.
func (s *Store) RunsOf(ctx context.Context, delivery string) ([]api.DeliveredRun, error) {
	var list []api.DeliveredRun
	err := s.view(ctx, func(v view) (err error) {
		var seq int64
		if _, err = v.row([]any{&seq}, `SELECT seq FROM deliveries WHERE id = ?`, delivery); err == nil {
			list, err = v.runsOf(seq)
		}
		return err
	})
	return list, err
}

func (v view) runsOf(delivery int64) ([]api.DeliveredRun, error) {
	list := []api.DeliveredRun{}
	err := v.query(func(row scanner) error {
		var r api.DeliveredRun
		err := row.Scan(&r.ID, &r.Listener, &r.Cause, &r.Status)
		list = append(list, r)
		return err
	}, `SELECT id, listener, cause, status FROM runs WHERE delivery = ? ORDER BY seq`, delivery)
	return list, err
}
