package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(name, body string) (Event, error) {
	return Parse(Delivery{Event: name, ContentType: typeJSON, Body: []byte(body)})
}

func TestParseErrors(t *testing.T) {
	const repo = `"repository":{"full_name":"me/r"}`
	pr := func(fields string) string {
		return `{"action":"opened","number":1,` + repo + `,"pull_request":{"head":{"ref":"a","sha":"` + shaA + `"},"base":{"ref":"b"}}` + fields + `}`
	}
	tests := []struct{ name, body, want string }{
		{Push, ``, `body is empty`},
		{Push, ` `, `body is not JSON: it ends at offset 1, want a value`},
		{Push, `null`, `body is a JSON null, want an object`},
		{Push, `[]`, `body is a JSON array, want an object`},
		{Push, `"x"`, `body is a JSON string, want an object`},
		{Push, `-1`, `body is a JSON number, want an object`},
		{Push, `true`, `body is a JSON boolean, want an object`},
		{Push, "\xef\xbb\xbf{}", `body is not JSON: byte 0xef at offset 0, want a value`},
		{Push, `{`, `body is not JSON: it ends at offset 1, want a key`},
		{Push, `{a:1}`, `body is not JSON: 'a' at offset 1, want a key`},
		{Push, `{"a" 1}`, `body is not JSON: '1' at offset 5, want ":"`},
		{Push, `{"a":1 "b"}`, `body is not JSON: '"' at offset 7, want "," or "}"`},
		{Push, `{"a":[1 2]}`, `body is not JSON: '2' at offset 8, want "," or "]"`},
		{Push, `{"a":[1,]}`, `body is not JSON: ']' at offset 8, want a value`},
		{Push, `{"a":01}`, `body is not JSON: '1' at offset 6, want "," or "}"`},
		{Push, `{"a":1.}`, `body is not JSON: '}' at offset 7, want a digit`},
		{Push, `{"a":-}`, `body is not JSON: '}' at offset 6, want a digit`},
		{Push, `{"a":tru}`, `body is not JSON: '}' at offset 8, want true`},
		{Push, `{"a":"x`, `body is not JSON: it ends at offset 7, want "\""`},
		{Push, "{\"a\":\"x\n\"}", `body is not JSON: byte 0x0a at offset 7, want text without control characters`},
		{Push, `{"a":"\x"}`, `body is not JSON: 'x' at offset 7, want an escape sequence`},
		{Push, `{"a":"\u12g4"}`, `body is not JSON: 'g' at offset 10, want a hex digit`},
		{Push, `{} {}`, `body goes on after its JSON object, at offset 3`},
		{Push, `{"a":` + strings.Repeat("[", 100), `body nests deeper than 100 levels, at offset 104`},
		{Push, `{"ref":"refs/heads/a","ref":"refs/heads/b"}`, `push: "ref" stands twice`},
		{Push, `{"repository":{"full_name":"a/b","full_\u006eame":"c/d"}}`, `push: "repository.full_name" stands twice`},
		{Push, `{"ref":1}`, `push: "ref" is a number, want a string`},
		{Push, `{"ref":{"x":[1,2,3]}}`, `push: "ref" is an object, want a string`},
		{Push, `{"created":"yes"}`, `push: "created" is a string, want a boolean`},
		{Push, `{"commits":{"x":1}}`, `push: "commits" is an object, want an array`},
		{Push, `{"commits":[{"added":[true]}]}`, `push: "commits.added" is a boolean, want a string`},
		{Push, `{"head_commit":[]}`, `push: "head_commit" is an array, want an object`},
		{Push, `{"total_commits":1.5}`, `push: "total_commits" is the number 1.5, want a whole number`},
		{Push, `{}`, `push: "ref" is missing`},
		{Push, `{"Ref":"refs/heads/a"}`, `push: "ref" is missing`},
		{Push, `{"ref":null}`, `push: "ref" is missing`},
		{Push, `{"ref":"refs/heads/a"}`, `push: "repository.full_name" is missing`},
		{Push, `{"ref":"refs/heads/a","repository":null}`, `push: "repository.full_name" is missing`},
		{Push, `{"ref":"refs/heads/a","repository":{"full_name":"r"}}`, `push: repository "r" is not owner/repo of letters, digits, ".", "_" and "-"`},
		{Push, `{"ref":"refs/heads/a","repository":{"full_name":"a/b/c"}}`, `push: repository "a/b/c" is not owner/repo of letters, digits, ".", "_" and "-"`},
		{Push, `{"ref":"refs/heads/a","repository":{"full_name":"../.."}}`, `push: repository "../.." is not owner/repo of letters, digits, ".", "_" and "-"`},
		{Push, `{"ref":"refs/heads/a","repository":{"full_name":"a/b\u001b"}}`, `push: repository "a/b\x1b" is not owner/repo of letters, digits, ".", "_" and "-"`},
		{Push, `{"ref":"refs/heads/a","repository":{"full_name":"` + strings.Repeat("ab/", 100) + `"}}`,
			`push: repository is 300 bytes long, at most 255 are allowed: "` + strings.Repeat("ab/", 32) + `a…"`},
		{Push, `{"ref":"refs/heads/",` + repo + `}`, `push: ref "refs/heads/" has no name after its last slash`},
		{Push, `{"ref":"refs/tags/",` + repo + `}`, `push: ref "refs/tags/" has no name after its last slash`},
		{Push, `{"ref":"refs/heads/a\nb",` + repo + `}`, `push: ref "refs/heads/a\nb" holds a control character, which git does not allow`},
		{Push, `{"ref":"refs/heads/` + strings.Repeat("x", 4090) + `",` + repo + `}`,
			`push: ref is 4101 bytes long, at most 4096 are allowed: "refs/heads/` + strings.Repeat("x", 86) + `…"`},
		{Push, `{"ref":"refs/heads/a\u0000b",` + repo + `}`, `push: a name or a text holds a NUL character`},
		{Push, `{"ref":"refs/heads/a",` + repo + `,"commits":[{"added":["\u0000"]}]}`, `push: a name or a text holds a NUL character`},
		{Push, `{"ref":"refs/heads/a",` + repo + `,"after":"HEAD"}`, `push: commit "HEAD" is not 40 or 64 hex digits`},
		{Push, `{"ref":"refs/tags/a",` + repo + `,"after":"HEAD"}`, `push: after "HEAD" is not 40 or 64 hex digits`},
		{Push, `{"ref":"refs/heads/a",` + repo + `,"before":"` + shaA[:39] + `"}`, `push: before "` + shaA[:39] + `" is not 40 or 64 hex digits`},
		{Push, `{"ref":"refs/heads/a",` + repo + `,"head_commit":{"id":"` + shaA[:39] + `g"}}`, `push: commit "` + shaA[:39] + `g" is not 40 or 64 hex digits`},
		{Push, `{"ref":"refs/heads/a",` + repo + `,"pusher":{"name":"` + strings.Repeat("p", 1001) + `"}}`,
			`push: pusher is 1001 bytes long, at most 1000 are allowed: "` + strings.Repeat("p", 97) + `…"`},
		{PullRequest, `{}`, `pull_request: "action" is missing`},
		{PullRequest, `{"action":"opened","pull_request":null}`, `pull_request: "pull_request.head.ref" is missing`},
		{PullRequest, `{"action":"opened","pull_request":{"head":{"ref":"a"}}}`, `pull_request: "pull_request.head.sha" is missing`},
		{PullRequest, strings.Replace(pr(""), `"base":{"ref":"b"}`, `"base":null`, 1), `pull_request: "pull_request.base.ref" is missing`},
		{PullRequest, strings.Replace(pr(""), `"number":1,`, ``, 1), `pull_request: "number" is missing`},
		{PullRequest, strings.Replace(pr(""), `"number":1,`, `"number":"1",`, 1), `pull_request: "number" is a string, want a whole number`},
		{PullRequest, strings.Replace(pr(""), `{"ref":"b"}`, `{"ref":"b\u007f"}`, 1), `pull_request: base branch "b\x7f" holds a control character, which git does not allow`},
		{Create, `{}`, `create: "ref_type" is missing`},
		{Delete, `{"ref_type":"branch"}`, `delete: "ref" is missing`},
		{Create, `{"ref_type":"tag","ref":"v1"}`, `create: "repository.full_name" is missing`},
		{Release, `{"release":{"tag_name":"v1"}}`, `release: "action" is missing`},
		{Release, `{"action":"published","release":null}`, `release: "release.tag_name" is missing`},
		{"", `{}`, `the delivery has no event name (X-GitHub-Event)`},
		{"issues", `[`, `body is a JSON array, want an object`},
	}
	for _, test := range tests {
		e, err := parse(test.name, test.body)
		if err == nil || err.Error() != test.want {
			t.Errorf("%.100s\ngot  %v\nwant %s", test.body, err, test.want)
		}
		if diff := cmp.Diff(Event{}, e); diff != "" {
			t.Errorf("an event came with an error: %s", diff)
		}
	}
}

func TestContentTypes(t *testing.T) {
	const body = `{"ref":"refs/heads/a+b","repository":{"full_name":"me/r"}}`
	form := "payload=" + url.QueryEscape(body)
	tests := []struct{ contentType, body, want string }{
		{"application/json", body, ""},
		{"Application/JSON; charset=utf-8", body, ""},
		{"application/x-www-form-urlencoded", form, ""},
		{"application/x-www-form-urlencoded", "x=1&" + form + "&y", ""},
		{"text/plain", body, `content type "text/plain" is neither application/json nor application/x-www-form-urlencoded`},
		{"", body, `content type "" is neither application/json nor application/x-www-form-urlencoded`},
		{"application/x-www-form-urlencoded", body, `body is a form without the field "payload"`},
		{"application/x-www-form-urlencoded", form + "&" + form, `body is a form with 2 fields "payload", want one`},
		{"application/x-www-form-urlencoded", "payload=%7", `body is not a form: its percent-encoding is broken`},
		{"application/x-www-form-urlencoded", "payload=null", `body is a JSON null, want an object`},
		{"application/json", form, `body is not JSON: 'p' at offset 0, want a value`},
	}
	for _, test := range tests {
		d := Delivery{Event: Push, ContentType: test.contentType, Body: []byte(test.body)}
		e, err := Parse(d)
		valid := Valid(d.ContentType, d.Body)
		for _, err := range []error{err, valid} {
			if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
				t.Errorf("%s, %s\ngot  %v\nwant %s", test.contentType, test.body, err, test.want)
			}
		}
		if err == nil && e.Branch != "a+b" {
			t.Errorf("branch %q", e.Branch)
		}
	}
}

func TestTooLargeABody(t *testing.T) {
	d := Delivery{Event: Push, ContentType: typeJSON, Body: make([]byte, MaxPayload+1)}
	const want = "body is 26214401 bytes long, at most 26214400 are read"
	if _, err := Parse(d); err == nil || err.Error() != want {
		t.Error(err)
	}
	if err := Valid(d.ContentType, d.Body); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// TestWhatDoesNotCount: members that nobody reads may hold what they like, and keys in other letters are others.
func TestWhatDoesNotCount(t *testing.T) {
	plain := `{"ref":"refs/heads/a","repository":{"full_name":"me/r"},"after":"` + shaA + `"}`
	odd := `{"REF":"refs/heads/b","repository":{"full_name":"me/r","Full_Name":"x/y","custom_properties":{"a":["b"]},"id":3,"created_at":{}},
	"After":1,"r\u0065f":"refs/heads/a","after":"` + shaA + `","sender":{"id":"x"},"organization":7,"organization":8,"commits":null,"head_commit":null}`
	want, err := parse(Push, plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(Push, odd)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
}

func TestUnknownEventsAreNoErrors(t *testing.T) {
	const list = ": a listener can ask for push, pull_request, create, delete, release"
	tests := []struct {
		name, body string
		want       Event
	}{
		{"workflow_run", `{}`, Event{Name: "workflow_run", Ignored: "nothing runs on workflow_run" + list}},
		{"x\x1b", `{"action":1,"repository":"x","sender":[]}`, Event{Name: "x\x1b", Ignored: `nothing runs on x\x1b` + list}},
		{"star", `{"action":"a","action":"b","repository":{"full_name":"not one"}}`, Event{Name: "star", Action: "a", Ignored: "nothing runs on star" + list}},
		{Push, `{"ref":"refs/` + "\xff" + `","repository":{"full_name":"me/r"}}`,
			Event{Name: Push, Repo: "me/r", Ref: "refs/\xff", Ignored: `ref refs/\xff is neither a branch nor a tag`}},
		{"star", `{"action":"a\u0000"}`, Event{Name: "star", Ignored: "nothing runs on star" + list}},
		{Ping, `{}`, Event{Name: Ping, Ignored: "a ping runs nothing"}},
		{Create, `{"ref_type":"repository","ref":null,"repository":{"full_name":"me/r"}}`,
			Event{Name: Create, Repo: "me/r", Created: true, Ignored: "repository is neither a branch nor a tag"}},
	}
	for _, test := range tests {
		got, err := parse(test.name, test.body)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: err %v (-want +got):\n%s", test.body, err, diff)
		}
	}
}

// TestListsThatWereCut: nothing says that GitHub cut a list, but its length.
func TestListsThatWereCut(t *testing.T) {
	file := func(i int) string { return fmt.Sprintf(`"f%d"`, i) }
	files := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, file(i))
		}
		return strings.Join(all, ",")
	}
	body := func(commits ...string) string {
		return `{"ref":"refs/heads/a","repository":{"full_name":"me/r"},"after":"` + shaA + `","commits":[` + strings.Join(commits, ",") + `]}`
	}
	commit := func(added, removed, modified string) string {
		return fmt.Sprintf(`{"added":%s,"removed":%s,"modified":%s}`, added, removed, modified)
	}
	small := commit(`["a"]`, `[]`, `[]`)
	tests := map[string]struct {
		body  string
		known bool
	}{
		"2,999 files":    {body(commit("["+files(2000)+"]", "["+files(999)+"]", "[]")), true},
		"3,000 files":    {body(commit("["+files(2000)+"]", "["+files(999)+"]", `["x"]`)), false},
		"2,047 commits":  {body(slices.Repeat([]string{small}, 2047)...), true},
		"2,048 commits":  {body(slices.Repeat([]string{small}, 2048)...), false},
		"no list":        {body(small, `{}`), false},
		"one is missing": {body(small, `{"added":["b"],"removed":[]}`), false},
		"one is null":    {body(small, commit(`null`, `[]`, `[]`)), false},
		"null commit":    {body(small, `null`), false},
		"empty commit":   {body(commit(`[]`, `[]`, `[]`)), true},
		"no commits":     {body(), false},
	}
	for name, test := range tests {
		e, err := parse(Push, test.body)
		if err != nil || e.FilesKnown != test.known {
			t.Errorf("%s: known %v, err %v", name, e.FilesKnown, err)
		}
	}
}

func TestForks(t *testing.T) {
	body := func(head, base, repo string) string {
		return `{"action":"opened","number":1,"repository":{"full_name":"me/r"` + repo + `},"pull_request":{"head":{"ref":"a","sha":"` + shaA +
			`"` + head + `},"base":{"ref":"b"` + base + `}}}`
	}
	tests := []struct {
		head, base, repo string
		want             bool
	}{
		{`,"repo":{"id":1}`, `,"repo":{"id":1}`, ``, false},
		{`,"repo":{"id":2}`, `,"repo":{"id":1}`, ``, true},
		{`,"repo":null`, `,"repo":{"id":1}`, ``, true},
		{``, ``, ``, true},
		{`,"repo":{"id":1}`, ``, `,"id":1`, false},
		{`,"repo":{"id":1}`, ``, ``, true},
	}
	for _, test := range tests {
		e, err := parse(PullRequest, body(test.head, test.base, test.repo))
		if err != nil || e.Fork != test.want {
			t.Errorf("head%s, base%s, repository%s: fork %v, err %v", test.head, test.base, test.repo, e.Fork, err)
		}
	}
}

// TestBytesThatAreNotUTF8 come through, also beside the marks that carry them.
func TestBytesThatAreNotUTF8(t *testing.T) {
	tests := []struct{ inJSON, want string }{
		{"\xff", "\xff"},
		{"a\xc3", "a\xc3"},
		{"\xed\xa0\x80", "\xed\xa0\x80"},
		{"\uFDD0\xff", "\uFDD0\xff"},
		{"\uFDD0ff\xff\uFDD1", "\uFDD0ff\xff\uFDD1"},
		{`\ufdd0` + "\xfe", "\uFDD0\xfe"},
		{`\uFDD0` + "\xfe\xfd", "\uFDD0\xfe\xfd"},
		{`\uFDD0ab` + "\xfe", "\uFDD0ab\xfe"},
		{`\\\u00e9` + "\xe9é\uFFFD", `\é` + "\xe9é\uFFFD"},
	}
	for _, test := range tests {
		e, err := parse(Push, `{"ref":"refs/heads/`+test.inJSON+`","repository":{"full_name":"me/r"},"commits":[{"added":["`+test.inJSON+`"]}]}`)
		if err != nil || e.Branch != test.want || e.Files[0] != test.want {
			t.Errorf("%q became branch %q, files %q, err %v; want %q", test.inJSON, e.Branch, e.Files, err, test.want)
		}
	}
	var all []byte
	for mark := rune(firstMark); mark <= lastMark; mark++ {
		all = append(all, string(mark)...)
	}
	const want = "body is not UTF-8 and uses all of U+FDD0 to U+FDEF"
	if _, err := parse(Push, `{"ref":"`+string(all)+"\xff"+`"}`); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWebPage(t *testing.T) {
	for address, want := range map[string]bool{
		"https://github.com/a/b/compare/x...y": true, "http://gitea.example.com/": true,
		"": false, "javascript:alert(1)": false, "https://": false, "//x/y": false, "https://a:b@c/": false, "https://a\n/": false,
		"https://" + strings.Repeat("x", maxURL): false,
	} {
		if got := webPage(address); (got == address && got != "") != want || !want && got != "" {
			t.Errorf("%.50q: got %.50q", address, got)
		}
	}
}

func TestShown(t *testing.T) {
	tests := []struct {
		text string
		max  int
		want string
	}{
		{"main", 10, "main"},
		{"", 10, ""},
		{"a\nb\x1b[31m\x00", 30, `a\nb\x1b[31m\x00`},
		{"\u202eabc\u009b\u2028", 30, `\u202eabc\u009b\u2028`},
		{"\xff\xfe", 30, `\xff\xfe`},
		{"héé", 30, "héé"},
		{"0123456789", 10, "0123456789"},
		{"0123456789x", 10, "0123456…"},
		{"012345é789", 10, "012345…"},
		{strings.Repeat("\n", 6), 10, `\n\n\n…`},
		{"\uFFFD", 10, "\uFFFD"},
	}
	for _, test := range tests {
		if got := Shown(test.text, test.max); got != test.want {
			t.Errorf("%q: got %s, want %s", test.text, got, test.want)
		}
	}
}

// TestScannerAgreesWithEncodingJSON about what JSON is.
func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	whole := sample(t, "push.json").Body
	for i := 0; i < len(whole); i += 29 {
		agree(t, whole[:i])
		agree(t, append(bytes.Clone(whole[:i]), whole[min(i+1, len(whole)):]...))
	}
}

// agree compares the scanner with encoding/json, which takes more than objects and nests deeper.
func agree(t *testing.T, text []byte) {
	t.Helper()
	var object map[string]json.RawMessage
	want := json.Unmarshal(text, &object) == nil && object != nil
	s := scanner{in: text}
	out, err := s.document(pushFields)
	if (err == nil) != want && (err == nil || !strings.Contains(err.Error(), "nests deeper") && !strings.Contains(err.Error(), "lists more")) {
		t.Errorf("%.300q: err %v, encoding/json takes it: %v", text, err, want)
	}
	if err == nil && !json.Valid(out) {
		t.Errorf("%.300q: what was kept is not JSON: %.300q", text, out)
	}
}
