// Package store keeps admin's truth in one SQLite database: deliveries, listeners with the history of their
// rules, runs and their attempts. One goroutine writes, with group commit; a few read-only connections read.
// Every state that an answer speaks of has been committed, with fsync, before the answer is given.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"lightspeed/api"
	"lightspeed/run"
)

// ErrClosed is the error of every call after Close.
var ErrClosed = errors.New("the database is closed")

// Options say how a database is opened.
type Options struct {
	Path string // of the database file; it is made when it is missing
	Log  *slog.Logger

	// Committed, when set, is told of every run that a commit changed, in order, by the one goroutine that
	// writes: before any caller gets its result. It must not block and must not call the Store.
	Committed func([]Change)
	// MaxWAL bounds the write-ahead log, in bytes; 0: 64 MiB.
	MaxWAL int64
	// Work, when set, is told before a commit, which may still fail, of queues that have runs waiting and slots
	// free that no standing claim took. It must not block and must not call the Store.
	Work func([]Work)
}

// Change is what a commit did to a run.
type Change struct {
	Run      string
	Listener string
	Delivery string
	Status   run.State
	Step     bool   // the change has brought it to this status; otherwise something else about it has changed
	Reason   string // for which it is in this status, where there is one
	Attempt  int    // the newest attempt's number, 0 before the first
	Instance string // who holds the attempt, and where; only while Status is run.Running
	Host     string
	Cancel   *api.Cancel
}

// Work is a queue that could start runs now: those named, oldest first, as many as slots are free.
type Work struct {
	Queue string
	Runs  []string
}

// Store is an open database.
type Store struct {
	opt     Options
	writing *sql.DB
	reading *sql.DB
	conn    *sql.Conn // the one connection that writes; used by the writer goroutine alone

	ops     chan *op // unbuffered: what was received is answered
	closing chan struct{}
	close   sync.Once
	done    sync.WaitGroup

	waiting    waiting
	generation atomic.Int64 // id of the newest change of any listener's rules
	clock      atomic.Int64 // seconds that admin has been up, over all starts
	commits    atomic.Int64

	rechecks  chan struct{}
	stale     atomic.Int64 // commits after which runs that wait were to be matched again
	readStmts sync.Map     // SQL text → *sql.Stmt
	preparing sync.Mutex
	views     chan struct{} // has room for maxReaders
}

// Sizes of SQLite's page caches in KiB: small, so that an idle process stays small.
const (
	writerCache = 4096
	readerCache = 1024
	maxReaders  = 4
)

// Open opens a database, makes or migrates its schema, and starts the writer. A database that a newer
// version has written is refused.
func Open(opt Options) (*Store, error) {
	if opt.MaxWAL == 0 {
		opt.MaxWAL = defaultMaxWAL
	}
	if err := create(opt.Path); err != nil {
		return nil, err
	}
	s := &Store{opt: opt, ops: make(chan *op), closing: make(chan struct{}), rechecks: make(chan struct{}, 1), views: make(chan struct{}, maxReaders)}
	s.waiting.queues = map[string][]*waiter{}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", opt.Path, err), s.closeFiles())
	}
	s.done.Go(s.write)
	if err := s.do(context.Background(), (*Tx).showHeld); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", opt.Path, err), s.Close())
	}
	return s, nil
}

// create makes the file readable by its owner alone: payloads may be private.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) open() error {
	var err error
	if s.writing, err = sql.Open("sqlite", dsn(s.opt.Path, "immediate", "synchronous(FULL)", "foreign_keys(ON)",
		"wal_autocheckpoint(4000)", fmt.Sprintf("journal_size_limit(%d)", s.opt.MaxWAL), fmt.Sprintf("cache_size(-%d)", writerCache))); err != nil {
		return err
	}
	s.writing.SetMaxOpenConns(1)
	if s.conn, err = s.writing.Conn(context.Background()); err != nil {
		return err
	}
	if err = migrate(s.conn); err != nil {
		return err
	}
	if s.reading, err = sql.Open("sqlite", dsn(s.opt.Path, "deferred", "query_only(ON)",
		fmt.Sprintf("cache_size(-%d)", readerCache))); err != nil {
		return err
	}
	s.reading.SetMaxOpenConns(maxReaders + 1) // a view each, and one to prepare statements by
	s.reading.SetMaxIdleConns(2)
	s.reading.SetConnMaxIdleTime(time.Minute)
	return s.load()
}

func dsn(path, txlock string, pragmas ...string) string {
	q := url.Values{"_txlock": {txlock}, "_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "temp_store(MEMORY)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// load reads what the writer keeps in memory.
func (s *Store) load() error {
	var generation, clock int64
	row := s.conn.QueryRowContext(context.Background(),
		`SELECT (SELECT coalesce(max(id), 0) FROM rules), (SELECT value FROM meta WHERE key = 'clock')`)
	if err := row.Scan(&generation, &clock); err != nil {
		return err
	}
	s.generation.Store(generation)
	s.clock.Store(clock)
	s.rechecks <- struct{}{} // what a crash left to be checked
	return nil
}

// Close stops the writer, answers what waits with ErrClosed, and closes the files. It may be called twice.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		saved := s.do(context.Background(), (*Tx).saveClock)
		close(s.closing)
		s.done.Wait()
		s.waiting.closeAll()
		err = errors.Join(saved, s.closeFiles())
	})
	return err
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.reading, s.writing} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Generation is the id of the newest change of any listener's rules. Decisions made on older rules are
// refused with ErrRulesChanged.
func (s *Store) Generation() int64 { return s.generation.Load() }

// Commits counts the commits that wrote something, each of them one fsync.
func (s *Store) Commits() int64 { return s.commits.Load() }

// Tick moves the store's clock on by a second. Waits and kept slots are measured by this clock and not by
// the wall's, so that one set forward ends nothing. The clock is saved along with other writes and every ten
// minutes: a crash makes waits at most that much longer.
func (s *Store) Tick(ctx context.Context) error {
	if s.clock.Add(1)%600 != 0 {
		return nil
	}
	return s.do(ctx, (*Tx).saveClock)
}
