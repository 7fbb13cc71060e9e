package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lightspeed/run"
)

// recentRuns is how many runs a listener's bars show.
const recentRuns = 24

type listenersPage struct {
	layout
	Items         []listenerView
	Older, Newest string
}

// listenerView is a listener with what its last runs say.
type listenerView struct {
	Listener
	Bars     []bar
	Branches []branchResult
	MayAct   bool
}

// ListensFor is the listener's sentence without its subject, which stands above it.
func (l listenerView) ListensFor() string {
	return strings.TrimPrefix(l.Says, l.Name+" listens for ")
}

// State says in a word whether the listener gets runs.
func (l Listener) State() string {
	switch {
	case l.Paused != nil:
		return "paused"
	case l.Connected:
		return "connected"
	}
	for _, m := range l.Machines {
		if m.Connected && m.Outdated {
			return "outdated"
		}
	}
	return "away"
}

// branchResult is the newest result on a branch.
type branchResult struct {
	Branch string
	ID     string
	Status run.State
	At     time.Time
}

func (v *visit) showListeners() error {
	before := v.r.FormValue("before")
	list, err := v.source.Listeners(v.r.Context(), before)
	if err != nil {
		return err
	}
	p := listenersPage{layout: v.layout("Listeners", "listeners")}
	p.Live = "/live"
	if before != "" {
		p.Newest = "/listeners"
	}
	if list.Next != "" {
		p.Older = "/listeners?before=" + url.QueryEscape(list.Next)
	}
	for _, l := range list.Items {
		view, err := v.viewOf(v.r.Context(), l)
		if err != nil {
			return err
		}
		p.Items = append(p.Items, view)
	}
	return v.render(http.StatusOK, "listeners.html", p)
}

func (v *visit) viewOf(ctx context.Context, l Listener) (listenerView, error) {
	view := listenerView{Listener: l, MayAct: v.person.MayAct}
	recent, err := v.source.Recent(ctx, l.Name, recentRuns)
	if err != nil {
		return view, err
	}
	view.Bars, view.Branches = bars(recent), branches(recent)
	return view, nil
}

// maxBranches is how many branches a listener shows.
const maxBranches = 8

// branches picks the newest result of each branch; what was cancelled or superseded says nothing about it.
func branches(recent []Recent) []branchResult {
	var list []branchResult
	seen := map[string]bool{"": true}
	for _, r := range recent {
		if seen[r.Branch] || look(r.Status) == "stopped" || len(list) == maxBranches {
			continue
		}
		seen[r.Branch] = true
		list = append(list, branchResult{r.Branch, r.ID, r.Status, r.FinishedAt})
	}
	return list
}

type listenerPage struct {
	layout
	listenerView
	Trigger offer
	Badge   string
}

// Own is the listener alone, as the list shows it too.
func (p listenerPage) Own() listenerView { return p.listenerView }

func (v *visit) showListener() error {
	p, err := v.findListener()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "listener.html", p)
}

func (v *visit) findListener() (listenerPage, error) {
	p := listenerPage{layout: v.layout("Listener", "listeners")}
	l, err := v.source.Listener(v.r.Context(), v.r.PathValue("name"))
	if err != nil {
		return p, err
	}
	if p.listenerView, err = v.viewOf(v.r.Context(), l); err != nil {
		return p, err
	}
	p.Title, p.Live = plain(l.Name)+" · Listener · Lightspeed", "/live"
	p.Badge = "/badge/" + url.PathEscape(l.Name) + ".svg"
	if p.Trigger, err = v.offerFor(v.r.Context(), l); err != nil {
		return p, err
	}
	if len(p.Bars) > 0 {
		p.Icon = iconOf(p.Bars[len(p.Bars)-1].Status)
	}
	return p, nil
}

// path is the address of the listener of this request.
func (v *visit) path() string { return "/listeners/" + url.PathEscape(v.r.PathValue("name")) }

func (v *visit) trigger() error {
	t := Trigger{Repo: v.r.PostFormValue("repo"), SHA: v.r.PostFormValue("sha")}
	if name := v.r.PostFormValue("ref"); v.r.PostFormValue("kind") == "tag" {
		t.Tag = name
	} else {
		t.Branch = name
	}
	id, err := v.source.Trigger(v.r.Context(), v.r.PathValue("name"), t)
	if err != nil {
		return err
	}
	return v.seeOther("/runs/" + id + "?done=triggered")
}

func (v *visit) pause() error {
	if err := v.source.Pause(v.r.Context(), v.r.PathValue("name"), v.person.Name, v.r.PostFormValue("note")); err != nil {
		return err
	}
	return v.seeOther(v.path() + "?done=paused")
}

func (v *visit) resume() error {
	if err := v.source.Resume(v.r.Context(), v.r.PathValue("name")); err != nil {
		return err
	}
	return v.seeOther(v.path() + "?done=resumed")
}

func (v *visit) remove() error {
	if err := v.source.Remove(v.r.Context(), v.r.PathValue("name"), v.r.PostFormValue("force") != ""); err != nil {
		return err
	}
	return v.seeOther("/listeners?done=removed")
}
