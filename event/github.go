package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/go-github/v60/github"
)

const (
	headsPrefix = "refs/heads/"
	tagsPrefix  = "refs/tags/"
)

// GitHub cuts these lists and says nothing about it: commits of a push, files of a commit
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#push).
const (
	maxCommits = 2048
	maxFiles   = 3000
)

var (
	loginFields = fields{"login": nil}
	repoFields  = fields{"id": nil, "full_name": nil, "html_url": nil}
	pushFields  = fields{
		"ref": nil, "before": nil, "after": nil, "created": nil, "deleted": nil, "forced": nil, "compare": nil,
		"total_commits": nil, "compare_url": nil,
		"commits":     fields{"added": nil, "removed": nil, "modified": nil},
		"head_commit": fields{"id": nil, "message": nil, "author": fields{"name": nil}},
		"repository":  repoFields,
		"pusher":      fields{"name": nil, "username": nil},
		"sender":      loginFields,
	}
	branchFields      = fields{"ref": nil, "sha": nil, "repo": repoFields}
	pullRequestFields = fields{
		"action": nil, "number": nil, "before": nil,
		"pull_request": fields{
			"number": nil, "title": nil, "html_url": nil, "user": loginFields, "head": branchFields, "base": branchFields,
		},
		"repository": repoFields,
		"sender":     loginFields,
	}
	refFields     = fields{"ref": nil, "ref_type": nil, "repository": repoFields, "sender": loginFields}
	releaseFields = fields{
		"action": nil,
		"release": fields{
			"tag_name": nil, "target_commitish": nil, "name": nil, "html_url": nil, "author": loginFields,
		},
		"repository": repoFields,
		"sender":     loginFields,
	}
	ignoredFields = fields{"action": nil, "repository": repoFields, "sender": loginFields}
)

// push is GitHub's push, and what Gitea and Forgejo send beside it or instead: they list no more than a few
// commits, and say how many there were.
type push struct {
	github.PushEvent
	TotalCommits int    `json:"total_commits"`
	CompareURL   string `json:"compare_url"`
}

func parsePush(text []byte) (Event, error) {
	var p push
	if err := decode(Push, text, pushFields, &p); err != nil {
		return Event{}, err
	}
	e := Event{
		Name: Push, Repo: p.GetRepo().GetFullName(), Ref: p.GetRef(), Before: p.GetBefore(), After: p.GetAfter(),
		Forced:  p.GetForced(),
		Message: p.GetHeadCommit().GetMessage(),
		Author:  p.GetHeadCommit().GetAuthor().GetName(),
		Pusher:  first(p.GetPusher().GetName(), p.GetPusher().GetLogin(), p.GetSender().GetLogin()),
		URL:     webPage(first(p.GetCompare(), p.CompareURL)),
	}
	if e.Ref == "" {
		return Event{}, missing(Push, "ref")
	}
	e.Created = p.GetCreated() || zeros(e.Before)
	e.Deleted = p.GetDeleted() || zeros(e.After)
	e.nameRef()
	e.SHA = pushedCommit(e, p)
	e.Files, e.FilesKnown = pushedFiles(e, p)
	return e, nil
}

// nameRef cuts the prefix off the ref, once: refs/heads/refs/heads/main is a branch. Of another ref neither
// name is set.
func (e *Event) nameRef() {
	if branch, ok := strings.CutPrefix(e.Ref, headsPrefix); ok {
		e.Branch = branch
	} else if tag, ok := strings.CutPrefix(e.Ref, tagsPrefix); ok {
		e.Tag = tag
	}
}

// pushedCommit is what a push is to be built at. After an annotated tag's push, After is the tag object.
func pushedCommit(e Event, p push) string {
	if e.Deleted {
		return ""
	}
	if sha := p.GetHeadCommit().GetID(); sha != "" {
		return sha
	}
	if e.Tag != "" {
		return ""
	}
	return e.After
}

// pushedFiles collects what the listed commits touched, and says whether that is all that can differ
// between the ref's old value and its new one. After a forced push it is not: what the dropped commits had
// changed is changed back, and no list names it.
func pushedFiles(e Event, p push) (files []string, known bool) {
	known = e.Branch != "" && !e.Deleted && !e.Forced &&
		len(p.Commits) > 0 && len(p.Commits) < maxCommits && p.TotalCommits <= len(p.Commits)
	for _, c := range p.Commits {
		if c == nil || c.Added == nil || c.Removed == nil || c.Modified == nil {
			known = false
		}
		if c == nil {
			continue
		}
		if len(c.Added)+len(c.Removed)+len(c.Modified) >= maxFiles {
			known = false
		}
		files = append(append(append(files, c.Added...), c.Removed...), c.Modified...)
	}
	return files, known
}

func parsePullRequest(text []byte) (Event, error) {
	var p github.PullRequestEvent
	if err := decode(PullRequest, text, pullRequestFields, &p); err != nil {
		return Event{}, err
	}
	pr := p.GetPullRequest()
	e := Event{
		Name: PullRequest, Action: p.GetAction(), Repo: p.GetRepo().GetFullName(),
		PR: p.GetNumber(), Branch: pr.GetHead().GetRef(), Base: pr.GetBase().GetRef(),
		SHA: pr.GetHead().GetSHA(), Before: p.GetBefore(), After: pr.GetHead().GetSHA(),
		Fork:    fork(pr, p.GetRepo()),
		Message: pr.GetTitle(), Author: pr.GetUser().GetLogin(), Pusher: p.GetSender().GetLogin(),
		URL: webPage(pr.GetHTMLURL()),
	}
	if e.PR == 0 {
		e.PR = pr.GetNumber()
	}
	if e.Action == "synchronized" { // Gitea's and Forgejo's word
		e.Action = "synchronize"
	}
	for _, f := range []struct{ field, value string }{
		{"action", e.Action}, {"pull_request.head.ref", e.Branch}, {"pull_request.head.sha", e.SHA},
		{"pull_request.base.ref", e.Base},
	} {
		if f.value == "" {
			return Event{}, missing(PullRequest, f.field)
		}
	}
	if e.PR <= 0 {
		return Event{}, missing(PullRequest, "number")
	}
	e.Ref = fmt.Sprintf("refs/pull/%d/head", e.PR)
	return e, nil
}

// fork reports whether the head is not known to stand in the repository itself. Whether the head's
// repository is a fork of some other one (head.repo.fork) is not the question.
func fork(pr *github.PullRequest, repo *github.Repository) bool {
	head, base := pr.GetHead().GetRepo().GetID(), pr.GetBase().GetRepo().GetID()
	if base == 0 {
		base = repo.GetID()
	}
	return head == 0 || head != base
}

// parseRefEvent reads create and delete, which carry the short ref and no commit.
func parseRefEvent(name string, text []byte) (Event, error) {
	var c github.CreateEvent // delete has the same fields
	if err := decode(name, text, refFields, &c); err != nil {
		return Event{}, err
	}
	e := Event{
		Name: name, Repo: c.GetRepo().GetFullName(), Created: name == Create, Deleted: name == Delete,
		Pusher: c.GetSender().GetLogin(), URL: webPage(c.GetRepo().GetHTMLURL()),
	}
	switch kind := c.GetRefType(); {
	case kind == "":
		return Event{}, missing(name, "ref_type")
	case kind != "branch" && kind != "tag":
		e.Ignored = fmt.Sprintf("%s is neither a branch nor a tag", Shown(kind, 100))
		return e, nil
	case c.GetRef() == "":
		return Event{}, missing(name, "ref")
	case kind == "branch":
		e.Branch, e.Ref = c.GetRef(), headsPrefix+c.GetRef()
	default:
		e.Tag, e.Ref = c.GetRef(), tagsPrefix+c.GetRef()
	}
	return e, nil
}

func parseRelease(text []byte) (Event, error) {
	var r github.ReleaseEvent
	if err := decode(Release, text, releaseFields, &r); err != nil {
		return Event{}, err
	}
	release := r.GetRelease()
	e := Event{
		Name: Release, Action: r.GetAction(), Repo: r.GetRepo().GetFullName(), Tag: release.GetTagName(),
		Message: release.GetName(), Author: release.GetAuthor().GetLogin(), Pusher: r.GetSender().GetLogin(),
		URL: webPage(release.GetHTMLURL()),
	}
	if e.Action == "" {
		return Event{}, missing(Release, "action")
	}
	if e.Tag == "" {
		return Event{}, missing(Release, "release.tag_name")
	}
	e.Ref = tagsPrefix + e.Tag
	if target := release.GetTargetCommitish(); objectID(target) { // it may be a branch
		e.SHA = target
	}
	return e, nil
}

// parseIgnored reads what every event may have, as far as it can be read.
func parseIgnored(name string, text []byte) (Event, error) {
	s := scanner{in: text}
	wanted, err := s.document(ignoredFields)
	if err != nil {
		return Event{}, err
	}
	var i github.PullRequestEvent
	_ = json.Unmarshal(wanted, &i) // what has another type stays empty
	e := Event{Name: name, Action: i.GetAction(), Repo: i.GetRepo().GetFullName(), Pusher: i.GetSender().GetLogin()}
	if checkRepo(e.Repo) != nil {
		e.Repo = ""
	}
	e.Ignored = "a ping runs nothing"
	if name != Ping {
		e.Ignored = fmt.Sprintf("nothing runs on %s: a listener can ask for %s", Shown(name, 100), strings.Join(Names(), ", "))
	}
	return e, nil
}

func missing(name, field string) error { return fmt.Errorf("%s: %q is missing", name, field) }

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// jsonType names what a Go type takes, with its article.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Pointer:
		return "an object"
	}
	return "a whole number"
}

// jsonValue puts an article before what encoding/json calls a value: "number", or "number 1.5".
func jsonValue(value string) string {
	switch {
	case value == "bool":
		return "a boolean"
	case value == "array" || value == "object":
		return "an " + value
	case strings.HasPrefix(value, "number "):
		return "the " + Shown(value, 50)
	}
	return "a " + value
}
