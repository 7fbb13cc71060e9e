package admin

import (
	"context"
	"net/http"
	"strings"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
)

func (s *Server) getExplain(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	e, err := s.explain(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, e)
}

// explain decides about a stored delivery once more, by the rules of every listener as they were when it
// came in, and says which run each led to.
func (s *Server) explain(ctx context.Context, id string) (api.Explanation, error) {
	out := api.Explanation{Delivery: id, Listeners: []api.Decision{}}
	d, err := s.store.Stored(ctx, id)
	if err != nil {
		return out, err
	}
	out.Status = d.Status
	if d.Why != "" {
		out.Why = &d.Why
	}
	if d.Status == api.Ignored {
		return out, nil
	}
	e, err := event.Parse(d.Delivery)
	if err != nil {
		return out, err
	}
	runs, err := s.store.RunByDelivery(ctx, id)
	if err != nil {
		return out, err
	}
	decisions, err := s.decisionsAsOf(ctx, e, d.Generation)
	for _, was := range decisions {
		if out.Listeners = append(out.Listeners, was); runs[was.Listener] != "" {
			own := runs[was.Listener]
			out.Listeners[len(out.Listeners)-1].Run = &own
		}
	}
	if strings.HasPrefix(id, api.TriggerPrefix) {
		out.Listeners = triggered(out.Listeners)
	}
	return out, err
}

// triggered leaves only the listener that a delivery was made for, which it matched by being named.
func triggered(all []api.Decision) []api.Decision {
	for _, d := range all {
		if d.Run != nil {
			d.Decision = match.Decision{Matched: true}
			return []api.Decision{d}
		}
	}
	return []api.Decision{}
}

// decisionsAsOf asks every listener that there was at a generation, by its rules of then.
func (s *Server) decisionsAsOf(ctx context.Context, e event.Event, generation int64) ([]api.Decision, error) {
	list, err := s.store.RulesAsOf(ctx, generation)
	if err != nil {
		return nil, err
	}
	var set match.Set
	out := []api.Decision{}
	for _, l := range list {
		matcher, err := match.Compile(l.Settings.Rules)
		if err != nil {
			out = append(out, api.Decision{Listener: l.Listener, Decision: match.Decision{Rule: "rules", Why: "rules: this version of admin cannot read them"}})
			continue
		}
		set.Put(l.Listener, matcher)
	}
	for _, d := range set.Explain(e) {
		out = append(out, api.Decision{Listener: d.Name, Decision: d.Decision})
	}
	return out, nil
}
