package listener

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/listener/config"
	"lightspeed/notify"
	"lightspeed/notify/commitstatus"
	"lightspeed/notify/discord"
	"lightspeed/run"
)

// Targets are those whom a config names to be told of its runs, and when they are. The lanes are shared by all
// listeners of a process. discordAPI stands in for discord.DefaultAPI; empty: it does not. Nobody is called.
func Targets(c config.Config, lanes *notify.Lanes, discordAPI string) ([]notify.Route, error) {
	var routes []notify.Route
	if !c.DiscordHook.IsZero() {
		target, err := discord.New(discord.Options{Hook: c.DiscordHook, Call: c.DiscordNotify, API: discordAPI, Lanes: lanes})
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", c.Rules.Name, err)
		}
		routes = append(routes, notify.Route{Target: target, When: notify.When(c.NotifyOn)})
	}
	if !c.GithubStatusToken.IsZero() {
		target, err := commitstatus.New(commitstatus.Options{Token: c.GithubStatusToken, URL: c.GithubURL, Lanes: lanes})
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", c.Rules.Name, err)
		}
		routes = append(routes, notify.Route{Target: target, When: notify.Always})
	}
	return routes, nil
}

// teller tells people of a listener's runs: each edition of its config has its own audience.
type teller struct {
	*notify.Dispatcher
	log *slog.Logger
}

// newTeller opens what is to be told. The state folder must be locked.
func newTeller(o Options) (*teller, error) {
	routes, err := Targets(o.Config, o.Lanes, o.DiscordAPI)
	if err != nil {
		return nil, err
	}
	d, err := notify.New(notify.Options{Dir: filepath.Join(o.State, "notify"), Routes: routes, Report: reporter(o.Admin), Log: o.Log})
	if err != nil {
		return nil, err
	}
	return &teller{d, o.Log}, nil
}

// reporter has the run show at admin how telling went.
func reporter(admin *api.Client) func(context.Context, notify.Result) error {
	return func(ctx context.Context, r notify.Result) error {
		err := admin.Notified(ctx, run.Ref{Run: r.Run, Attempt: r.Attempt}, api.Notified{
			Target: r.Target, Status: run.NoticeStatus(r.Status), Error: r.Error, Hint: r.Hint, Memo: r.Memo, State: r.State, At: r.At,
		})
		if err != nil {
			return &notify.Error{Message: err.Error(), Final: final(err)}
		}
		return nil
	}
}

// run tells until stop is called. That tells what is left as long as it works, for seconds at most, and returns
// when the state folder is not used any more.
func (t *teller) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var telling sync.WaitGroup
	telling.Go(func() { _ = t.Dispatcher.Run(ctx) }) // an error says that it runs already: it does not
	return func() {
		if left := t.Waiting(); len(left) > 0 {
			t.log.Info("tells people what is left", "waiting", left, "at_most", notify.DefaultLinger)
		}
		cancel()
		telling.Wait()
	}
}

// about is what is told of an attempt of a run, but for how it stands. page is where people find admin's; it may be
// empty.
func about(listener, page string, r run.Run, attempt int, e event.Event, memos map[string]string) notify.Notice {
	n := notify.Notice{
		Listener: listener, Run: r.ID, Attempt: attempt, Cause: r.Cause, Event: notify.HeadOf(e), QueuedAt: r.QueuedAt, Memos: memos,
	}
	if r.RetryOf != nil {
		n.RetryOf = *r.RetryOf
	}
	if page != "" {
		n.Page = page + "/runs/" + url.PathEscape(r.ID)
	}
	return n
}

// story is what is told of an attempt of this listener's own.
func (l *Listener) story(c api.Claim, e event.Event, began time.Time) notify.Notice {
	n := about(l.name, l.page, c.Run, c.Attempt, e, c.Memos)
	n.Host, n.StartedAt = l.host, began
	return n
}

// recall is the story of an attempt that an earlier process of this listener has begun.
func (a *attempt) recall() {
	if !a.edition.config.Tells() {
		return
	}
	claim := a.entry.Claim()
	claim.Run.ID, claim.Attempt = a.ref.Run, a.ref.Attempt // also where the rest was torn
	body, err := os.ReadFile(a.entry.PayloadFile())
	if err != nil {
		a.log.Error("delivery cannot be read: what is told of its run says little", "err", err)
	}
	e, _ := event.Parse(event.Delivery{ID: claim.Delivery.ID, Event: claim.Delivery.Event, ContentType: claim.Delivery.ContentType, Body: body})
	a.story = a.l.story(claim, e, a.entry.BeganAt())
}

// tellStart tells that the commands run; once, however many there are.
func (a *attempt) tellStart() {
	a.begun.Do(func() {
		n := a.story
		n.State = run.Running
		a.edition.audience.Tell(n)
		fault.Point("listener.start.told")
	})
}

// tellEnd tells how the attempt ended, when that is known now. Of one that was lost admin is asked first: the run
// may go on elsewhere. Of one that never started, or was cancelled before its commands were, nobody has heard.
func (a *attempt) tellEnd() {
	f := *a.entry.Result()
	unheard := f.Status == run.NotStarted || f.Status == run.Cancelled && !begun(f.Steps) && a.ref.Attempt == 1
	if f.Status != run.Lost && !unheard && !a.over.Load() {
		a.tellResult(f, false)
		fault.Point("listener.end.told")
	}
}

// tellLost tells of an attempt that was lost what admin has made of the run: nothing while it waits to be started
// anew. Another listener may have called people for it.
func (a *attempt) tellLost(done api.Finished) {
	f := *a.entry.Result()
	if f.Status != run.Lost || !done.Status.Ended() {
		return
	}
	if f.Status = done.Status; done.Reason != nil {
		f.Reason = *done.Reason
	}
	a.tellResult(f, done.Told)
	fault.Point("listener.lost.told")
}

func (a *attempt) tellResult(f api.Finish, quiet bool) {
	if !a.edition.config.Tells() {
		return
	}
	size, _ := a.entry.Log.Size()
	tail, err := notify.ReadTail(a.entry.Log, size)
	if err != nil {
		a.log.Warn("the end of the log cannot be read: it is not told", "err", err)
	}
	n := a.story
	n.State, n.Reason, n.ExitCode, n.Step, n.FinishedAt = f.Status, f.Reason, f.ExitCode, failedStep(f.Steps), a.entry.EndedAt()
	n.Log, n.Quiet = tail, quiet
	a.edition.audience.Tell(n)
}

// failedStep is the name of the first step that did not succeed; empty when none was at work.
func failedStep(steps []run.Step) string {
	for _, s := range steps {
		if s.Status.Ended() && s.Status != run.Passed && s.Status != run.Skipped {
			return s.Name
		}
	}
	return ""
}
