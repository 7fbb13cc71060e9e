// Package commitstatus sets a run's state on its commit, at GitHub, GitHub Enterprise Server, Gitea or Forgejo
// (https://docs.github.com/en/rest/commits/statuses).
package commitstatus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"lightspeed/notify"
	"lightspeed/run"
	"lightspeed/secret"
)

// Options are what a Target is made of.
type Options struct {
	Token secret.Value
	// URL is the server, where it is not github.com: "https://git.example.com". Its API is found under /api/v3
	// (GitHub Enterprise Server) or /api/v1 (Gitea, Forgejo), unless the URL ends in one of these.
	URL   string
	Lanes *notify.Lanes // shared by all targets of the process; nil: none shares it
}

// GitHub asks for no more than 80 to 180 writes a minute, by one token over everything it is used for
// (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits).
const (
	burst = 50
	every = time.Second / 2
)

// callLimit bounds one request.
const callLimit = 30 * time.Second

// Target is one token at one server.
type Target struct {
	server *server
	lane   *notify.Lane
	token  secret.Value
}

// New checks the options. It calls nobody.
func New(o Options) (*Target, error) {
	if o.Token.IsZero() {
		return nil, errors.New("commit statuses need a token")
	}
	s, err := newServer(o.URL, o.Token)
	if err != nil {
		return nil, err
	}
	if o.Lanes == nil {
		o.Lanes = &notify.Lanes{}
	}
	lane := o.Lanes.Lane("commit-status " + s.host + " " + o.Token.Reveal())
	lane.Pace(burst, every)
	return &Target{server: s, lane: lane, token: o.Token}, nil
}

// Name is "commit-status".
func (t *Target) Name() string { return "commit-status" }

// Accept takes what happened on a commit. Of several runs on one commit, the newest is the one that it shows.
func (t *Target) Accept(n *notify.Notice) (key string, ok bool) {
	n.Log = notify.Tail{}
	return strings.ToLower(n.Event.Repo + "@" + n.Event.SHA), n.Event.SHA != ""
}

// states are GitHub's words. What the commands did is a failure; that they could not do it is an error.
var states = map[run.State]string{
	run.Running:    "pending",
	run.Passed:     "success",
	run.Failed:     "failure",
	run.TimedOut:   "failure",
	run.Errored:    "error",
	run.Cancelled:  "error",
	run.Superseded: "error",
	run.Lost:       "error",
}

// Send sets the status.
func (t *Target) Send(ctx context.Context, tell notify.Telling, _ *notify.Memo) error {
	n := &tell.Notice
	owner, repo, err := where(n.Event.Repo, n.Event.SHA)
	if err != nil {
		return err
	}
	if err := t.set(ctx, owner, repo, n.Event.SHA, status(&tell, statusContext(n.Listener))); err != nil {
		return t.problem(err)
	}
	return nil
}

// statusContext names the status among those of others. Letter case does not count in it.
func statusContext(listener string) string { return "lightspeed/" + listener }

// maxDescription is GitHub's limit, in characters; it is kept in bytes, which are never fewer.
const maxDescription = 140

func status(tell *notify.Telling, name string) *github.RepoStatus {
	s := &github.RepoStatus{
		State: github.String(states[tell.Notice.State]), Context: github.String(name), Description: github.String(describe(tell)),
	}
	if page := tell.Notice.Page; strings.HasPrefix(page, "https://") || strings.HasPrefix(page, "http://") {
		s.TargetURL = github.String(page)
	}
	return s
}

// describe says in one line how the run stands: "failed after 3m 12s: step 2 exited with status 1".
func describe(tell *notify.Telling) string {
	n := &tell.Notice
	text := strings.TrimPrefix(tell.Verb(), "is ")
	if n.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", n.Attempt)
	}
	if took := n.Took(); n.Ended() && took > 0 {
		text += " after " + notify.Short(took)
	}
	if n.Ended() && n.State != run.Passed && n.Reason != "" {
		text += ": " + n.Reason
	}
	return line(text, maxDescription)
}

// line makes text one line of at most max bytes.
func line(text string, max int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\ufffd"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(text) <= max {
		return text
	}
	const ellipsis = "…"
	end := max - len(ellipsis)
	for end > 0 && text[end]&0xc0 == 0x80 {
		end--
	}
	return text[:end] + ellipsis
}

var (
	part = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
	sha  = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// where checks what becomes part of a path: go-github does not escape it, and "../" would reach another call.
func where(fullName, commit string) (owner, repo string, err error) {
	owner, repo, _ = strings.Cut(fullName, "/")
	for _, name := range []string{owner, repo} {
		if !part.MatchString(name) || name == "." || name == ".." {
			return "", "", &notify.Error{Message: fmt.Sprintf("repository %.100q is not owner/repo", fullName), Final: true}
		}
	}
	if !sha.MatchString(commit) {
		return "", "", &notify.Error{Message: fmt.Sprintf("commit %.100q is not 40 or 64 hex digits", commit), Final: true}
	}
	return owner, repo, nil
}

// set sets one status. Its error is one of go-github's, or ctx's.
func (t *Target) set(ctx context.Context, owner, repo, commit string, s *github.RepoStatus) error {
	return t.call(ctx, func(ctx context.Context, d *dialect) error {
		_, _, err := d.setStatus(ctx, owner, repo, commit, s)
		var accepted *github.AcceptedError
		if errors.As(err, &accepted) {
			return nil
		}
		return err
	})
}

// call makes one call in the token's lane.
func (t *Target) call(ctx context.Context, f func(context.Context, *dialect) error) error {
	leave, err := t.lane.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err = t.server.do(func(d *dialect) error { return f(ctx, d) })
	if err == nil {
		return nil
	}
	if problem := t.problem(err); problem.Busy {
		t.lane.Hold(problem.After)
	}
	return err
}

// noCommit is a commit that does not exist: whoever may set statuses learns that, others that they may not.
var noCommit = strings.Repeat("0", 39) + "1"

// Try sets a status on the sample's commit, under a name of its own, so that no rule takes it for a run's. Without
// a commit it asks for a status on one that does not exist, which shows whether the token may set any; without
// a repository it asks whose the token is.
func (t *Target) Try(ctx context.Context, sample notify.Notice) (said string, err error) {
	if sample.Event.Repo == "" {
		return t.tryToken(ctx)
	}
	commit := sample.Event.SHA
	if commit == "" {
		commit = noCommit
	}
	owner, repo, err := where(sample.Event.Repo, commit)
	if err != nil {
		return "", err
	}
	sample.State = run.Passed
	name := statusContext(sample.Listener) + "/test"
	s := status(&notify.Telling{Notice: sample}, name)
	s.Description = github.String(line("a sample: nothing ran", maxDescription))
	err = t.set(ctx, owner, repo, commit, s)
	if sample.Event.SHA == "" {
		return t.tried(err, sample.Event.Repo)
	}
	if err != nil {
		return "", t.problem(err)
	}
	return fmt.Sprintf("set status %s on %s of %s", name, commit[:7], sample.Event.Repo), nil
}

// tried reads what came back for a commit that does not exist.
func (t *Target) tried(err error, repo string) (string, error) {
	if err == nil || statusOf(err) == http.StatusUnprocessableEntity {
		return fmt.Sprintf("the token may set statuses on %s (asked with a commit that does not exist)", repo), nil
	}
	return "", t.problem(err)
}

func (t *Target) tryToken(ctx context.Context) (string, error) {
	var login string
	err := t.call(ctx, func(ctx context.Context, d *dialect) error {
		user, _, err := d.user(ctx, "")
		login = user.GetLogin()
		return err
	})
	if err != nil {
		return "", t.problem(err)
	}
	return fmt.Sprintf("the token is %s's; give a repository to see whether it may set statuses there", line(login, 100)), nil
}
