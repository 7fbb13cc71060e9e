package listener

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/match"
	"lightspeed/secret"
)

// HereOptions say what Here runs.
type HereOptions struct {
	Config   config.Config
	Delivery event.Delivery
	Out      io.Writer // gets the output as it comes
	Log      *slog.Logger

	Artifacts string // folder for the files that the run keeps; empty: it is only found out which these are

	// For a config with a checkout: a folder for the runs' trees, which runs here may share, and that of Options.
	State, Mirrors string
}

// counter counts what is written.
type counter struct {
	out     io.Writer
	written atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.out.Write(p)
}

// NoMatchError says that a delivery is not for a listener.
type NoMatchError struct{ Decision match.Decision }

func (e *NoMatchError) Error() string {
	return "the delivery is not for this listener: " + e.Decision.Why
}

// Here runs a config's commands for a delivery here and now, as a listener would, without any server. When ctx
// ends the run is cancelled. The error is a *NoMatchError when the listener's rules do not hold.
func Here(ctx context.Context, o HereOptions) (Outcome, error) {
	e, err := event.Parse(o.Delivery)
	if err != nil {
		return Outcome{}, err
	}
	rules, err := match.Compile(o.Config.Rules)
	if err != nil {
		return Outcome{}, err
	}
	if d := rules.Match(e); !d.Matched {
		return Outcome{}, &NoMatchError{d}
	}
	held, err := takeAll(ctx, o.Config, o.Log)
	if err != nil {
		return Outcome{}, err
	}
	defer held.Release()
	folder, err := os.MkdirTemp("", "lightspeed-run-")
	if err != nil {
		return Outcome{}, err
	}
	defer os.RemoveAll(folder)
	f := facts{
		run: "here-" + strings.ToLower(rand.Text()[:10]), attempt: 1, listener: o.Config.Rules.Name, event: e,
		delivery: api.DeliveryHead{ID: o.Delivery.ID, Event: o.Delivery.Event, ContentType: o.Delivery.ContentType},
		payload:  filepath.Join(folder, "payload"),
	}
	if err := os.WriteFile(f.payload, o.Delivery.AsJSON().Body, 0o600); err != nil {
		return Outcome{}, err
	}
	if list := filesList(e); list != nil {
		f.files = filepath.Join(folder, "files")
		if err := os.WriteFile(f.files, list, 0o600); err != nil {
			return Outcome{}, err
		}
	}
	out := &counter{out: o.Out}
	p := newProgress(o.Config.Exec)
	w := newWorkspaces(o.State, o.Mirrors, o.Log)
	if o.Config.Checkout != nil {
		defer w.wait()
		w.clear()
	}
	var kept []api.Artifact
	outcome := job{
		config: o.Config, facts: f, cgroup: f.run, out: out, log: o.Log, mask: secret.NewMask(o.Config.Masked()...),
		keep: keepHere(o.Artifacts, &kept), workspaces: w, progress: p, at: out.written.Load,
	}.run(ctx)
	outcome.Steps, outcome.Artifacts = p.steps(), kept
	return outcome, nil
}
