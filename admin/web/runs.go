package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"lightspeed/run"
)

// How many runs a page shows, and how many of those that run or wait now.
const (
	pageRuns = 30
	nowRuns  = 20
)

// states are what runs can be filtered by, in the order of the menu.
var states = []run.State{
	run.Running, run.Queued, run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Superseded, run.Lost,
}

// runsPage is what the list of runs shows.
type runsPage struct {
	layout
	Filter   Filter
	Filtered bool
	States   []run.State
	Chips    []chip
	Running  []listed // now; only on the first page
	Waiting  []listed
	Rows     []listed
	Older    string // address of the next page
	Newest   string // address of the first page, on another
}

// chip is a filter that is on, with the address of the page without it.
type chip struct{ Name, Value, Without string }

func (v *visit) showRuns() error {
	q := v.r.URL.Query()
	f := Filter{
		Listener: q.Get("listener"), Repo: q.Get("repo"), Branch: q.Get("branch"), Delivery: q.Get("delivery"), Status: run.State(q.Get("status")),
		Before: q.Get("before"), Limit: pageRuns,
	}
	if f.Status != "" && !slices.Contains(states, f.Status) {
		return &Refusal{http.StatusBadRequest, "No run has the status " + plain(string(f.Status)) + "."}
	}
	p := runsPage{layout: v.layout("Runs", "runs"), Filter: f, States: states, Chips: chips(q)}
	p.Filtered, p.Live = len(p.Chips) > 0, "/live"
	if f.Before != "" {
		p.Live = ""
		p.Newest = without(q, "before")
	}
	if err := v.findRuns(v.r.Context(), &p); err != nil {
		return err
	}
	p.Title, p.Icon = p.summary()
	return v.render(http.StatusOK, "runs.html", p)
}

// findRuns reads the page's runs. On the first page, those of now stand apart, and only there.
func (v *visit) findRuns(ctx context.Context, p *runsPage) error {
	if p.Filter.Before == "" && p.Filter.Status == "" {
		for _, now := range []struct {
			state run.State
			into  *[]listed
		}{{run.Running, &p.Running}, {run.Queued, &p.Waiting}} {
			f := p.Filter
			f.Status, f.Limit = now.state, nowRuns
			page, err := v.source.Runs(ctx, f)
			if err != nil {
				return err
			}
			*now.into = v.list(ctx, page.Items)
		}
	}
	page, err := v.source.Runs(ctx, p.Filter)
	if err != nil {
		return err
	}
	p.Rows = v.list(ctx, slices.DeleteFunc(page.Items, func(r Row) bool {
		return slices.ContainsFunc(append(p.Running, p.Waiting...), func(other listed) bool { return other.ID == r.ID })
	}))
	if page.Next != "" {
		p.Older = with(v.r.URL.Query(), "before", page.Next)
	}
	return nil
}

// summary is the page's title and icon: what runs now, or how the newest run ended.
func (p *runsPage) summary() (title, icon string) {
	switch {
	case len(p.Running) > 0:
		return sign(run.Running) + " " + count(len(p.Running), "run") + " now · Lightspeed", iconOf(run.Running)
	case len(p.Rows) > 0:
		newest := p.Rows[0].Status
		return sign(newest) + " Runs · Lightspeed", iconOf(newest)
	}
	return p.Title, "none"
}

// filterNames are the parameters that filter, as people see them.
var filterNames = []struct{ key, name string }{
	{"listener", "listener"}, {"repo", "repository"}, {"branch", "branch"}, {"status", "status"}, {"delivery", "delivery"},
}

func chips(q url.Values) []chip {
	var list []chip
	for _, f := range filterNames {
		if value := q.Get(f.key); value != "" {
			list = append(list, chip{f.name, value, without(q, f.key)})
		}
	}
	return list
}

// with is the address of this page with another value of a parameter; before always starts anew otherwise.
func with(q url.Values, key, value string) string {
	next := url.Values{}
	for _, f := range filterNames {
		if own := q.Get(f.key); own != "" {
			next.Set(f.key, own)
		}
	}
	next.Set(key, value)
	if value == "" {
		next.Del(key)
	}
	if len(next) == 0 {
		return "?"
	}
	return "?" + next.Encode()
}

func without(q url.Values, key string) string { return with(q, key, "") }
