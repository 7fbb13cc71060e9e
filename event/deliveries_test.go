package event

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const samples = "../testdata/deliveries"

// sample reads a body of testdata/deliveries; its README says how names tell event and content type.
func sample(tb testing.TB, name string) Delivery {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		tb.Fatal(err)
	}
	d := Delivery{ContentType: typeJSON, Body: body}
	if strings.HasSuffix(name, ".form") {
		d.ContentType = typeForm
	}
	d.Event, _, _ = strings.Cut(name, ".")
	d.Event, _, _ = strings.Cut(d.Event, "-")
	return d
}

// The ids that the samples use.
const (
	one     = "fe05bcdcdc4928012781a5f1a2a77cbb5398e106"
	two     = "ad782ecdac770fc6eb9a62e44f90873fb97fb26b"
	three   = "b802f384302cb24fbab0a44997e820bf2e8507bb"
	tagObj  = "415f0fe19774ea3cce6e9878cbca8d83f4ad8172"
	one256  = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
	two256  = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"
	tag256  = "6d78c8c87678196d6ccfe7ce628822d6b0385427aac572398b7c3d89840382dd"
	hello   = "https://github.com/Octocoders/Hello-World"
	message = "Say hello in the greeter\n\nIt said goodbye until now."
)

// pushed is the push that most samples vary.
func pushed(change func(*Event)) Event {
	e := Event{
		Name: Push, Repo: "Octocoders/Hello-World", Ref: "refs/heads/main", Branch: "main", SHA: two, Before: one, After: two,
		Files:      []string{"README.md", "greeter/goodbye.go", "greeter/hello.go", "greeter/hello_test.go"},
		FilesKnown: true, Message: message, Author: "Codertocat", Pusher: "Codertocat", URL: hello + "/compare/fe05bcdcdc49...ad782ecdac77",
	}
	change(&e)
	return e
}

func toBranch(branch string) func(*Event) {
	return func(e *Event) { e.Ref, e.Branch = headsPrefix+branch, branch }
}

// newTag is a tag's push; after is what the ref then holds.
func newTag(tag, after string) Event {
	return pushed(func(e *Event) {
		e.Ref, e.Branch, e.Tag, e.Before, e.After, e.Created = tagsPrefix+tag, "", tag, zero, after, true
		e.Files, e.FilesKnown, e.URL = nil, false, hello+"/compare/"+tag
	})
}

func gone(ref, branch, tag string) Event {
	return pushed(func(e *Event) {
		e.Ref, e.Branch, e.Tag, e.Before, e.After, e.SHA, e.Deleted = ref, branch, tag, two, zero, "", true
		e.Files, e.FilesKnown, e.Message, e.Author, e.URL = nil, false, "", "", hello+"/compare/ad782ecdac77...000000000000"
	})
}

func pulled(action string, change func(*Event)) Event {
	e := Event{
		Name: PullRequest, Action: action, Repo: "Octocoders/Hello-World", Ref: "refs/pull/7/head", Branch: "topic/hello", Base: "main",
		SHA: two, After: two, PR: 7, Message: "Say hello in the greeter", Author: "Codertocat", Pusher: "Codertocat", URL: hello + "/pull/7",
	}
	change(&e)
	return e
}

func refEvent(name, ref, branch, tag string) Event {
	return Event{Name: name, Repo: "Octocoders/Hello-World", Ref: ref, Branch: branch, Tag: tag, Created: name == Create,
		Deleted: name == Delete, Pusher: "Codertocat", URL: hello}
}

func fromGitea(change func(*Event)) Event {
	return pushed(func(e *Event) {
		e.Repo, e.Files, e.Message, e.URL = "octocat/hello-world", []string{"README.md", "hello.go"}, "Say hello\n", "https://gitea.example.com/octocat/hello-world/compare/"+one+"..."+two
		e.Author, e.Pusher = "octocat", "octocat"
		change(e)
	})
}

func TestSampleDeliveries(t *testing.T) {
	same := func(*Event) {}
	unknown := func(e *Event) { e.FilesKnown = false }
	release := Event{Name: Release, Action: "published", Repo: "Octocoders/Hello-World", Ref: "refs/tags/v1.2.0", Tag: "v1.2.0",
		Message: "Hello 1.2", Author: "Codertocat", Pusher: "Codertocat", URL: hello + "/releases/tag/v1.2.0"}
	releaseOfCommit := release
	releaseOfCommit.SHA = two
	standard := pushed(func(e *Event) {
		e.Repo, e.URL = "Codertocat/Hello-World", "https://github.com/Codertocat/Hello-World/compare/fe05bcdcdc49...ad782ecdac77"
	})

	want := map[string]Event{
		"push.json":                     standard,
		"push.form":                     standard,
		"push-organization.json":        pushed(func(e *Event) { e.Files = append([]string{"README.md", "docs/usage.md"}, e.Files[1:]...) }),
		"push-branch-with-slashes.json": pushed(toBranch("release/1.2/hotfix")),
		"push-tag.json":                 newTag("v1.2.0", two),
		"push-annotated-tag.json":       newTag("v1.3.0", tagObj),
		"push-delete.json":              gone("refs/heads/topic/old", "topic/old", ""),
		"push-delete-tag.json":          gone("refs/tags/v0.9", "", "v0.9"),
		"push-new-branch.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.Before, e.Created = "refs/heads/topic/new", "topic/new", zero, true
			e.Files, e.FilesKnown, e.URL = nil, false, hello+"/compare/topic/new"
		}),
		"push-new-branch-with-commits.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.Before, e.Created, e.URL = "refs/heads/topic/new", "topic/new", zero, true, hello+"/commit/ad782ecdac77"
		}),
		"push-forced.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.Before, e.Forced, e.FilesKnown = "refs/heads/topic/rewritten", "topic/rewritten", three, true, false
			e.URL = hello + "/compare/b802f384302c...ad782ecdac77"
		}),
		"push-sha256.json": pushed(func(e *Event) {
			e.SHA, e.Before, e.After, e.Files, e.Message = two256, one256, two256, []string{"a.txt"}, "Use SHA-256"
			e.URL = hello + "/compare/7692c3ad3540...3fc4ccfe7458"
		}),
		"push-sha256-new-tag.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.Tag, e.Created = "refs/tags/v1", "", "v1", true
			e.SHA, e.Before, e.After, e.Files, e.FilesKnown, e.Message = two256, zero2, tag256, nil, false, "Use SHA-256"
			e.URL = hello + "/compare/000000000000...6d78c8c87678"
		}),
		"push-odd-branch.json": pushed(toBranch("$(id)`id`;a'b<script>@here<@&123>--upload-pack=x\u202e\u009b")),
		"push-branch-not-utf8.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.Files, e.Message = "refs/heads/caf\xe9", "caf\xe9", []string{"caf\xe9.txt"}, "Latin-1"
		}),
		"push-ref-refs-heads.json": pushed(toBranch("refs/heads/main")),
		"push-notes.json": pushed(func(e *Event) {
			e.Ref, e.Branch, e.FilesKnown, e.Ignored = "refs/notes/commits", "", false, "ref refs/notes/commits is neither a branch nor a tag"
		}),
		"push-skip-ci.json":            pushed(func(e *Event) { e.Files, e.Message = []string{"README.md"}, "Fix a typo [skip ci]" }),
		"push-custom-properties.json":  pushed(same),
		"push-missing-file-lists.json": pushed(unknown),
		"push-null-objects.json":       pushed(func(e *Event) { e.FilesKnown, e.Author, e.Pusher = false, "", "" }),

		"pull_request-opened.json":      pulled("opened", same),
		"pull_request-synchronize.json": pulled("synchronize", func(e *Event) { e.Before = three }),
		"pull_request-closed.json":      pulled("closed", same),
		"pull_request-labeled.json":     pulled("labeled", same),
		"pull_request-from-fork.json": pulled("opened", func(e *Event) {
			e.Fork, e.Author, e.Pusher = true, "octocat", "octocat"
		}),
		"pull_request-head-repo-gone.json": pulled("synchronize", func(e *Event) {
			e.Fork, e.Before, e.Author, e.Pusher = true, three, "octocat", "octocat"
		}),
		"pull_request-in-a-fork.json": pulled("opened", same),

		"create-branch.json":       refEvent(Create, "refs/heads/topic/new", "topic/new", ""),
		"create-tag.json":          refEvent(Create, "refs/tags/v1.2.0", "", "v1.2.0"),
		"delete-branch.json":       refEvent(Delete, "refs/heads/topic/old", "topic/old", ""),
		"delete-tag.json":          refEvent(Delete, "refs/tags/v0.9", "", "v0.9"),
		"release-published.json":   release,
		"release-of-a-commit.json": releaseOfCommit,
		"ping.json":                {Name: Ping, Repo: "Octocoders/Hello-World", Pusher: "Codertocat", Ignored: "a ping runs nothing"},
		"ping-organization.json":   {Name: Ping, Pusher: "Codertocat", Ignored: "a ping runs nothing"},
		"issues-opened.json": {Name: "issues", Action: "opened", Repo: "Octocoders/Hello-World", Pusher: "Codertocat",
			Ignored: "nothing runs on issues: a listener can ask for push, pull_request, create, delete, release"},

		"push-gitea.json":     fromGitea(same),
		"push-gitea-cut.json": fromGitea(unknown),
		"push-gitea-new-branch.json": fromGitea(func(e *Event) {
			e.Ref, e.Branch, e.Before, e.Created, e.Files, e.FilesKnown = "refs/heads/topic/new", "topic/new", zero, true, nil, false
		}),
		"push-gitea-delete.json": fromGitea(func(e *Event) {
			e.Ref, e.Branch, e.Before, e.After, e.SHA, e.Deleted = "refs/heads/topic/old", "topic/old", two, zero, "", true
			e.Files, e.FilesKnown, e.Message, e.Author = nil, false, "", ""
		}),
		"pull_request-gitea-synchronized.json": pulled("synchronize", func(e *Event) {
			e.Repo, e.Ref, e.PR, e.Message, e.URL = "octocat/hello-world", "refs/pull/2/head", 2, "Say hello", "https://gitea.example.com/octocat/hello-world/pulls/2"
			e.Author, e.Pusher = "octocat", "octocat"
		}),
	}
	for _, name := range sampleNames(t) {
		t.Run(name, func(t *testing.T) {
			d := sample(t, name)
			if err := Valid(d.ContentType, d.Body); err != nil {
				t.Errorf("Valid: %v", err)
			}
			got, err := Parse(d)
			if err != nil {
				t.Fatal(err)
			}
			if _, told := want[name]; !told {
				t.Fatalf("no event is told for %s; it reads as %+v", name, got)
			}
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	if n := len(sampleNames(t)); n != len(want) {
		t.Errorf("%d samples, %d events are told", n, len(want))
	}
}

func sampleNames(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(samples)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != "README.md" {
			names = append(names, entry.Name())
		}
	}
	return names
}
