package admin

import (
	"context"
	"net/http"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
)

// maxPolled bounds what a listener says of one push, in bytes: names of files, mostly.
const maxPolled = 4 << 20

// postPolled takes a push that a listener has found by looking at a repository itself. Only that listener is asked,
// by its rules, and a push that a webhook has brought, too, is run once.
func (s *Server) postPolled(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	var p api.Polled
	if err := readJSON(w, r, maxPolled, &p); err != nil {
		return err
	}
	receipt, err := s.polled(r.Context(), name, p)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, receipt)
}

func (s *Server) polled(ctx context.Context, name string, p api.Polled) (api.Receipt, error) {
	a, err := polledOf(p)
	if err != nil {
		return api.Receipt{}, err
	}
	return s.acceptFor(ctx, name, a, "does not match")
}

// polledOf makes the delivery that a look stands for.
func polledOf(p api.Polled) (store.Acceptance, error) {
	id := store.NewID()
	body, err := event.MakePush(event.PushSpec{
		Repo: p.Repo, Branch: p.Branch, Tag: p.Tag, SHA: p.SHA, Before: p.Before, Files: p.Files, Message: p.Message, Nonce: id,
	})
	if err != nil {
		return store.Acceptance{}, badRequest("%v", err)
	}
	d := event.Delivery{ID: api.PollPrefix + id, Event: event.Push, ContentType: "application/json", ReceivedAt: time.Now().UTC(), Body: body}
	e, err := event.Parse(d)
	if err != nil {
		return store.Acceptance{}, badRequest("%v", err)
	}
	return store.Acceptance{Delivery: d, Event: e, Status: api.Accepted, Polled: true}, nil
}
