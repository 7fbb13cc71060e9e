package admin

import (
	"context"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

// The lines of admin's log that follow a delivery and its runs: each has the delivery's id as "delivery", and the run's as
// "run" or "runs", as hooks' and the listeners' have. A delivery leads to one line, a run to one for each of its steps.

// noteAccepted says what became of a delivery that was stored, or was there already.
func (s *Server) noteAccepted(a store.Acceptance, receipt api.Receipt) {
	line := []any{"delivery", receipt.Delivery, "event", a.Event.Name, "repo", a.Event.Repo, "ref", a.Event.Ref, "status", receipt.Status, "runs", receipt.RunIDs()}
	if receipt.DuplicateOf != "" {
		line = append(line, "duplicate_of", receipt.DuplicateOf)
	}
	s.log.Info("delivery", line...)
}

// noteSteps says of each run that a commit has brought further that it was handed out, waits again, or has ended. That
// it was queued says the line that has led to it.
func (s *Server) noteSteps(changes []store.Change) {
	for _, c := range changes {
		line := []any{"run", c.Run, "attempt", c.Attempt, "delivery", c.Delivery, "listener", c.Listener}
		switch {
		case !c.Step || c.Attempt == 0 && !c.Status.Ended():
		case c.Status == run.Running:
			s.log.Info("run handed out", append(line, "host", c.Host)...)
		case c.Status == run.Queued:
			s.log.Info("run waits again", append(line, "reason", c.Reason)...)
		default:
			s.log.Info("run ended", append(line, "status", c.Status, "reason", c.Reason)...)
		}
	}
}

// noteAsked says what somebody has asked for, and who.
func (s *Server) noteAsked(ctx context.Context, what string, about ...any) {
	s.log.Info(what+" asked for", append(about, "asked_by", askedBy(ctx))...)
}

// noteAskedOf does so about a run. What cannot be read of it is left out.
func (s *Server) noteAskedOf(ctx context.Context, what, id string, more ...any) {
	about := []any{"run", id}
	if r, err := s.store.Run(ctx, id); err == nil {
		about = append(about, "attempt", r.Attempt, "delivery", r.Delivery, "listener", r.Listener)
	}
	s.noteAsked(ctx, what, append(about, more...)...)
}

type askerKey struct{}

// AskedBy returns a context that says who asks for what is done with it: whose token was shown. An empty name is
// somebody who had to show none.
func AskedBy(ctx context.Context, name string) context.Context {
	if name == "" {
		name = "anyone, since no token is asked for"
	}
	return context.WithValue(ctx, askerKey{}, name)
}

func askedBy(ctx context.Context) string {
	if name, ok := ctx.Value(askerKey{}).(string); ok {
		return name
	}
	return "admin itself"
}
