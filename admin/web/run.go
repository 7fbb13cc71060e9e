package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lightspeed/match"
	"lightspeed/run"
)

// runPage is what the page of a run shows.
type runPage struct {
	layout
	Row
	Attempt    run.Attempt // the one whose log is shown; zero when there is none yet
	Window     window
	Place      place // where the log goes on, for the script
	Ended      bool  // the attempt, or the run that has none
	Search     string
	Hits       int
	MoreHits   int64 // the line to search on from; 0 when there are no more
	Steps      []step
	Artifacts  []Artifact
	Match      string
	Waits      string // why it has not begun
	Heading    string
	CanCancel  bool
	CanRetry   bool
	CanRelease bool
}

// step is a step with the line that its output begins at; 0 when it has none.
type step struct {
	run.Step
	Line int64
}

// Earlier and Later are where the windows beside this one begin.
func (p runPage) Earlier() int64 { return max(1, p.Window.First-windowLines) }
func (p runPage) Later() int64   { return p.Window.Next }

func (v *visit) showRun() error {
	ctx := v.r.Context()
	r, err := v.source.Run(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := runPage{layout: v.layout("Run", "runs"), Row: r, Search: v.r.FormValue("q")}
	if err := p.choose(int(v.number("attempt"))); err != nil {
		return err
	}
	p.Heading = sign(r.Status) + " " + word(r.Status)
	p.Title = p.Heading + " · " + plain(r.Listener+" "+r.About()) + " · Lightspeed"
	p.Icon = iconOf(r.Status)
	p.CanCancel = v.person.MayAct && !r.Status.Ended() && r.CancelRequestedAt == nil
	p.CanRetry = v.person.MayAct && r.Status.Ended()
	p.CanRelease = v.person.MayAct && r.SlotHeldUntil != nil
	p.Match = v.matchOf(ctx, r.Run)
	if r.Status == run.Queued {
		p.Waits = v.waitsFor(ctx, r.Listener)
	}
	if p.Artifacts, err = v.source.Artifacts(ctx, r.ID); err != nil {
		return err
	}
	if err := v.fillLog(ctx, &p); err != nil {
		return err
	}
	if !p.Ended || !r.Status.Ended() {
		p.Live = "/live?run=" + r.ID + "&attempt=" + strconv.Itoa(p.Attempt.Attempt)
	}
	return v.render(http.StatusOK, "run.html", p)
}

// choose picks the attempt that is shown: the one asked for, or the newest.
func (p *runPage) choose(asked int) error {
	if asked > len(p.Attempts) {
		return &Refusal{http.StatusNotFound, "There is no such attempt of this run."}
	}
	if asked == 0 {
		asked = len(p.Attempts)
	}
	p.Ended = p.Status.Ended()
	if asked > 0 {
		p.Attempt = p.Attempts[asked-1]
		p.Ended = p.Attempt.Status != run.Running
	}
	return nil
}

// matchOf says why a run's listener was asked to run it. That nothing can be said is no reason to show no page.
func (v *visit) matchOf(ctx context.Context, r run.Run) string {
	verdicts, err := v.source.Verdicts(ctx, r.Delivery)
	if err != nil {
		return ""
	}
	for _, one := range verdicts {
		if one.Listener == r.Listener {
			return verdictWords(one.Decision)
		}
	}
	return ""
}

func verdictWords(d match.Decision) string {
	if d.Matched {
		return "Every rule of the listener held when the delivery came in."
	}
	return "When the delivery came in, the listener did not match: " + d.Why
}

// fillLog reads the part of the log that is shown: around a line, or what a search finds, or the end.
func (v *visit) fillLog(ctx context.Context, p *runPage) error {
	if p.Attempt.Attempt == 0 {
		p.Place = place{Line: 1}
		return nil
	}
	log, err := v.logs.open(ctx, run.Ref{Run: p.ID, Attempt: p.Attempt.Attempt})
	if err != nil {
		return err
	}
	defer log.Close()
	asked := v.number("line")
	switch {
	case p.Search != "":
		p.Window, p.MoreHits, err = log.search(p.Search[:min(len(p.Search), maxShown)], max(1, v.number("from")))
		p.Hits = len(p.Window.Lines)
	case asked > 0:
		p.Window, err = log.window(max(1, asked-windowLines/3), windowLines)
		p.Window.mark(asked)
	case v.number("from") > 0:
		p.Window, err = log.window(v.number("from"), windowLines)
	default:
		p.Window, err = log.tail(windowLines)
	}
	if err == nil {
		p.Place, err = log.end()
	}
	if err == nil {
		p.Steps, err = log.steps(p.Attempt.Steps)
	}
	return err
}

// steps finds the lines at which steps begin.
func (l *openLog) steps(all []run.Step) ([]step, error) {
	list := make([]step, len(all))
	for i, one := range all {
		list[i].Step = one
		if one.LogOffset == nil || *one.LogOffset >= l.size || one.LogEnd != nil && *one.LogEnd == *one.LogOffset {
			continue
		}
		var err error
		if list[i].Line, err = l.index.lineAt(l, *one.LogOffset); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (w *window) mark(n int64) {
	for i := range w.Lines {
		w.Lines[i].Hit = w.Lines[i].N == n
	}
}

// sendLines answers with a window of lines alone, for the script.
func (v *visit) sendLines() error {
	attempt := int(v.number("attempt"))
	r, err := v.source.Run(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := runPage{Row: r}
	if err := p.choose(attempt); err != nil {
		return err
	}
	if err := v.fillLog(v.r.Context(), &p); err != nil {
		return err
	}
	return v.render(http.StatusOK, "lines.html", p)
}

// sendLog answers with a log as it was written. It is text, whatever it looks like.
func (v *visit) sendLog() error {
	r, err := v.source.Run(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := runPage{Row: r}
	if err := p.choose(int(v.number("attempt"))); err != nil {
		return err
	}
	log, err := v.source.Log(v.r.Context(), run.Ref{Run: r.ID, Attempt: p.Attempt.Attempt})
	if err != nil {
		return err
	}
	defer log.Close()
	length, err := log.Size()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Security-Policy", "sandbox")
	if v.r.FormValue("download") != "" {
		v.w.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(r.ID+"."+strconv.Itoa(p.Attempt.Attempt)+".log"))
	}
	http.ServeContent(v.w, v.r, "", time.Time{}, io.NewSectionReader(log, 0, length))
	return nil
}

func (v *visit) cancel() error {
	id := v.r.PathValue("id")
	if err := v.source.Cancel(v.r.Context(), id, v.person.Name); err != nil {
		return err
	}
	return v.seeOther("/runs/" + id + "?done=cancelled")
}

func (v *visit) retry() error {
	id, err := v.source.Retry(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.seeOther("/runs/" + id + "?done=retried")
}

func (v *visit) release() error {
	id := v.r.PathValue("id")
	if err := v.source.Release(v.r.Context(), id); err != nil {
		return err
	}
	return v.seeOther("/runs/" + id + "?done=released")
}

// sendBadge answers with a picture of a listener's newest result: /badge/NAME.svg?branch=. It needs no login,
// and says of a listener that there is not what it says of one that never ran.
func (s *Server) sendBadge(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	if !ok {
		http.NotFound(w, r)
		return
	}
	state, err := s.source.Badge(r.Context(), name, r.URL.Query().Get("branch"))
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		(&visit{Server: s, w: w, r: r}).showError(err)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-cache, max-age=0")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // it is made to stand in other pages
	_, _ = io.WriteString(w, badge(name, state))
}
