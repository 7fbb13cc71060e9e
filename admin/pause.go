package admin

import (
	"context"
	"net/http"

	"lightspeed/api"
)

// postPause keeps a listener from getting runs. What it runs already goes on.
func (s *Server) postPause(w http.ResponseWriter, r *http.Request) error {
	var p api.Pause
	if err := s.readPlain(w, r, &p); err != nil {
		return err
	}
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	if err := s.pause(r.Context(), name, p); err != nil {
		return err
	}
	return s.answerListener(w, r, name)
}

func (s *Server) pause(ctx context.Context, name string, p api.Pause) error {
	if len(p.Note) > maxText || len(p.By) > maxText {
		return badRequest("note and by may have %d bytes each", maxText)
	}
	if err := s.store.Pause(ctx, name, p); err != nil {
		return err
	}
	s.log.Info("listener paused", "listener", name, "asked_by", askedBy(ctx), "by", p.By, "note", p.Note)
	s.hub.wake(anyRun)
	return nil
}

func (s *Server) postResume(w http.ResponseWriter, r *http.Request) error {
	if err := s.readPlain(w, r, &struct{}{}); err != nil {
		return err
	}
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	if err := s.resume(r.Context(), name); err != nil {
		return err
	}
	return s.answerListener(w, r, name)
}

func (s *Server) resume(ctx context.Context, name string) error {
	if err := s.store.Resume(ctx, name); err != nil {
		return err
	}
	s.log.Info("listener resumed", "listener", name, "asked_by", askedBy(ctx))
	s.hub.wake(anyRun)
	return nil
}
