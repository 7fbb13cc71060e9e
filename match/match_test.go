package match

import (
	"strings"
	"testing"

	"lightspeed/event"
)

// pushTo is a push to a branch of me/my-repo; without files the list is unknown.
func pushTo(branch string, files ...string) event.Event {
	return event.Event{Name: event.Push, Repo: "me/my-repo", Ref: "refs/heads/" + branch, Branch: branch,
		SHA: "6113728f27ae82c7b1a177c8d03f9e96e0adf246", Files: files, FilesKnown: files != nil, Message: "fix the build"}
}

func tagged(tag string) event.Event {
	e := pushTo("")
	e.Ref, e.Branch, e.Tag = "refs/tags/"+tag, "", tag
	return e
}

func pullRequest(action, base string) event.Event {
	return event.Event{Name: event.PullRequest, Action: action, Repo: "me/my-repo", Ref: "refs/pull/7/head",
		Branch: "topic", Base: base, PR: 7, Message: "Add a topic"}
}

func with(e event.Event, change func(*event.Event)) event.Event {
	change(&e)
	return e
}

const yes = "matches"

func TestMatch(t *testing.T) {
	deleted := func(e *event.Event) { e.Deleted = true }
	forked := func(e *event.Event) { e.Fork = true }
	says := func(message string) func(*event.Event) { return func(e *event.Event) { e.Message = message } }
	created := with(pushTo("topic"), func(e *event.Event) { e.Name, e.Created, e.Message = event.Create, true, "" })
	gone := with(created, func(e *event.Event) { e.Name, e.Created, e.Deleted = event.Delete, false, true })
	released := with(tagged("v1"), func(e *event.Event) { e.Name, e.Action = event.Release, "published" })

	tests := []struct {
		about string
		rules Rules // Name: my-repo
		event event.Event
		want  string // yes, or Why
	}{
		{"name alone", Rules{}, pushTo("main"), yes},
		{"another repository", Rules{}, with(pushTo("main"), func(e *event.Event) { e.Repo = "me/other" }),
			"name: saw me/other, want a repository that the name my-repo fits"},
		{"no repository", Rules{}, event.Event{Name: event.Ping, Ignored: "nothing runs on ping"},
			"name: saw no repository, want a repository that the name my-repo fits"},
		{"repos", Rules{Repos: []string{"ME/*", "!me/old"}}, pushTo("main"), yes},
		{"repos, other", Rules{Repos: []string{"you/*", "!you/old"}}, pushTo("main"), "repos: saw me/my-repo, want you/*, !you/old"},
		{"repos, excluded", Rules{Repos: []string{"me/*", "!*/my-repo"}}, pushTo("main"), "repos: saw me/my-repo, want me/*, !*/my-repo"},
		{"repos replace the name", Rules{Repos: []string{"you/x"}}, pushTo("main"), "repos: saw me/my-repo, want you/x"},
		{"every repo, but there is none", Rules{Repos: []string{"*"}}, event.Event{Name: event.Ping, Ignored: "x"}, "repos: saw no repository, want *"},

		{"ignored", Rules{}, event.Event{Name: "issues", Action: "opened", Repo: "me/my-repo", Ignored: "nothing runs on issues"},
			"events: nothing runs on issues"},
		{"push is the default", Rules{}, pullRequest("opened", "main"), "events: saw pull_request:opened, want push"},
		{"pull request", Rules{Events: []string{"pull_request"}}, pullRequest("synchronize", "main"), yes},
		{"pull request, ready", Rules{Events: []string{"pull_request"}}, pullRequest("ready_for_review", "main"), yes},
		{"pull request, closed", Rules{Events: []string{"push", "pull_request"}}, pullRequest("closed", "main"),
			"events: saw pull_request:closed, want push, pull_request"},
		{"pull request, closed is asked for", Rules{Events: []string{"pull_request:closed"}}, pullRequest("closed", "main"), yes},
		{"pull request, only closed is asked for", Rules{Events: []string{"pull_request:closed"}}, pullRequest("opened", "main"),
			"events: saw pull_request:opened, want pull_request:closed"},
		{"release", Rules{Events: []string{"release"}}, released, yes},
		{"release, published", Rules{Events: []string{"release:published"}}, released, yes},
		{"release, deleted", Rules{Events: []string{"release:deleted"}}, released, "events: saw release:published, want release:deleted"},
		{"release, not asked for", Rules{}, released, "events: saw release:published, want push"},
		{"release and tags", Rules{Events: []string{"release"}, Tags: []string{"v2*"}}, released, "tags: saw v1, want v2*"},
		{"create doubles a push", Rules{}, created, "events: saw create, want push"},
		{"create", Rules{Events: []string{"create"}}, created, yes},
		{"delete needs no deletes", Rules{Events: []string{"delete"}}, gone, yes},

		{"fork", Rules{Events: []string{"pull_request"}}, with(pullRequest("opened", "main"), forked),
			"forks: saw a pull request from a fork, want forks: always"},
		{"fork, never", Rules{Events: []string{"pull_request"}, Forks: "never"}, with(pullRequest("opened", "main"), forked),
			"forks: saw a pull request from a fork, want forks: always"},
		{"fork, always", Rules{Events: []string{"pull_request"}, Forks: "always"}, with(pullRequest("opened", "main"), forked), yes},

		{"deleted", Rules{}, with(pushTo("main"), deleted), "deletes: saw branch main deleted, want deletes: true"},
		{"deleted tag", Rules{}, with(tagged("v1"), deleted), "deletes: saw tag v1 deleted, want deletes: true"},
		{"deletes", Rules{Deletes: true, Files: []string{"src/**"}}, with(pushTo("main"), deleted), yes},
		{"deletes, other branch", Rules{Deletes: true, Branches: []string{"main"}}, with(pushTo("dev"), deleted), "branches: saw dev, want main"},

		{"branch", Rules{Branches: []string{"main"}}, pushTo("main"), yes},
		{"other branch", Rules{Branches: []string{"main"}}, pushTo("dev"), "branches: saw dev, want main"},
		{"slashes", Rules{Branches: []string{"release/*"}}, pushTo("release/1.2"), yes},
		{"order counts", Rules{Branches: []string{"**", "!dev/**", "dev/keep"}}, pushTo("dev/x"), "branches: saw dev/x, want **, !dev/**, dev/keep"},
		{"order counts, back in", Rules{Branches: []string{"**", "!dev/**", "dev/keep"}}, pushTo("dev/keep"), yes},
		{"branches say nothing of tags", Rules{Branches: []string{"**"}}, tagged("main"), "branches: saw tag main, want **"},
		{"tags say nothing of branches", Rules{Tags: []string{"**"}}, pushTo("v1"), "tags: saw branch v1, want **"},
		{"tag", Rules{Tags: []string{"v*"}}, tagged("v1"), yes},
		{"other tag", Rules{Tags: []string{"v*"}, Branches: []string{"main"}}, tagged("x"), "tags: saw x, want v*"},
		{"both kinds", Rules{Tags: []string{"v*"}, Branches: []string{"main"}}, pushTo("main"), yes},
		{"no kind, tag", Rules{}, tagged("v1"), yes},
		{"pull request's base", Rules{Events: []string{"pull_request"}, Branches: []string{"main"}}, pullRequest("opened", "main"), yes},
		{"pull request's head does not count", Rules{Events: []string{"pull_request"}, Branches: []string{"topic"}}, pullRequest("opened", "main"),
			"branches: saw main, want topic"},
		{"pull request has no tag", Rules{Events: []string{"pull_request"}, Tags: []string{"v*"}}, pullRequest("opened", "main"),
			"tags: saw base branch main, want v*"},
		{"branch_filter", Rules{BranchFilter: []string{"a", "m*n"}}, pushTo("m*n"), yes},
		{"branch_filter is exact", Rules{BranchFilter: []string{"m*n"}}, pushTo("main"), "branch_filter: saw main, want m*n"},
		{"branch_filter and a tag", Rules{BranchFilter: []string{"main"}}, tagged("main"), "branch_filter: saw tag main, want main"},
		{"both filters", Rules{Branches: []string{"m*"}, BranchFilter: []string{"main"}}, pushTo("master"), "branch_filter: saw master, want main"},

		{"file", Rules{Files: []string{"src/**"}}, pushTo("main", "README.md", "src/a/b.go"), yes},
		{"no such file", Rules{Files: []string{"src/**"}}, pushTo("main", "README.md", "docs/a.md"), "files: saw README.md, docs/a.md, want src/**"},
		{"many files", Rules{Files: []string{"src/**"}}, pushTo("main", "a", "b", "c", "d", "e"), "files: saw a, b, c and 2 more, want src/**"},
		{"empty commits", Rules{Files: []string{"**"}}, with(pushTo("main"), func(e *event.Event) { e.FilesKnown = true }), "files: saw no changed file, want **"},
		{"unknown files match", Rules{Files: []string{"src/**"}, FilesFilter: []string{".go"}}, pushTo("main"), yes},
		{"file filters leave tags alone", Rules{Files: []string{"src/**"}}, with(tagged("v1"), func(e *event.Event) { e.FilesKnown = true }), yes},
		{"excluded per file", Rules{Files: []string{"**", "!**.md"}}, pushTo("main", "a.md", "b/c.md"), "files: saw a.md, b/c.md, want **, !**.md"},
		{"one file is enough", Rules{Files: []string{"**", "!**.md"}}, pushTo("main", "a.md", "b/c.go"), yes},
		{"files back in", Rules{Files: []string{"**", "!**.md", "a.md"}}, pushTo("main", "a.md"), yes},
		{"files_filter", Rules{FilesFilter: []string{"x", "c/m"}}, pushTo("main", "src/main.go"), yes},
		{"files_filter, no", Rules{FilesFilter: []string{"Main", "*.go"}}, pushTo("main", "src/main.go"), "files_filter: saw src/main.go, want Main, *.go"},
		{"both file rules", Rules{Files: []string{"src/**"}, FilesFilter: []string{".md"}}, pushTo("main", "src/main.go"), "files_filter: saw src/main.go, want .md"},

		{"skip ci", Rules{}, with(pushTo("main"), says("wip [Skip CI]")), "message: saw [skip ci], want a message without it"},
		{"skip ci of a pull request", Rules{Events: []string{"pull_request"}}, with(pullRequest("opened", "main"), says("[no ci] x")),
			"message: saw [no ci], want a message without it"},
		{"message matches", Rules{Message: &Message{Match: "(?i)^FIX"}}, pushTo("main"), yes},
		{"message does not match", Rules{Message: &Message{Match: "^release"}}, pushTo("main"), "message: saw fix the build, want a match of ^release"},
		{"message is skipped", Rules{Message: &Message{Skip: "build"}}, with(pushTo("main"), says("\n fix the build \n\nmore")),
			"message: saw fix the build, want no match of build"},
		{"message has neither", Rules{Message: &Message{Match: "fix", Skip: "wip"}}, pushTo("main"), yes},
		{"no message", Rules{Message: &Message{Match: "."}}, with(pushTo("main"), says("")), "message: saw no message, want a match of ."},

		{"the first rule is the reason", Rules{Branches: []string{"main"}, Files: []string{"x"}, Message: &Message{Match: "y"}},
			pushTo("dev", "a"), "branches: saw dev, want main"},
		{"what is shown cannot mislead", Rules{Branches: []string{"main"}}, pushTo("a\u202e\x1b[31m\xff"), `branches: saw a\u202e\x1b[31m\xff, want main`},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			test.rules.Name = "my-repo"
			m, err := Compile(test.rules)
			if err != nil {
				t.Fatal(err)
			}
			d := m.Match(test.event)
			got := d.Why
			if d.Matched {
				got = yes + d.Why
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if d.RepoHeld() == (strings.HasPrefix(test.want, "name:") || strings.HasPrefix(test.want, "repos:")) {
				t.Errorf("RepoHeld: %v", d.RepoHeld())
			}
		})
	}
}

func TestValuesAreShortened(t *testing.T) {
	m, err := Compile(Rules{Name: "my-repo", Branches: []string{strings.Repeat("w", 1000)}})
	if err != nil {
		t.Fatal(err)
	}
	d := m.Match(pushTo(strings.Repeat("s", 1000)))
	if d.Saw != strings.Repeat("s", 197)+"…" || d.Want != strings.Repeat("w", 197)+"…" || len(d.Why) > 450 {
		t.Errorf("%+v", d)
	}
}

func TestNameRule(t *testing.T) {
	tests := []struct {
		name, repo string
		want       bool
	}{
		{"my-repo", "anyone/my-repo", true},
		{"my-repo-tests", "anyone/my-repo", true},
		{"my-repo_tests", "anyone/my-repo", true},
		{"my-repo.tests", "anyone/my-repo", true},
		{"my-repotests", "anyone/my-repo", false},
		{"tests-my-repo", "anyone/my-repo", true},
		{"testsmy-repo", "anyone/my-repo", false},
		{"MY-Repo-Tests", "Anyone/My-REPO", true},
		{"repo", "anyone/my-repo-too", true},
		{"any", "anyone/my-repo", true},
		{"anyone/my-repo", "anyone/my-repo", true},
		{"me/my-repo", "anyone/my-repo", false},
		{"yone/my", "anyone/my-repo", true},
		{"my-repo-with-name", "anyone/name", true},
		{"my-repo-with-name", "anyone/my", true},
		{"my-repo-with-name", "anyone/repo", false},
		{"other", "anyone/my-repo", false},
		{"x", "", false},
		{"x", "x", false},
	}
	for _, test := range tests {
		if got := newNameRule(test.name).holds(strings.ToLower(test.repo)); got != test.want {
			t.Errorf("%s on %s: got %v", test.name, test.repo, got)
		}
	}
}

func TestSkipWord(t *testing.T) {
	tests := []struct{ message, want string }{
		{"fix", ""},
		{"", ""},
		{"fix [skip ci]", "[skip ci]"},
		{"[ci skip] fix", "[ci skip]"},
		{"fix\n\nbody [no ci] x", "[no ci]"},
		{"[skip actions]", "[skip actions]"},
		{"[ACTIONS SKIP]", "[actions skip]"},
		{"skip ci", ""},
		{"[skip  ci]", ""},
		{"fix\n\n\nskip-checks: true", "skip-checks: true"},
		{"fix\r\n\r\n\r\nskip-checks:true\r\n", "skip-checks: true"},
		{"fix\n\nSigned-off-by: x\nskip-checks: true\n\n", "skip-checks: true"},
		{"fix\n\nskip-checks: true\nSigned-off-by: x", ""},
		{"skip-checks: true", ""},
		{"fix\nskip-checks: true", ""},
		{"fix\n\n\nskip-checks: false", ""},
	}
	for _, test := range tests {
		if got := skipWord(test.message); got != test.want {
			t.Errorf("%q: got %q, want %q", test.message, got, test.want)
		}
	}
}

func TestSentence(t *testing.T) {
	tests := []struct {
		rules Rules
		want  string
	}{
		{Rules{Name: "my-repo"}, "my-repo listens for pushes in repositories that its name fits"},
		{Rules{Name: "test", Repos: []string{"**"}}, "test listens for pushes in every repository"},
		{Rules{Name: "a", Repos: []string{"me/*", "!me/old"}, Events: []string{"push", "pull_request", "pull_request:closed", "release:published"},
			Branches: []string{"main", "!main-x"}, Tags: []string{"v*"}},
			"a listens for pushes, pull requests (opened, reopened, synchronize, ready_for_review, closed) and releases (published) in me/*, not me/old, " +
				"on branches main, not main-x, on tags v*"},
		{Rules{Name: "a", Events: []string{"release", "create", "delete"}, BranchFilter: []string{"main"}, Files: []string{"src/**"}, FilesFilter: []string{".go"},
			Message: &Message{Match: "^fix", Skip: "wip"}, Forks: "always", Deletes: true},
			"a listens for releases (any action), new branches and tags and deleted branches and tags in repositories that its name fits, " +
				"on branches named main, when files change that match src/**, when files change whose name contains .go, when the message matches ^fix, " +
				"unless the message matches wip, also from forks, also when a branch or tag is deleted"},
		{Rules{Name: "a\x1b", Repos: []string{"*"}, Events: []string{"nonsense"}}, `a\x1b listens for nonsense in every repository`},
	}
	for _, test := range tests {
		if got := test.rules.Sentence(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
