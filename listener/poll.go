package listener

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/listener/checkout"
	"lightspeed/listener/config"
)

// polledFile holds, in the listener's state folder, where each repository's refs were when they were last looked at.
const polledFile = "polled.json"

// lookLimit bounds one look at one repository, with what is fetched for it.
const lookLimit = 10 * time.Minute

// poller looks at the repositories of a listener now and then, and hands admin what has changed.
type poller struct {
	l      *Listener
	config config.Config
	file   string
	seen   map[string]checkout.Refs // by repository; one that is missing was never looked at; nil: not loaded yet
	bad    map[string]bool          // could not be looked at, which was said
}

// poll looks, until ctx ends, as the newest config asks for it: at once when that has changed.
func (l *Listener) poll(ctx context.Context) {
	p := &poller{l: l, file: filepath.Join(l.opt.State, polledFile), bad: map[string]bool{}}
	for ctx.Err() == nil {
		newest := l.newest.Load()
		p.config = newest.config
		looking, done := newest.within(ctx)
		p.lookAgain(looking)
		done()
	}
}

// lookAgain looks now and then until ctx ends.
func (p *poller) lookAgain(ctx context.Context) {
	if p.config.Poll <= 0 {
		<-ctx.Done()
		return
	}
	if p.seen == nil {
		p.load()
	}
	for {
		for _, repo := range p.config.Rules.Repos {
			p.look(ctx, repo)
		}
		if !sleep(ctx, p.config.Poll) {
			return
		}
	}
}

// load reads what an earlier process has seen. What cannot be read counts as never seen: pushes made meanwhile are
// then not found, which is said.
func (p *poller) load() {
	p.seen = map[string]checkout.Refs{}
	text, err := os.ReadFile(p.file)
	if err == nil {
		err = json.Unmarshal(text, &p.seen)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.l.log.Error("what was seen of repositories cannot be read: what is there now is taken as known", "err", err)
		p.seen = map[string]checkout.Refs{}
	}
}

// save replaces the file in one step. The disk has it before what comes next is looked for.
func (p *poller) save() error {
	text, err := json.Marshal(p.seen)
	if err != nil {
		return err
	}
	tmp := p.file + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, p.file)
}

// look compares a repository with what was last seen of it. The first look takes what is there as known.
func (p *poller) look(ctx context.Context, repo string) {
	looking, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	now, err := p.l.workspaces.mirrors.Look(looking, p.request(repo))
	if ctx.Err() != nil {
		return
	}
	p.heard(repo, err)
	if err != nil {
		return
	}
	before, known := p.seen[repo]
	if known {
		for _, ref := range changed(before, now) {
			if !p.tell(ctx, looking, repo, ref, before[ref], now[ref]) {
				return
			}
			note(before, ref, now)
			fault.Point("listener.polled")
			p.keep()
		}
		return
	}
	p.l.log.Info("repository is looked at for the first time: what is there counts as known", "repo", repo, "refs", len(now))
	p.seen[repo] = now
	p.keep()
}

func (p *poller) keep() {
	if err := p.save(); err != nil {
		p.l.log.Error("what was seen of repositories cannot be kept: after a restart it is handed in once more", "err", err)
	}
}

// heard says once that a repository cannot be looked at, and once that it can again.
func (p *poller) heard(repo string, err error) {
	switch {
	case err != nil && !p.bad[repo]:
		p.l.log.Warn("repository cannot be looked at; it is tried again and again", "repo", repo, "err", err)
	case err == nil && p.bad[repo]:
		p.l.log.Info("repository can be looked at again", "repo", repo)
	}
	p.bad[repo] = err != nil
}

func (p *poller) request(repo string) checkout.Request {
	r := checkout.Request{URL: p.config.CloneURL(repo)}
	if c := p.config.Checkout; c != nil {
		r.Token, r.Depth = c.Token, c.Depth
	}
	return r
}

// changed returns the refs that are new, gone, or elsewhere, in order.
func changed(before, now checkout.Refs) []string {
	var list []string
	for ref, at := range now {
		if before[ref] != at {
			list = append(list, ref)
		}
	}
	for ref := range before {
		if _, there := now[ref]; !there {
			list = append(list, ref)
		}
	}
	slices.Sort(list)
	return list
}

func note(seen checkout.Refs, ref string, now checkout.Refs) {
	if at, there := now[ref]; there {
		seen[ref] = at
	} else {
		delete(seen, ref)
	}
}

// tell hands admin a push, if this listener's rules want it, and reports whether the push is done with.
func (p *poller) tell(ctx, looking context.Context, repo, ref string, before, now checkout.Ref) bool {
	push := api.Polled{Repo: repo, SHA: orZeros(now.Commit, before.Commit), Before: orZeros(before.Commit, now.Commit)}
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		push.Branch = branch
	} else {
		push.Tag = strings.TrimPrefix(ref, "refs/tags/")
	}
	if now.Commit != "" && p.config.Checkout != nil {
		p.ask(looking, ref, before, &push)
	}
	if !p.wanted(push) {
		return true
	}
	err := p.l.admin.try(ctx, p.l.log, "handing in a push that was found", func(ctx context.Context) error {
		receipt, err := p.l.opt.Admin.Polled(ctx, p.l.name, push)
		if err == nil {
			p.l.log.Info("found a push", "repo", repo, "ref", ref, "sha", push.SHA, "delivery", receipt.Delivery, "runs", receipt.RunIDs())
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.l.log.Warn("admin does not take a push that was found", "repo", repo, "ref", ref, "err", err)
	}
	return err == nil || ctx.Err() == nil && final(err)
}

// ask adds what the mirror knows of a push. What that does not know counts as unknown.
func (p *poller) ask(ctx context.Context, ref string, before checkout.Ref, push *api.Polled) {
	r := p.request(push.Repo)
	r.Ref, r.SHA = ref, push.SHA
	files, message, err := p.l.workspaces.mirrors.Changes(ctx, r, before.Commit)
	if err != nil {
		p.l.log.Warn("what a push has changed is not known", "repo", push.Repo, "ref", ref, "err", err)
	}
	push.Message = message
	if push.Branch != "" {
		push.Files = files
	}
}

// wanted reports whether this listener's newest rules hold for a push: what others want is not for it to hand in.
func (p *poller) wanted(push api.Polled) bool {
	body, err := event.MakePush(event.PushSpec{
		Repo: push.Repo, Branch: push.Branch, Tag: push.Tag, SHA: push.SHA, Before: push.Before, Files: push.Files, Message: push.Message,
	})
	if err != nil {
		p.l.log.Warn("a ref that was found cannot be handed in", "err", err)
		return false
	}
	e, err := event.Parse(event.Delivery{Event: event.Push, ContentType: "application/json", Body: body})
	return err == nil && p.l.newest.Load().rules.Match(e).Matched
}

// orZeros is a commit, or as many zeros as another has digits.
func orZeros(commit, other string) string {
	if commit != "" {
		return commit
	}
	return string(bytes.Repeat([]byte{'0'}, len(other)))
}
