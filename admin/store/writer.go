package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"lightspeed/api"
	"lightspeed/fault"
)

// maxBatch bounds how many operations share a commit.
const maxBatch = 256

// op is an operation that waits for the writer. Its function may be run more than once: it must leave no
// traces but in the transaction and in results that it sets anew each time.
type op struct {
	ctx  context.Context
	run  func(*Tx) error
	done chan error
	err  error
}

// do has the writer run an operation and returns when it has been committed, or has failed. An operation
// that the writer has begun is waited for whatever ctx says: its results are then known.
func (s *Store) do(ctx context.Context, run func(*Tx) error) error {
	o := &op{ctx: ctx, run: run, done: make(chan error, 1)}
	select {
	case s.ops <- o:
		return <-o.done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
}

// write is the writer goroutine: it takes all operations that wait and commits them together. While one
// commit's fsync goes on, the next batch gathers: no delay is needed to fill it.
func (s *Store) write() {
	w := &writer{store: s, stmts: map[string]*sql.Stmt{}}
	defer w.closeStmts()
	for {
		select {
		case first := <-s.ops:
			w.commit(s.gather(first))
		case <-s.closing:
			return
		}
	}
}

func (s *Store) gather(first *op) []*op {
	batch := []*op{first}
	for len(batch) < maxBatch {
		select {
		case o := <-s.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// writer belongs to the writer goroutine.
type writer struct {
	store      *Store
	stmts      map[string]*sql.Stmt
	clockSaved int64
	looked     int64 // Store.Commits when the write-ahead log was last looked at
}

// commit runs a batch in one transaction. When an operation fails after it has written, or the database
// fails, everything is rolled back and each operation gets a transaction of its own.
func (w *writer) commit(batch []*op) {
	if len(batch) > 1 && !w.attempt(batch) {
		for _, o := range batch {
			w.attempt([]*op{o})
		}
	} else if len(batch) == 1 {
		w.attempt(batch)
	}
	fault.Point("store.answering")
	for _, o := range batch {
		o.done <- o.err
	}
	w.boundWAL()
}

// attempt reports whether each operation of the batch has its own result. For a batch of one it always has.
func (w *writer) attempt(batch []*op) bool {
	tx, err := w.begin()
	if err != nil {
		return fail(batch, err)
	}
	for _, o := range batch {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		tx.wrote = false
		if o.err = o.run(tx); o.err != nil && (tx.wrote || !refusal(o.err)) {
			tx.rollback()
			o.err = explain(o.err)
			return len(batch) == 1
		}
	}
	if err = tx.settle(); err == nil {
		err = tx.commit()
	}
	if err != nil {
		tx.rollback()
		return fail(batch, explain(err))
	}
	return true
}

// fail gives every operation that has none the batch's error. It reports true: a commit that failed as a
// whole is not tried again here, but by whoever asked.
func fail(batch []*op, err error) bool {
	for _, o := range batch {
		if o.err == nil {
			o.err = err
		}
	}
	return true
}

// refusal reports whether an error is an operation's own verdict, and not a failure of the database.
func refusal(err error) bool {
	var refused *api.Error
	return errors.As(err, &refused) || errors.Is(err, ErrRulesChanged)
}

// explain says in plain words what a failure of the database means for whoever called.
func explain(err error) error {
	var failed *sqlite.Error
	if errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_FULL {
		return fmt.Errorf("%w: the disk is full: %w", errUnavailable, err)
	}
	return err
}

// errUnavailable is wrapped by errors that may be gone when the same call is made later.
var errUnavailable = errors.New("the database cannot be written")

// IsFull reports whether an error says that the disk is full.
func IsFull(err error) bool { return errors.Is(err, errUnavailable) }

// Tx is one transaction of the writer.
type Tx struct {
	w          *writer
	now        time.Time
	clock      int64
	generation int64
	wrote      bool // by the operation that runs
	dirty      bool // by any
	touched    []string
	changed    []Change
	claims     []*waiter // new ones
	registered map[string]bool
	answered   []*waiter
	replaced   []*waiter // standing claims whose key has come again
	work       []Work
	stale      bool // runs are to be checked against changed rules
}

func (w *writer) begin() (*Tx, error) {
	tx := &Tx{w: w, now: time.Now().UTC().Truncate(time.Microsecond), clock: w.store.clock.Load(), generation: w.store.generation.Load()}
	_, err := w.stmtExec("BEGIN IMMEDIATE")
	return tx, err
}

// commit commits, and then makes known what was done.
func (tx *Tx) commit() error {
	s := tx.w.store
	if tx.dirty && tx.clock-tx.w.clockSaved >= 60 {
		if err := tx.saveClock(); err != nil {
			return err
		}
	}
	fault.Point("store.committing")
	if s.opt.Work != nil && len(tx.work) > 0 {
		s.opt.Work(tx.work) // goes its way while the disk is waited for: a claim that it leads to comes after this commit
	}
	if _, err := tx.w.stmtExec("COMMIT"); err != nil {
		return err
	}
	if tx.dirty {
		fault.Point("store.committed")
		s.commits.Add(1)
	}
	s.generation.Store(tx.generation)
	if s.opt.Committed != nil && len(tx.changed) > 0 {
		s.opt.Committed(tx.changed)
	}
	if tx.stale {
		s.stale.Add(1)
		s.signalRecheck()
	}
	s.waiting.answer(tx)
	return nil
}

// rollback undoes the transaction. SQLite may have done so by itself; that error says nothing new.
func (tx *Tx) rollback() {
	_, _ = tx.w.stmtExec("ROLLBACK")
	tx.w.store.waiting.restore(tx)
}

func (tx *Tx) saveClock() error {
	tx.w.clockSaved = tx.clock
	_, err := tx.exec(`UPDATE meta SET value = ? WHERE key = 'clock'`, tx.clock)
	return err
}

// touch says that a queue may have work, or slots, that it had not before.
func (tx *Tx) touch(queue string) {
	if !slices.Contains(tx.touched, queue) {
		tx.touched = append(tx.touched, queue)
	}
}

// exec writes and returns how many rows it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	tx.wrote, tx.dirty = true, true
	result, err := tx.w.stmtExec(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// insert inserts one row and sets seq to its rowid.
func (tx *Tx) insert(seq *int64, query string, args ...any) (err error) {
	tx.wrote, tx.dirty = true, true
	result, err := tx.w.stmtExec(query, args...)
	if err == nil {
		*seq, err = result.LastInsertId()
	}
	return err
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// query reads all rows.
func (tx *Tx) query(scan func(scanner) error, query string, args ...any) error {
	stmt, err := tx.w.stmt(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// row reads one row into dest and reports whether there was one.
func (tx *Tx) row(dest []any, query string, args ...any) (bool, error) {
	stmt, err := tx.w.stmt(query)
	if err != nil {
		return false, err
	}
	return found(stmt.QueryRowContext(context.Background(), args...).Scan(dest...))
}

func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func each(rows *sql.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stmt returns the prepared statement for a query. Queries are constants: their number is small.
func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if stmt := w.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := w.store.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = stmt
	}
	return stmt, err
}

func (w *writer) stmtExec(query string, args ...any) (sql.Result, error) {
	stmt, err := w.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...)
}

func (w *writer) closeStmts() {
	for _, stmt := range w.stmts {
		_ = stmt.Close()
	}
}
