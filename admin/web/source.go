package web

import (
	"context"
	"errors"
	"io"
	"time"

	"lightspeed/logtime"
	"lightspeed/match"
	"lightspeed/run"
)

// Source is what the pages show and do. Its lists come newest first (listeners by name), a page at a time; an
// error that is to be shown as it stands is a *Refusal.
type Source interface {
	Runs
	Deliveries
	Listeners

	// Changes returns a channel that holds a token when a run has changed or its log has grown since it was
	// last emptied; for "" when any run or listener has changed. done must be called.
	Changes(run string) (changed <-chan struct{}, done func())
	// Stopping is closed when answers that go on are to end.
	Stopping() <-chan struct{}
}

// Runs are the runs of a Source.
type Runs interface {
	Runs(ctx context.Context, f Filter) (Page[Row], error)
	Run(ctx context.Context, id string) (Row, error)
	Cancel(ctx context.Context, id, by string) error
	Retry(ctx context.Context, id string) (newID string, err error)
	Release(ctx context.Context, id string) error
	// Log opens an attempt's output; a log that has no byte yet is empty. The caller closes it.
	Log(ctx context.Context, ref run.Ref) (Log, error)
	// Artifacts lists what the attempts of a run have kept, the newest attempt's first.
	Artifacts(ctx context.Context, id string) ([]Artifact, error)
	// Artifact opens a file that an attempt has kept. The caller closes it.
	Artifact(ctx context.Context, id string, attempt int, path string) (io.ReadSeekCloser, error)
	// Badge is the newest result of a listener on a branch, or on any when branch is empty; "" when there is none.
	Badge(ctx context.Context, listener, branch string) (run.State, error)
}

// Deliveries are the deliveries of a Source.
type Deliveries interface {
	Deliveries(ctx context.Context, before string) (Page[Delivery], error)
	Delivery(ctx context.Context, id string) (Delivery, error)
	// Verdicts are what was decided for each listener that there was when the delivery came in.
	Verdicts(ctx context.Context, id string) ([]Verdict, error)
	Payload(ctx context.Context, id string) ([]byte, error)
	// Replay queues runs for the listeners named, or for all whose rules hold now; with dry it only says for which.
	Replay(ctx context.Context, id string, listeners []string, dry bool) (Replay, error)
}

// Listeners are the listeners of a Source.
type Listeners interface {
	Listeners(ctx context.Context, before string) (Page[Listener], error)
	Listener(ctx context.Context, name string) (Listener, error)
	// Recent lists the runs that ended last, newest first.
	Recent(ctx context.Context, name string, limit int) ([]Recent, error)
	Trigger(ctx context.Context, name string, t Trigger) (runID string, err error)
	Pause(ctx context.Context, name, by, note string) error
	Resume(ctx context.Context, name string) error
	Remove(ctx context.Context, name string, force bool) error
}

// Refusal is an error that whoever asked is to read.
type Refusal struct {
	Status  int // an HTTP status, 400 to 599
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// Access decides who may look, and who may act.
type Access interface {
	// Open reports whether nobody is asked who they are; the other methods are not called then.
	Open() bool
	// Login opens a session for whoever has this token. The session's id is for their browser alone.
	// ErrNoAccess says that the token opens nothing.
	Login(ctx context.Context, token string) (session string, until time.Time, err error)
	// Who says whose session this is, or ErrNoAccess when it is over.
	Who(ctx context.Context, session string) (Person, error)
	// Logout ends a session at once.
	Logout(ctx context.Context, session string) error
}

// ErrNoAccess is the error of a token or a session that opens nothing.
var ErrNoAccess = errors.New("no access")

// Person is who looks at a page.
type Person struct {
	Name   string // shown, and kept with what they do; may be empty
	MayAct bool   // cancel, retry, replay, trigger, pause, remove
}

// Page is one page of a list. Next is the value for ?before=, empty at the end.
type Page[T any] struct {
	Items []T
	Next  string
}

// Filter narrows a list of runs; empty fields do not.
type Filter struct {
	Listener, Repo, Branch, Delivery string
	Status                           run.State
	Before                           string
	Limit                            int
}

// Row is a run, and who pushed what.
type Row struct {
	run.Run
	Push
}

// Push is who pushed what; each may be empty.
type Push struct {
	Pusher  string
	Message string // the first line
	URL     string // a page that shows the change; http or https, or it is not shown
}

// Log is an attempt's output as far as it has come.
type Log interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error) // in bytes, now
	// Times is what is known of when the bytes from from up to to came, as logtime.File.Between.
	Times(from, to int64, most int) (list []logtime.Record, until int64, err error)
}

// Artifact is a file that an attempt has kept.
type Artifact struct {
	Path    string // with slashes
	Bytes   int64
	Attempt int
}

// Delivery is one webhook delivery. Empty fields have no value.
type Delivery struct {
	ID, Event, Action string
	Repo, Branch, Tag string
	Ref, SHA          string
	PR                int
	Push
	ReceivedAt time.Time
	Ignored    string // why no listener can be run by it
	Bytes      int64
	Runs       []DeliveredRun
}

// DeliveredRun is a run that a delivery led to.
type DeliveredRun struct {
	ID, Listener string
	Cause        run.Cause
	Status       run.State
}

// Verdict is what was decided for a listener, and the run that it led to.
type Verdict struct {
	Listener string
	match.Decision
	Run string
}

// Replay is what a replay led to, or with DryRun would lead to.
type Replay struct {
	DryRun  bool
	Runs    []DeliveredRun // of a dry run without ids
	Skipped []Verdict
	More    int // how many more were skipped
	Ignored string
}

// Listener is a listener and the machines that share it.
type Listener struct {
	Name                  string
	Says                  string   // what it listens for, in one sentence
	Repos, Branches       []string // those of its rules that are names, not patterns
	Revision              int
	RegisteredAt          time.Time
	Connected             bool
	Concurrency           int
	WhenBusy              string
	Queued, Running, Held int
	Machines              []Machine
	Paused                *Paused
}

// Machine is one instance of a listener.
type Machine struct {
	Host      string
	Connected bool
	Outdated  bool // another has newer settings: this one gets no work
	Via       string
	LastSeen  time.Time
	Waits     string // "waits for lock deploy, held by process 4711"; empty: for no lock
}

// Paused says who paused a listener, when, and why.
type Paused struct {
	By, Note string
	At       time.Time
}

// Recent is a run that has ended, in short.
type Recent struct {
	ID         string
	Status     run.State
	Branch     string
	StartedAt  *time.Time
	FinishedAt time.Time
}

// Trigger says what to run by hand: one of Branch and Tag.
type Trigger struct {
	Repo, Branch, Tag, SHA string
}
