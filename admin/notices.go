package admin

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// postNotice takes how telling a target of a run went.
func (s *Server) postNotice(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt")
	ref := q.attempt(r)
	if q.err != nil {
		return q.err
	}
	var n api.Notified
	if err := readJSON(w, r, maxSmallBody, &n); err != nil {
		return err
	}
	if err := checkNotified(&n); err != nil {
		return err
	}
	if err := s.store.Notified(r.Context(), ref, n); err != nil {
		return err
	}
	s.metrics.notices.Inc(string(n.Status))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

var noticeTarget = regexp.MustCompile(`^[a-z][a-z-]*$`)

// checkNotified refuses what cannot be kept, and cuts texts.
func checkNotified(n *api.Notified) error {
	switch {
	case len(n.Target) > api.MaxNoticeTarget || !noticeTarget.MatchString(n.Target):
		return badRequest("target %q is not a target's name", shorten(n.Target, 50))
	case n.Status != run.Told && n.Status != run.ToldLate && n.Status != run.ToldToNoOne:
		return badRequest("status %q is none of %s, %s, %s", shorten(string(n.Status), 50), run.Told, run.ToldLate, run.ToldToNoOne)
	case len(n.Memo) > api.MaxMemo:
		return badRequest("memo is longer than %d bytes", api.MaxMemo)
	case n.At.IsZero():
		return badRequest("at is needed")
	}
	n.Error, n.Hint = shorten(n.Error, api.MaxNoticeText), shorten(n.Hint, api.MaxNoticeText)
	return nil
}

// postTelling hands out a run that people are to be told of, since no listener has it any more, and waits for one.
func (s *Server) postTelling(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "wait")
	wait := q.wait()
	if q.err != nil {
		return q.err
	}
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	var asked api.TellingRequest
	if err := readJSON(w, r, maxSmallBody, &asked); err != nil {
		return err
	}
	if err := checkID("instance", asked.Instance); err != nil {
		return err
	}
	ctx, done := s.untilStop(r.Context())
	defer done()
	id, err := s.nextTelling(ctx, name, asked.Instance, wait)
	if err != nil {
		return err
	}
	if id == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return s.answerTelling(w, r, id)
}

func (s *Server) nextTelling(ctx context.Context, listener, instance string, wait time.Duration) (string, error) {
	woken, done := s.hub.subscribe(tellingsOf(listener))
	defer done()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		id, err := s.store.NextTelling(ctx, listener, instance)
		if id != "" || err != nil {
			return id, err
		}
		select {
		case <-woken:
		case <-timer.C:
			return "", nil
		case <-ctx.Done():
			return "", nil
		}
	}
}

// tellingsOf is what the hub is woken by when there may be something to tell; no run has such an id.
func tellingsOf(listener string) string { return "tellings/" + listener }

func (s *Server) answerTelling(w http.ResponseWriter, r *http.Request, id string) error {
	t, length, err := s.store.Telling(r.Context(), id, leastShare)
	if err != nil {
		return err
	}
	done, err := s.share(r.Context(), length)
	if err != nil {
		return err
	}
	defer done()
	if length > leastShare {
		d, err := s.store.Stored(r.Context(), t.Delivery.ID)
		if err != nil {
			return err
		}
		t.Payload = d.Delivery.Body
	}
	return writeJSON(w, http.StatusOK, t)
}

// postTold notes that a run that was handed out to be told is being told.
func (s *Server) postTold(w http.ResponseWriter, r *http.Request) error {
	if err := s.readPlain(w, r, &struct{}{}); err != nil {
		return err
	}
	if err := s.store.Told(r.Context(), runID(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
