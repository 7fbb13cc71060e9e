package match

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"lightspeed/event"
)

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		rules      Rules
		want, hint string
	}{
		{Rules{}, `name: "" is empty`, ""},
		{Rules{Name: "a/b/c"}, `name: "a/b/c" is not a listener's name: letters, digits, ".", "_" and "-", beginning with a letter or digit, at most 64, and at most one "/" between two such parts`, ""},
		{Rules{Name: "a", Repos: []string{"me/x", "my-repo"}}, `repos: "my-repo" has no slash, but is compared with owner/repo: it would never match`, `did you mean "*/my-repo"?`},
		{Rules{Name: "a", Repos: []string{"me/{a,b}"}}, `repos: "me/{a,b}" uses braces, which are not supported: list the patterns one by one`, ""},
		{Rules{Name: "a", Repos: []string{"!me/x"}}, `repos: "!me/x" only excludes, as the whole list does: nothing would ever match`, `put "**" first, to exclude from everything`},
		{Rules{Name: "a", Events: []string{"issues"}}, `events: "issues" is not an event that a listener can ask for: push, pull_request, create, delete, release`, ""},
		{Rules{Name: "a", Events: []string{"pull-request"}}, `events: "pull-request" is not an event that a listener can ask for: push, pull_request, create, delete, release`, `did you mean "pull_request"?`},
		{Rules{Name: "a", Events: []string{"push:opened"}}, `events: "push:opened" names an action, but push has none`, ""},
		{Rules{Name: "a", Events: []string{"release:publish"}}, `events: "release:publish" is not an action of release: created, deleted, edited, prereleased, published, released, unpublished, updated`, `did you mean "published"?`},
		{Rules{Name: "a", Events: []string{"release:"}}, `events: "release:" is not an action of release: created, deleted, edited, prereleased, published, released, unpublished, updated`, ""},
		{Rules{Name: "a", Branches: []string{"!x", "!y"}}, `branches: "!x" only excludes, as the whole list does: nothing would ever match`, `put "**" first, to exclude from everything`},
		{Rules{Name: "a", Tags: []string{"v["}}, `tags: "v[" has a bracket at offset 1 that is not closed`, ""},
		{Rules{Name: "a", Files: []string{"+"}}, `files: "+" has a "+" at offset 0 with no character before it`, ""},
		{Rules{Name: "a", BranchFilter: []string{""}}, `branch_filter: "" is empty`, ""},
		{Rules{Name: "a", FilesFilter: []string{"x", ""}}, `files_filter: "" is empty`, ""},
		{Rules{Name: "a", FilesFilter: []string{strings.Repeat("x", 1025)}}, `files_filter: "` + strings.Repeat("x", 197) + `…" is 1025 bytes long, at most 1024 are allowed`, ""},
		{Rules{Name: "a", Files: make([]string, 1001)}, `files: "" is one of 1001 values, at most 1000 are allowed`, ""},
		{Rules{Name: "a", Message: &Message{Match: "a(b"}}, "message.match: \"a(b\" is not an RE2 expression: missing closing ): `a(b`", ""},
		{Rules{Name: "a", Message: &Message{Skip: "(?=x)"}}, "message.skip: \"(?=x)\" is not an RE2 expression: invalid or unsupported Perl syntax: `(?=`", ""},
		{Rules{Name: "a", Forks: "sometimes"}, `forks: "sometimes" is neither "never" nor "always"`, ""},
	}
	for _, test := range tests {
		_, err := Compile(test.rules)
		var wrong *RuleError
		if !errors.As(err, &wrong) || err.Error() != test.want || wrong.Hint != test.hint {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}

func TestRuleErrorSaysWhichValue(t *testing.T) {
	var wrong *RuleError
	if _, err := Compile(Rules{Name: "a", Tags: []string{"v1", "v2", "["}}); !errors.As(err, &wrong) || wrong.Key != "tags" || wrong.Index != 2 || wrong.Value != "[" {
		t.Errorf("%+v", wrong)
	}
	if _, err := Compile(Rules{Name: "a", Forks: "x"}); !errors.As(err, &wrong) || wrong.Key != "forks" || wrong.Index != -1 {
		t.Errorf("%+v", wrong)
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "my-repo.x_y": true, "owner/repo": true, strings.Repeat("a", 64): true,
		"": false, "-a": false, ".": false, "..": false, "a/": false, "/a": false, "a/..": false, "a/b/c": false,
		"a b": false, "a\n": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		if err := CheckName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`{"name":"my-repo"}`)
	f.Add(`{"name":"a","repos":["me/*","!me/x"],"events":["push","pull_request:closed"],"branches":["**","!x"],"tags":["v[0-9]+"],"files":["**.go"]}`)
	f.Add(`{"name":"a","message":{"match":"a(b|c)*","skip":"[[:alpha:]]{3}"},"files_filter":["x"],"branch_filter":["main"],"forks":"always","deletes":true}`)
	f.Add(`{"name":"a","branches":["[","a?+"]}`)
	events := []event.Event{pushTo("main", "src/a.go", "b.md"), pushTo("a/b"), tagged("v1"), pullRequest("closed", "main"), {Name: "issues", Ignored: "x"}, {}}
	f.Fuzz(func(t *testing.T, text string) {
		var r Rules
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		if sentence := r.Sentence(); sentence == "" || len(sentence) > maxSentence {
			t.Errorf("sentence of %d bytes", len(sentence))
		}
		m, err := Compile(r)
		if err != nil {
			var wrong *RuleError
			if !errors.As(err, &wrong) || wrong.Key == "" || wrong.Problem == "" || len(err.Error()) > 1000 {
				t.Errorf("error %q", err)
			}
			return
		}
		var set Set
		set.Put(r.Name, m)
		for _, e := range events {
			alone, together := m.Match(e), set.Explain(e)
			if len(together) != 1 || together[0].Decision != alone || alone.Matched == (alone.Why != "") {
				t.Errorf("alone %+v, in a set %+v", alone, together)
			}
		}
	})
}
