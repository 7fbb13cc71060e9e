package journal

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

// Files of an attempt's folder, besides the records, the log and copies of artifacts.
const (
	payloadFile = "payload" // the delivery's body
	filesFile   = "files"   // the changed files, when they are known
)

// Entry is one attempt that is held.
type Entry struct {
	// Log is what the attempt prints.
	Log *Log

	ref      run.Ref
	claim    api.Claim // without its payload; zero when it was torn
	dir      string
	instance string // that has begun it
	foreign  bool   // that is one before this one: admin knows it as that one's
	records  *records
	started  started
	ended    *Ended
	result   *api.Finish

	artifacts []api.Artifact
	collected bool // artifacts is all that is kept

	beganAt, endedAt time.Time
}

// Process names the process that was started last: a pid alone is used again.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// begin writes all that is needed to start, the claim last.
func (e *Entry) begin(claim api.Claim, files []byte, maxLog int64, instance string, log *slog.Logger) error {
	if err := writeFile(e.PayloadFile(), claim.Payload); err != nil {
		return err
	}
	if files != nil {
		if err := writeFile(e.FilesFile(), files); err != nil {
			return err
		}
	}
	e.Log = newLog(e.dir, maxLog, log.With("run", e.ref.Run))
	claim.Payload = nil
	e.claim, e.instance = claim, instance
	var err error
	if e.records, err = createRecords(e.file(recordsFile)); err != nil {
		return err
	}
	fault.Point("journal.claiming")
	if e.beganAt, err = e.records.add(record{Claimed: &claimed{instance, claim}}); err != nil {
		e.close()
		return err
	}
	return nil
}

// read reads what an earlier process left. Only what has never started gives fs.ErrNotExist.
func (e *Entry) read(instance string, log *slog.Logger) error {
	log = log.With("run", e.ref.Run, "attempt", e.ref.Attempt)
	e.instance = instance
	if err := e.adopt(log); err != nil {
		return err
	}
	known := false
	var err error
	e.records, err = openRecords(e.file(recordsFile), log, func(r record) {
		known = known || r.Claimed != nil
		e.take(r)
	})
	if err != nil {
		return err
	}
	if e.foreign = e.instance != instance; e.foreign {
		e.started.Process = Process{} // the machine has been started anew since
	}
	if e.Log, err = openLog(e.dir, log); err != nil {
		e.records.close()
		return err
	}
	if known {
		return nil
	}
	if size, _ := e.Log.Size(); size == 0 && e.records.size == 0 {
		e.close()
		return fs.ErrNotExist
	}
	// The folder's name says which attempt it is: enough to report that it was cut off.
	log.Error("journal entry is torn: what was claimed cannot be read; its run counts as cut off")
	return nil
}

// take notes what a record of an earlier process says.
func (e *Entry) take(r record) {
	if c := r.Claimed; c != nil {
		e.claim, e.instance, e.beganAt = c.Claim, c.Instance, r.At
	}
	if r.Started != nil {
		e.started = *r.Started
	}
	if r.Ended != nil {
		e.ended = r.Ended
	}
	if r.Artifacts != nil {
		e.artifacts, e.collected = *r.Artifacts, true
	}
	if r.HandedIn != "" {
		e.drop(r.HandedIn)
	}
	if r.Result != nil {
		e.result, e.endedAt = r.Result, r.At
	}
}

// close closes the files. What they hold stays.
func (e *Entry) close() {
	e.Log.Discard()
	e.records.close()
}

func (e *Entry) file(name string) string { return filepath.Join(e.dir, name) }

// Ref names the attempt.
func (e *Entry) Ref() run.Ref { return e.ref }

// Name names the attempt among all of this machine since its boot; it can be a file's.
func (e *Entry) Name() string { return filepath.Base(e.dir) + "-" + e.instance }

// PayloadFile is where the delivery's body is.
func (e *Entry) PayloadFile() string { return e.file(payloadFile) }

// FilesFile is where the changed files are listed, when Begin was given them.
func (e *Entry) FilesFile() string { return e.file(filesFile) }

// Process returns what SetStarted wrote last; zero when nothing was started.
func (e *Entry) Process() Process { return e.started.Process }

// Steps returns what SetEnded or else SetStarted wrote last; none when nothing was started.
func (e *Entry) Steps() []run.Step {
	if e.ended != nil {
		return e.ended.Finish.Steps
	}
	return e.started.Steps
}

// SetStarted notes which process runs, so that it can be found and ended when the listener is killed, and how far
// the steps have come with it. Their places in the log are Positions.
func (e *Entry) SetStarted(p Process, steps []run.Step) error {
	e.started = started{p, steps}
	_, err := e.records.add(record{Started: &e.started})
	return err
}

// Ended is how the commands of an attempt ended that has still to keep artifacts, and from where.
type Ended struct {
	Finish   api.Finish `json:"finish"` // without what is known of the log only at its end; places of steps are Positions
	Root     string     `json:"root"`
	Patterns []string   `json:"patterns"`
}

// SetEnded notes how the commands ended, before anything of what is kept is copied: whoever is killed meanwhile goes on
// with that, and the run is not lost.
func (e *Entry) SetEnded(ended Ended) error {
	e.ended = &ended
	_, err := e.records.add(record{Ended: e.ended})
	return err
}

// Ended returns what SetEnded wrote; nil when the commands run, or nothing is to be kept.
func (e *Entry) Ended() *Ended { return e.ended }

// Result returns how the attempt ended; nil when it was cut off, or runs.
func (e *Entry) Result() *api.Finish { return e.result }

// SetResult notes how the attempt ended. It is remembered by this process also when it cannot be written.
func (e *Entry) SetResult(f api.Finish) (err error) {
	e.result = &f
	e.endedAt, err = e.records.add(record{Result: e.result})
	return err
}

// Claim returns what was claimed, without its payload. It is zero when what was written of it is torn.
func (e *Entry) Claim() api.Claim { return e.claim }

// BeganAt is when the attempt was taken on, by this machine's clock; zero when that cannot be read.
func (e *Entry) BeganAt() time.Time { return e.beganAt }

// EndedAt is when SetResult was called; zero when it was not.
func (e *Entry) EndedAt() time.Time { return e.endedAt }
