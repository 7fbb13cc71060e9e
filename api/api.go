// Package api holds the bodies of admin's HTTP API and a client for it. All routes stand under Prefix,
// carry JSON, and want a bearer token. Absent values are null, never missing; times are RFC 3339 in UTC.
package api

import (
	"fmt"
	"time"

	"lightspeed/match"
	"lightspeed/run"
)

// Prefix is where the API's routes start.
const Prefix = "/api/v1"

// Version is the API's own. The roles send it in their User-Agent: "lightspeed/<Version>".
const Version = "1.0"

// Statuses of a Receipt.
const (
	Accepted  = "accepted"  // stored; Runs and Skipped say what it led to
	Spooled   = "spooled"   // on disk at hooks; admin will get it
	Duplicate = "duplicate" // stored before, by its id or its body; nothing new runs
	Ignored   = "ignored"   // stored; no listener can ask for such an event
	Pong      = "pong"      // a ping: not stored
)

// Receipt answers POST deliveries and POST /receive_hook.
type Receipt struct {
	Delivery    string    `json:"delivery"`
	Status      string    `json:"status"`
	DuplicateOf string    `json:"duplicate_of,omitempty"` // the delivery's id that had the same body
	Why         string    `json:"why,omitempty"`          // of Ignored
	Runs        []RunRef  `json:"runs"`
	Skipped     []Skipped `json:"skipped"`                // at most MaxSkipped
	SkippedMore int       `json:"skipped_more,omitempty"` // how many more there were
	DryRun      bool      `json:"dry_run,omitempty"`      // nothing was stored (replay?dry_run=1)
}

// maxRunIDs bounds how many runs a line of a log names.
const maxRunIDs = 20

// RunIDs names the receipt's runs for a line of a log: the first maxRunIDs, and how many more there are.
func (r Receipt) RunIDs() []string {
	ids := []string{}
	for _, ref := range r.Runs[:min(len(r.Runs), maxRunIDs)] {
		ids = append(ids, ref.ID)
	}
	if more := len(r.Runs) - len(ids); more > 0 {
		ids = append(ids, fmt.Sprintf("and %d more", more))
	}
	return ids
}

// MaxSkipped is how many listeners a Receipt names that were about the repository and did not match.
const MaxSkipped = 20

// RunRef names a run and the listener it waits for.
type RunRef struct {
	ID       string `json:"id"`
	Listener string `json:"listener"`
}

// Skipped is a listener that is about the repository and was not matched.
type Skipped struct {
	Listener string `json:"listener"`
	Rule     string `json:"rule"`
	Saw      string `json:"saw"`
	Want     string `json:"want"`
	Why      string `json:"why"`
}

// Settings is what admin knows of a listener: rules, and how its runs queue. No commands, no secrets.
type Settings struct {
	Rules       match.Rules `json:"rules"`
	Concurrency int         `json:"concurrency"` // runs at once over all instances, at least 1
	WhenBusy    string      `json:"when_busy"`   // queue, supersede, latest
	OnLost      string      `json:"on_lost"`     // fail, requeue
	MaxWaitS    int64       `json:"max_wait_s"`  // seconds a run may wait
	TimeoutS    int64       `json:"timeout_s"`   // seconds a run may take …
	GraceS      int64       `json:"grace_s"`     // … and to end after SIGTERM: how long a lost run keeps its slot
}

// Values of WhenBusy and OnLost.
const (
	Queue     = "queue"
	Supersede = "supersede"
	Latest    = "latest"
	Fail      = "fail"
	Requeue   = "requeue"
)

// Registration is the body of PUT listeners/{name}. Admin takes Settings as the listener's newest only when
// it has not seen this Start and Revision of this Instance; a repeat never changes them.
type Registration struct {
	Instance  string    `json:"instance"`  // names the state folder since the machine's boot: who holds attempts
	Start     string    `json:"start"`     // names the process
	Revision  int       `json:"revision"`  // counts the config's reloads within Start, from 1
	Host      string    `json:"host"`      // shown to people
	Temporary bool      `json:"temporary"` // forgotten when it leaves (listen test)
	Settings  Settings  `json:"settings"`
	Holds     []run.Ref `json:"holds"` // attempts in the instance's journal; what it claimed and does not hold never started

	Waiting *LockWait `json:"waiting,omitempty"` // nil: it waits for no lock
}

// LockWait says that a listener has heard of work and waits for a lock of its machine.
type LockWait struct {
	Lock   string    `json:"lock"`    // "lock deploy", or "lock_file": its path stays on that machine
	HeldBy int       `json:"held_by"` // a process there; 0 when it is not known which
	Since  time.Time `json:"since"`
}

// String is "waits for lock deploy, held by process 4711".
func (w LockWait) String() string {
	if w.HeldBy == 0 {
		return "waits for " + w.Lock + ", held by another process"
	}
	return fmt.Sprintf("waits for %s, held by process %d", w.Lock, w.HeldBy)
}

// Registered answers PUT listeners/{name}.
type Registered struct {
	Listener string `json:"listener"`
	Revision int    `json:"revision"` // of the listener's settings at admin, counted by admin
	Outdated bool   `json:"outdated"` // another instance has set newer settings: this one gets no work
	LeaseS   int    `json:"lease_s"`
	Broker   string `json:"broker"` // names admin's broker; empty when there is none
	Page     string `json:"page"`   // address under which people find admin's page; empty when it was not told
}

// ClaimRequest is the body of POST queues/{name}/claim?wait=30s (at most MaxWait).
type ClaimRequest struct {
	Instance string `json:"instance"`
	Start    string `json:"start"`
	Revision int    `json:"revision"`
	Key      string `json:"key"` // the same key gets the same answer again while that attempt is running
}

// Looked answers POST queues/{name}/look?wait=30s, whose body is a ClaimRequest: whether a claim would now be given
// a run. Nothing is handed out, and somebody else may be quicker.
type Looked struct {
	Work bool `json:"work"`
}

// Claim answers a claim: one attempt of one run, and the delivery behind it. No work: 204.
type Claim struct {
	Run      run.Run      `json:"run"`
	Attempt  int          `json:"attempt"`
	LeaseS   int          `json:"lease_s"`
	Delivery DeliveryHead `json:"delivery"`
	Payload  []byte       `json:"payload"` // base64 of the raw body

	// Memos are what listeners noted when they told people of earlier attempts of the run, by target.
	Memos map[string]string `json:"memos,omitempty"`
}

// DeliveryHead is what is needed beside the payload to read a delivery.
type DeliveryHead struct {
	ID          string `json:"id"`
	Event       string `json:"event"`
	ContentType string `json:"content_type"`
}

// MaxWait is the longest ?wait= of claim and renew; a longer one is cut to it.
const MaxWait = 60 * time.Second

// Renewal answers POST runs/{id}/renew?attempt=&wait=. With wait it comes early when a cancel is asked for.
type Renewal struct {
	LeaseS int     `json:"lease_s"`
	Cancel *Cancel `json:"cancel"`
}

// Cancel says who asked for a run to end, and why. It is also the body of POST runs/{id}/cancel.
type Cancel struct {
	By  string `json:"by"`
	Why string `json:"why"`
}

// LogOffset answers POST runs/{id}/log?attempt=&offset=: the offset where admin's copy now ends.
type LogOffset struct {
	Offset int64 `json:"offset"`
}

// MaxLogChunk is the largest body of one POST runs/{id}/log, in bytes.
const MaxLogChunk = 1 << 20

// LogTimes answers GET runs/{id}/log/times?attempt=&offset=: when the bytes of a log came, from the one at offset on, in
// their order. What stands before the first item came at a time that is not known.
type LogTimes struct {
	Items    []LogTime `json:"items"`     // at most MaxLogTimes
	Next     *string   `json:"next"`      // the value for offset, of the next page; null at the end
	LogBytes int64     `json:"log_bytes"` // how much of the log there was
}

// LogTime says of the bytes of a log from Offset on, up to the next item's, when they began to come, by the clock of the
// listener's machine.
type LogTime struct {
	Offset int64     `json:"offset"`
	At     time.Time `json:"at"`
	Step   *int      `json:"step"` // the step that had printed them, from 1; null: none
}

// MaxLogTimes is how many items a LogTimes has, when there are so many.
const MaxLogTimes = 500

// Finish is the body of POST runs/{id}/finish?attempt=. Admin refuses it with log_incomplete until it has
// LogBytes of the log.
type Finish struct {
	Status   run.State `json:"status"`
	Reason   string    `json:"reason"`
	ExitCode *int      `json:"exit_code"`
	LogBytes int64     `json:"log_bytes"`
	LogCut   bool      `json:"log_cut"`

	// Steps replaces what Client.Steps has told; none leaves that as it is.
	Steps []run.Step `json:"steps,omitempty"`
}

// Steps is the body of POST runs/{id}/steps?attempt=: all steps of a running attempt, as they stand now, at most
// run.MaxSteps. Each call replaces the one before.
type Steps struct {
	Steps []run.Step `json:"steps"`
}

// Listener is one row of GET listeners.
type Listener struct {
	Name         string     `json:"name"`
	Says         string     `json:"says"` // what it listens for, in one sentence
	Revision     int        `json:"revision"`
	Settings     Settings   `json:"settings"`
	Temporary    bool       `json:"temporary"`
	RegisteredAt time.Time  `json:"registered_at"`
	Connected    bool       `json:"connected"` // an instance with the newest settings is there
	Queued       int        `json:"queued"`
	Running      int        `json:"running"`
	Held         int        `json:"held"` // slots kept by lost runs
	Instances    []Instance `json:"instances"`
	LastRun      *LastRun   `json:"last_run"`
	Paused       *Paused    `json:"paused"` // null: its queue hands out runs
}

// Pause is the body of POST listeners/{name}/pause: the queue hands out nothing until POST
// listeners/{name}/resume. What runs goes on.
type Pause struct {
	Note string `json:"note"` // for others to read, at most 1024 bytes
	By   string `json:"by"`
}

// Paused says who paused a listener, when, and why.
type Paused struct {
	Note string    `json:"note"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Instance is one machine's share of a listener.
type Instance struct {
	Instance  string    `json:"instance"`
	Host      string    `json:"host"`
	Connected bool      `json:"connected"`
	Via       string    `json:"via"` // how it is told of work: "claim" or "rabbitmq"
	Outdated  bool      `json:"outdated"`
	LastSeen  time.Time `json:"last_seen"`
	Waiting   *LockWait `json:"waiting"` // null when it waits for no lock
}

// LastRun is a listener's newest run that ended.
type LastRun struct {
	ID         string    `json:"id"`
	Status     run.State `json:"status"`
	FinishedAt time.Time `json:"finished_at"`
}

// Delivery is one row of GET deliveries.
type Delivery struct {
	ID         string         `json:"id"`
	Event      string         `json:"event"`
	Action     *string        `json:"action"`
	Repo       *string        `json:"repo"`
	Ref        *string        `json:"ref"`
	Branch     *string        `json:"branch"`
	Tag        *string        `json:"tag"`
	SHA        *string        `json:"sha"`
	Before     *string        `json:"before"`
	PR         *int           `json:"pr"`
	Pusher     *string        `json:"pusher"`
	Message    *string        `json:"message"` // first line of the head commit's message, shortened
	URL        *string        `json:"url"`
	ReceivedAt time.Time      `json:"received_at"`
	Status     string         `json:"status"` // Accepted or Ignored
	Why        *string        `json:"why"`    // of Ignored
	Bytes      int64          `json:"bytes"`
	Runs       []DeliveredRun `json:"runs"`
	// PayloadPrunedAt is when the body was deleted because admin keeps only so much: it can then not be
	// replayed or explained any more.
	PayloadPrunedAt *time.Time `json:"payload_pruned_at"`
	// RecoveredAt is when GitHub was asked to send it again, since admin had never seen it.
	RecoveredAt *time.Time `json:"recovered_at"`
}

// DeliveredRun is a run that a delivery led to, by whatever cause.
type DeliveredRun struct {
	ID       string    `json:"id"`
	Listener string    `json:"listener"`
	Cause    run.Cause `json:"cause"`
	Status   run.State `json:"status"`
}

// Explanation answers GET deliveries/{id}/explain: the decision for every listener that there was when the
// delivery came in, as its rules were then.
type Explanation struct {
	Delivery  string     `json:"delivery"`
	Status    string     `json:"status"`
	Why       *string    `json:"why"`
	Listeners []Decision `json:"listeners"`
}

// Decision is one listener's verdict on a delivery.
type Decision struct {
	Listener string `json:"listener"`
	match.Decision
	Run *string `json:"run"` // the run it led to
}

// TriggerPrefix begins the ids of deliveries that admin makes for POST listeners/{name}/trigger; a delivery
// from outside may not have such an id. Whoever triggers a listener means that one, on that ref: for its
// runs, and for retries and replays of them, only the rule about the repository is asked.
const TriggerPrefix = "trigger-"

// Replay is the body of POST deliveries/{id}/replay[?dry_run=1]; no listeners: all whose rules hold now.
type Replay struct {
	Listeners []string `json:"listeners"`
}

// Trigger is the body of POST listeners/{name}/trigger: a run by hand. Exactly one of Branch and Tag.
type Trigger struct {
	Repo   string `json:"repo"`
	Branch string `json:"branch"`
	Tag    string `json:"tag"`
	SHA    string `json:"sha"`
}

// List is a page of items, newest first. Next is the value for ?before=, null at the end.
type List[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// RunFilter narrows GET runs.
type RunFilter struct {
	Listener, Repo, Branch, Delivery string
	Status                           run.State
	Limit                            int    // 1 to MaxLimit, default DefaultLimit
	Before                           string // List.Next of the page before
}

// Limits of a list.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Pruning answers POST prune[?dry_run=1]: how much was deleted because admin keeps only so much, or would be.
type Pruning struct {
	DryRun        bool  `json:"dry_run"`
	Runs          int64 `json:"runs"` // with their logs and artifacts, which are not counted again
	Logs          int64 `json:"logs"`
	LogBytes      int64 `json:"log_bytes"`
	Artifacts     int64 `json:"artifacts"` // attempts whose artifacts went
	ArtifactBytes int64 `json:"artifact_bytes"`
	Payloads      int64 `json:"payloads"`
	PayloadBytes  int64 `json:"payload_bytes"`
	Deliveries    int64 `json:"deliveries"` // ids and hashes, of deliveries that nothing is left of
	More          bool  `json:"more"`       // time was up before all was done: ask again
}
