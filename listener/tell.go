package listener

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/event"
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

// teller tells people of a listener's runs. A nil one tells nobody.
type teller struct {
	*notify.Dispatcher
}

// newTeller opens what is to be told; nil when the config names nobody. The state folder must be locked.
func newTeller(o Options) (*teller, error) {
	if !o.Config.Tells() {
		return nil, nil
	}
	routes, err := Targets(o.Config, o.Lanes, o.DiscordAPI)
	if err != nil {
		return nil, err
	}
	d, err := notify.New(notify.Options{Dir: filepath.Join(o.State, "notify"), Routes: routes, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return &teller{d}, nil
}

// run tells until stop is called. That tells what is left as long as it works, for seconds at most, and returns
// when the state folder is not used any more.
func (t *teller) run() (stop func()) {
	if t == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var telling sync.WaitGroup
	telling.Go(func() { _ = t.Dispatcher.Run(ctx) }) // an error says that it runs already: it does not
	return func() {
		cancel()
		telling.Wait()
	}
}

// tell keeps what is to be told of a run. It waits for nobody but this machine's disk.
func (t *teller) tell(n notify.Notice) {
	if t != nil {
		t.Tell(n)
	}
}

// story is what is told of one attempt. Its parts are told in their order.
type story struct {
	teller *teller
	notice notify.Notice
	begun  sync.Once
}

// newStory is the story of an attempt that was claimed for an event.
func (l *Listener) newStory(c api.Claim, e event.Event, began time.Time) *story {
	r := c.Run
	n := notify.Notice{
		Listener: l.name, Run: r.ID, Attempt: c.Attempt, Cause: r.Cause, Host: l.host, Event: notify.HeadOf(e), QueuedAt: r.QueuedAt, StartedAt: began,
	}
	if r.RetryOf != nil {
		n.RetryOf = *r.RetryOf
	}
	return &story{teller: l.teller, notice: n}
}

// start tells that the commands run.
func (s *story) start() {
	s.begun.Do(func() {
		n := s.notice
		n.State = run.Running
		s.teller.tell(n)
	})
}

// end tells how the attempt ended, at the time given. What was never started is told by whoever starts it.
func (s *story) end(f api.Finish, step string, at time.Time, tail notify.Tail) {
	if f.Status == run.NotStarted {
		return
	}
	n := s.notice
	n.State, n.Reason, n.ExitCode, n.Step, n.FinishedAt, n.Log = f.Status, f.Reason, f.ExitCode, step, at, tail
	s.teller.tell(n)
}

// tellEnd tells how the attempt ended, when that is known now. Of an attempt that was lost admin is asked first: it
// may go on elsewhere.
func (a *attempt) tellEnd() {
	f := a.entry.Result()
	if f.Status != run.Lost && !a.over.Load() {
		a.tellResult(*f)
	}
}

// tellLost tells of an attempt that was lost what admin has made of the run: nothing while it waits to be started
// anew.
func (a *attempt) tellLost(r run.Run) {
	f := *a.entry.Result()
	if f.Status != run.Lost || !r.Status.Ended() {
		return
	}
	if f.Status = r.Status; r.Reason != nil {
		f.Reason = *r.Reason
	}
	a.tellResult(f)
}

func (a *attempt) tellResult(f api.Finish) {
	if a.l.teller == nil {
		return
	}
	size, _ := a.entry.Log.Size()
	tail, err := notify.ReadTail(a.entry.Log, size)
	if err != nil {
		a.log.Warn("the end of the log cannot be read: it is not told", "err", err)
	}
	a.story.end(f, a.failedStep, a.entry.EndedAt(), tail)
}

// recall is the story of an attempt that an earlier process of this listener has begun.
func (a *attempt) recall() {
	if a.l.teller == nil {
		return
	}
	claim := a.entry.Claim()
	body, err := os.ReadFile(a.entry.PayloadFile())
	if err != nil {
		a.log.Error("delivery cannot be read: what is told of its run says little", "err", err)
	}
	e, _ := event.Parse(event.Delivery{ID: claim.Delivery.ID, Event: claim.Delivery.Event, ContentType: claim.Delivery.ContentType, Body: body})
	a.story = a.l.newStory(claim, e, a.entry.BeganAt())
}
