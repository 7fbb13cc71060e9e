package journal

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

// Files of an attempt's folder.
const (
	claimFile   = "claim.json"   // what was claimed; the attempt is held while it is there
	payloadFile = "payload"      // the delivery's body
	filesFile   = "files"        // the changed files, when they are known
	processFile = "process.json" // the command that was started last, and how far the steps had come
	resultFile  = "result.json"  // how it ended
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
	started  started
	result   *api.Finish

	ended     *Ended
	artifacts []api.Artifact
	collected bool // artifacts is all that is kept
}

// Process names the process that was started last: a pid alone is used again.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// started is what process.json holds.
type started struct {
	Process
	Steps []run.Step `json:"steps"` // their places in the log are Positions
}

// claimed is what claim.json holds. The payload has a file of its own.
type claimed struct {
	Instance string    `json:"instance"`
	Claim    api.Claim `json:"claim"`
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
	var err error
	if e.Log, err = createLog(e.dir, maxLog, log.With("run", e.ref.Run)); err != nil {
		return err
	}
	fault.Point("journal.claiming")
	claim.Payload = nil
	e.claim, e.instance = claim, instance
	if err := writeJSON(e.file(claimFile), claimed{instance, claim}); err != nil {
		e.Log.Discard()
		return err
	}
	return nil
}

// read reads what an earlier process left. Only a folder without a claim gives fs.ErrNotExist.
func (e *Entry) read(instance string, log *slog.Logger) error {
	log = log.With("run", e.ref.Run, "attempt", e.ref.Attempt)
	e.instance = instance
	var c claimed
	switch err := readJSON(e.file(claimFile), &c); {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		// The folder's name says which attempt it is: enough to report that it was cut off.
		log.Error("journal entry is torn; its run counts as cut off", "err", err)
	default:
		e.claim, e.instance, e.foreign = c.Claim, c.Instance, c.Instance != instance
	}
	if err := readJSON(e.file(processFile), &e.started); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("journal entry is torn; its process is found by its run id alone", "err", err)
		e.started = started{}
	}
	if e.foreign {
		e.started.Process = Process{} // the machine has been started anew since
	}
	switch err := readJSON(e.file(artifactsFile), &e.artifacts); {
	case err == nil:
		e.collected = true
	case !errors.Is(err, fs.ErrNotExist):
		log.Error("journal entry is torn; what its run was to keep is not known", "err", err)
		e.artifacts = nil
	}
	var ended Ended
	switch err := readJSON(e.file(endedFile), &ended); {
	case err == nil:
		e.ended = &ended
	case !errors.Is(err, fs.ErrNotExist):
		log.Error("journal entry is torn; how its commands ended is not known", "err", err)
	}
	var result api.Finish
	switch err := readJSON(e.file(resultFile), &result); {
	case err == nil:
		e.result = &result
	case !errors.Is(err, fs.ErrNotExist):
		log.Error("journal entry is torn; its run counts as cut off", "err", err)
	}
	var err error
	e.Log, err = openLog(e.dir, log)
	return err
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
	return writeJSON(e.file(processFile), e.started)
}

// Result returns how the attempt ended; nil when it was cut off, or runs.
func (e *Entry) Result() *api.Finish { return e.result }

// SetResult notes how the attempt ended. It is remembered by this process also when it cannot be written.
func (e *Entry) SetResult(f api.Finish) error {
	e.result = &f
	return writeJSON(e.file(resultFile), f)
}
