package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"lightspeed/admin"
	"lightspeed/admin/store"
	"lightspeed/admin/web"
	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/match"
	"lightspeed/run"
)

// withPage serves the page beside admin's API. The two share nothing but the address.
func withPage(server *admin.Server, out Output) http.Handler {
	desk := server.Desk()
	page := web.New(web.Options{Source: pageSource{desk}, Access: pageAccess{server}, Log: out.Log.With("role", "admin")})
	mux := http.NewServeMux()
	for _, path := range []string{api.Prefix + "/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, server.Handler())
	}
	mux.Handle("/", server.Guard(page.Handler()))
	return mux
}

// pageAccess lets in whoever has the token of an admin, who may act, or of a viewer, who may look.
type pageAccess struct{ server *admin.Server }

func (a pageAccess) Open() bool { return a.server.Open() }

func (a pageAccess) Login(ctx context.Context, token string) (session string, until time.Time, err error) {
	session, until, ok, err := a.server.Login(ctx, token)
	if err == nil && !ok {
		err = web.ErrNoAccess
	}
	return session, until, err
}

func (a pageAccess) Who(ctx context.Context, session string) (web.Person, error) {
	visitor, ok, err := a.server.Visitor(ctx, session)
	if err == nil && !ok {
		err = web.ErrNoAccess
	}
	return web.Person(visitor), err
}

func (a pageAccess) Logout(ctx context.Context, session string) error {
	return a.server.Logout(ctx, session)
}

// pageSource shows admin's desk to the page, in the page's own words.
type pageSource struct{ desk admin.Desk }

// byPerson has admin's log say who asked for something.
func byPerson(ctx context.Context) context.Context {
	return admin.AskedBy(ctx, web.PersonOf(ctx).Name)
}

// told is an error of admin as the page shows it.
func told(err error) error {
	var refused *api.Error
	if errors.As(err, &refused) {
		return &web.Refusal{Status: refused.Status, Message: refused.Message}
	}
	return err
}

func (p pageSource) Changes(run string) (<-chan struct{}, func()) { return p.desk.Changes(run) }

func (p pageSource) Stopping() <-chan struct{} { return p.desk.Stopping() }

func (p pageSource) Runs(ctx context.Context, f web.Filter) (web.Page[web.Row], error) {
	list, err := p.desk.Runs(ctx, api.RunFilter{
		Listener: f.Listener, Repo: f.Repo, Branch: f.Branch, Delivery: f.Delivery, Status: f.Status, Limit: f.Limit, Before: f.Before,
	})
	if err != nil {
		return web.Page[web.Row]{}, told(err)
	}
	rows, err := p.rows(ctx, list.Items...)
	return web.Page[web.Row]{Items: rows, Next: deref(list.Next)}, told(err)
}

// rows puts to runs who pushed what.
func (p pageSource) rows(ctx context.Context, runs ...run.Run) ([]web.Row, error) {
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = r.Delivery
	}
	pushes, err := p.desk.Pushes(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]web.Row, len(runs))
	for i, r := range runs {
		rows[i] = web.Row{Run: r, Push: web.Push(pushes[r.Delivery])}
	}
	return rows, nil
}

func (p pageSource) Run(ctx context.Context, id string) (web.Row, error) {
	found, err := p.desk.Run(ctx, id)
	if err != nil {
		return web.Row{}, told(err)
	}
	rows, err := p.rows(ctx, found)
	if err != nil {
		return web.Row{}, told(err)
	}
	return rows[0], nil
}

func (p pageSource) Artifacts(ctx context.Context, id string) ([]web.Artifact, error) {
	kept, err := p.desk.Artifacts(ctx, id)
	list := make([]web.Artifact, len(kept))
	for i, one := range kept {
		list[i] = web.Artifact{Path: one.Path, Bytes: one.Bytes, Attempt: one.Attempt}
	}
	return list, told(err)
}

func (p pageSource) Artifact(ctx context.Context, id string, attempt int, path string) (io.ReadSeekCloser, error) {
	f, err := p.desk.Artifact(ctx, id, attempt, path)
	if err != nil {
		return nil, told(err)
	}
	return f, nil
}

func (p pageSource) Cancel(ctx context.Context, id, by string) error {
	return told(p.desk.Cancel(byPerson(ctx), id, api.Cancel{By: by}))
}

func (p pageSource) Retry(ctx context.Context, id string) (string, error) {
	fresh, err := p.desk.Retry(byPerson(ctx), id)
	return fresh, told(err)
}

func (p pageSource) Release(ctx context.Context, id string) error {
	return told(p.desk.Release(byPerson(ctx), id))
}

func (p pageSource) Badge(ctx context.Context, listener, branch string) (run.State, error) {
	state, err := p.desk.Badge(ctx, listener, branch)
	return state, told(err)
}

func (p pageSource) Log(_ context.Context, ref run.Ref) (web.Log, error) {
	return &pageLog{desk: p.desk, ref: ref}, nil
}

// pageLog is an attempt's log, whose file may come later.
type pageLog struct {
	desk admin.Desk
	ref  run.Ref
	file *os.File
}

func (l *pageLog) Times(from, to int64, most int) ([]logtime.Record, int64, error) {
	return l.desk.LogTimes(l.ref, from, to, most)
}

func (l *pageLog) Size() (int64, error) {
	if l.file == nil {
		file, err := l.desk.Log(l.ref)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		l.file = file
	}
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (l *pageLog) ReadAt(b []byte, offset int64) (int, error) {
	if l.file == nil {
		return 0, io.EOF
	}
	return l.file.ReadAt(b, offset)
}

func (l *pageLog) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// pageLength is how many deliveries or listeners a page shows.
const pageLength = 30

func (p pageSource) Deliveries(ctx context.Context, before string) (web.Page[web.Delivery], error) {
	list, err := p.desk.Deliveries(ctx, pageLength, before)
	if err != nil {
		return web.Page[web.Delivery]{}, told(err)
	}
	page := web.Page[web.Delivery]{Next: deref(list.Next)}
	for _, d := range list.Items {
		page.Items = append(page.Items, pageDelivery(d))
	}
	return page, nil
}

func (p pageSource) Delivery(ctx context.Context, id string) (web.Delivery, error) {
	d, err := p.desk.Delivery(ctx, id)
	if err != nil {
		return web.Delivery{}, told(err)
	}
	return pageDelivery(d), nil
}

func pageDelivery(d api.Delivery) web.Delivery {
	own := web.Delivery{
		ID: d.ID, Event: d.Event, Action: deref(d.Action), Repo: deref(d.Repo), Branch: deref(d.Branch), Tag: deref(d.Tag), Ref: deref(d.Ref),
		SHA: deref(d.SHA), PR: deref(d.PR), Push: web.Push{Pusher: deref(d.Pusher), Message: deref(d.Message), URL: deref(d.URL)},
		ReceivedAt: d.ReceivedAt, Bytes: d.Bytes,
	}
	if d.Status == api.Ignored {
		own.Ignored = deref(d.Why)
	}
	for _, r := range d.Runs {
		own.Runs = append(own.Runs, web.DeliveredRun(r))
	}
	return own
}

func (p pageSource) Verdicts(ctx context.Context, id string) ([]web.Verdict, error) {
	explained, err := p.desk.Explain(ctx, id)
	if err != nil {
		return nil, told(err)
	}
	var list []web.Verdict
	for _, d := range explained.Listeners {
		list = append(list, web.Verdict{Listener: d.Listener, Decision: d.Decision, Run: deref(d.Run)})
	}
	return list, nil
}

func (p pageSource) Payload(ctx context.Context, id string) ([]byte, error) {
	body, err := p.desk.Payload(ctx, id)
	return body, told(err)
}

func (p pageSource) Replay(ctx context.Context, id string, listeners []string, dry bool) (web.Replay, error) {
	receipt, err := p.desk.Replay(byPerson(ctx), id, listeners, dry)
	if err != nil {
		return web.Replay{}, told(err)
	}
	replay := web.Replay{DryRun: dry, More: receipt.SkippedMore, Ignored: receipt.Why}
	for _, r := range receipt.Runs {
		replay.Runs = append(replay.Runs, web.DeliveredRun{ID: r.ID, Listener: r.Listener})
	}
	for _, s := range receipt.Skipped {
		replay.Skipped = append(replay.Skipped, web.Verdict{
			Listener: s.Listener, Decision: match.Decision{Rule: s.Rule, Saw: s.Saw, Want: s.Want, Why: s.Why},
		})
	}
	return replay, nil
}

func (p pageSource) Listeners(ctx context.Context, before string) (web.Page[web.Listener], error) {
	list, err := p.desk.Listeners(ctx, pageLength, before)
	if err != nil {
		return web.Page[web.Listener]{}, told(err)
	}
	page := web.Page[web.Listener]{Next: deref(list.Next)}
	for _, l := range list.Items {
		page.Items = append(page.Items, pageListener(l))
	}
	return page, nil
}

func (p pageSource) Listener(ctx context.Context, name string) (web.Listener, error) {
	l, err := p.desk.Listener(ctx, name)
	if err != nil {
		return web.Listener{}, told(err)
	}
	return pageListener(l), nil
}

func pageListener(l api.Listener) web.Listener {
	own := web.Listener{
		Name: l.Name, Says: l.Says, Repos: names(l.Settings.Rules.Repos), Branches: names(l.Settings.Rules.Branches), Revision: l.Revision, RegisteredAt: l.RegisteredAt, Connected: l.Connected,
		Concurrency: l.Settings.Concurrency, WhenBusy: l.Settings.WhenBusy, Queued: l.Queued, Running: l.Running, Held: l.Held,
	}
	if l.Paused != nil {
		own.Paused = &web.Paused{By: l.Paused.By, Note: l.Paused.Note, At: l.Paused.At}
	}
	for _, i := range l.Instances {
		waits := ""
		if i.Waiting != nil {
			waits = i.Waiting.String()
		}
		own.Machines = append(own.Machines, web.Machine{Host: i.Host, Connected: i.Connected, Outdated: i.Outdated, Via: i.Via, LastSeen: i.LastSeen, Waits: waits})
	}
	return own
}

// names are those of a filter's entries that are no patterns.
func names(filter []string) []string {
	return slices.DeleteFunc(slices.Clone(filter), func(one string) bool { return strings.ContainsAny(one, `*?+[]!\{}`) })
}

func (p pageSource) Recent(ctx context.Context, name string, limit int) ([]web.Recent, error) {
	list, err := p.desk.Recent(ctx, name, limit)
	return convert(list, func(r store.Recent) web.Recent { return web.Recent(r) }), told(err)
}

func (p pageSource) Trigger(ctx context.Context, name string, t web.Trigger) (string, error) {
	receipt, err := p.desk.Trigger(byPerson(ctx), name, api.Trigger{Repo: t.Repo, Branch: t.Branch, Tag: t.Tag, SHA: t.SHA})
	if err != nil {
		return "", told(err)
	}
	if len(receipt.Runs) != 1 {
		return "", &web.Refusal{Status: http.StatusConflict, Message: "the listener was triggered, and no run came of it"}
	}
	return receipt.Runs[0].ID, nil
}

func (p pageSource) Pause(ctx context.Context, name, by, note string) error {
	return told(p.desk.Pause(byPerson(ctx), name, api.Pause{By: by, Note: note}))
}

func (p pageSource) Resume(ctx context.Context, name string) error {
	return told(p.desk.Resume(byPerson(ctx), name))
}

func (p pageSource) Remove(ctx context.Context, name string, force bool) error {
	return told(p.desk.Remove(byPerson(ctx), name, force))
}

// deref is what a pointer of the API points to, or nothing.
func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func convert[A, B any](list []A, one func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = one(a)
	}
	return out
}
