package admin

import (
	"context"
	"os"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/run"
)

// Desk is what people may see and do, as calls within the process: for the page. It answers as the API does; an
// error that the caller is to be told of is an *api.Error.
type Desk struct{ s *Server }

// Desk returns admin's.
func (s *Server) Desk() Desk { return Desk{s} }

// Runs lists runs, newest first.
func (d Desk) Runs(ctx context.Context, f api.RunFilter) (api.List[run.Run], error) {
	return d.s.findRuns(ctx, f)
}

// Run reads one run with its attempts.
func (d Desk) Run(ctx context.Context, id string) (run.Run, error) { return d.s.findRun(ctx, id) }

// Cancel ends a run that waits, and asks for one that runs to end.
func (d Desk) Cancel(ctx context.Context, id string, by api.Cancel) error {
	return d.s.cancel(ctx, id, by)
}

// Retry makes a new run of the same delivery and listener, and returns its id.
func (d Desk) Retry(ctx context.Context, id string) (string, error) { return d.s.retry(ctx, id) }

// Release frees the slot that a lost run keeps.
func (d Desk) Release(ctx context.Context, id string) error { return d.s.release(ctx, id) }

// Badge is the newest result of a listener on a branch, or on any when branch is empty; "" when there is none.
func (d Desk) Badge(ctx context.Context, listener, branch string) (run.State, error) {
	return d.s.store.NewestResult(ctx, listener, branch)
}

// Log opens an attempt's log for reading; fs.ErrNotExist says that there is none yet. The caller closes it.
func (d Desk) Log(ref run.Ref) (*os.File, error) { return d.s.logs.open(ref) }

// LogTimes returns what is known of when the bytes of an attempt's log from from up to to came; see logtime.File.Between.
func (d Desk) LogTimes(ref run.Ref, from, to int64, most int) (list []logtime.Record, until int64, err error) {
	return d.s.logs.times(ref, from, to, most)
}

// Artifacts lists what the attempts of a run have kept, the newest attempt's first.
func (d Desk) Artifacts(ctx context.Context, id string) ([]api.Artifact, error) {
	return d.s.keptBy(ctx, id)
}

// Artifact opens a file that an attempt has kept. The caller closes it.
func (d Desk) Artifact(ctx context.Context, id string, attempt int, path string) (*os.File, error) {
	f, _, err := d.s.openArtifact(ctx, id, attempt, path)
	return f, err
}

// Deliveries lists deliveries, newest first.
func (d Desk) Deliveries(ctx context.Context, limit int, before string) (api.List[api.Delivery], error) {
	return d.s.store.Deliveries(ctx, limit, before)
}

// Delivery reads one delivery without its body.
func (d Desk) Delivery(ctx context.Context, id string) (api.Delivery, error) {
	return d.s.store.Delivery(ctx, id)
}

// Pushes reads who pushed what for several deliveries at once; those that are not there are left out.
func (d Desk) Pushes(ctx context.Context, ids []string) (map[string]store.Push, error) {
	return d.s.store.Pushes(ctx, ids)
}

// Explain decides about a delivery once more, by the rules as they were when it came in.
func (d Desk) Explain(ctx context.Context, id string) (api.Explanation, error) {
	return d.s.explain(ctx, id)
}

// Payload reads a delivery's body as it came.
func (d Desk) Payload(ctx context.Context, id string) ([]byte, error) {
	stored, err := d.s.store.Stored(ctx, id)
	return stored.Delivery.Body, err
}

// Replay runs a stored delivery again, for the listeners named or for all whose rules hold now; with dry it
// only says for which.
func (d Desk) Replay(ctx context.Context, id string, listeners []string, dry bool) (api.Receipt, error) {
	return d.s.replay(ctx, id, listeners, dry)
}

// Listeners lists listeners by name.
func (d Desk) Listeners(ctx context.Context, limit int, before string) (api.List[api.Listener], error) {
	return d.s.findListeners(ctx, limit, before)
}

// Listener reads one listener.
func (d Desk) Listener(ctx context.Context, name string) (api.Listener, error) {
	return d.s.findListener(ctx, name)
}

// Recent lists a listener's runs that ended last, newest first.
func (d Desk) Recent(ctx context.Context, listener string, limit int) ([]store.Recent, error) {
	return d.s.store.Recent(ctx, listener, limit)
}

// Trigger starts a listener by hand.
func (d Desk) Trigger(ctx context.Context, name string, t api.Trigger) (api.Receipt, error) {
	return d.s.trigger(ctx, name, t)
}

// Pause keeps a listener from getting runs.
func (d Desk) Pause(ctx context.Context, name string, p api.Pause) error {
	return d.s.pause(ctx, name, p)
}

// Resume lets a paused listener get runs again.
func (d Desk) Resume(ctx context.Context, name string) error { return d.s.resume(ctx, name) }

// Remove forgets a listener that is not connected; with force also one that is.
func (d Desk) Remove(ctx context.Context, name string, force bool) error {
	l, err := d.s.store.Listener(ctx, name)
	if err != nil {
		return err
	}
	return d.s.removeListener(ctx, l, force)
}

// Changes returns a channel that holds a token when a run has changed or its log has grown since it was last
// emptied; for "" when any run has changed. done must be called.
func (d Desk) Changes(run string) (changed <-chan struct{}, done func()) {
	return d.s.hub.subscribe(run)
}

// Stopping is closed when calls that wait are to be answered.
func (d Desk) Stopping() <-chan struct{} { return d.s.stopping.Done() }
