package event

import (
	"slices"
	"strings"
	"testing"
)

// FuzzParse holds what whoever gets an Event relies on, and that an error never shows the whole body.
func FuzzParse(f *testing.F) {
	for _, name := range sampleNames(f) {
		d := sample(f, name)
		f.Add(d.Event, d.ContentType, d.Body)
	}
	f.Add(Push, typeJSON, []byte(`{"ref":"refs/heads/a","commits":[null],"head_commit":[]}`))
	f.Add(PullRequest, typeForm, []byte(`payload=%7B%22pull_request%22:null%7D`))
	f.Fuzz(func(t *testing.T, name, contentType string, body []byte) {
		e, err := Parse(Delivery{Event: name, ContentType: contentType, Body: body})
		if valid := Valid(contentType, body); valid != nil && err == nil {
			t.Errorf("Valid refuses what Parse takes: %v", valid)
		}
		if err != nil {
			if len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\x00\n\x1b") {
				t.Errorf("error %q", err)
			}
			return
		}
		if contentType == typeJSON && len(body) < 1<<16 {
			agree(t, body)
		}
		check(t, e)
	})
}

func check(t *testing.T, e Event) {
	t.Helper()
	e.eachText(func(text *string) {
		if strings.Contains(*text, "\x00") {
			t.Errorf("a NUL in %q", *text)
		}
	})
	if !slices.IsSorted(e.Files) || len(slices.Compact(slices.Clone(e.Files))) != len(e.Files) {
		t.Errorf("files %q", e.Files)
	}
	if e.Ignored != "" {
		return
	}
	switch {
	case !slices.Contains(Names(), e.Name):
		t.Errorf("%q is not ignored", e.Name)
	case strings.Count(e.Repo, "/") != 1:
		t.Errorf("repo %q", e.Repo)
	case e.SHA != "" && !objectID(e.SHA):
		t.Errorf("SHA %q", e.SHA)
	case e.Deleted && e.SHA != "":
		t.Errorf("deleted at %q", e.SHA)
	case e.Branch == "" && e.Tag == "", e.Branch != "" && e.Tag != "":
		t.Errorf("branch %q, tag %q", e.Branch, e.Tag)
	case e.Name != PullRequest && e.Ref != headsPrefix+e.Branch && e.Ref != tagsPrefix+e.Tag:
		t.Errorf("ref %q of branch %q, tag %q", e.Ref, e.Branch, e.Tag)
	}
}

// FuzzMakePush: what MakePush makes reads back to the same bytes.
func FuzzMakePush(f *testing.F) {
	f.Add("me/my-repo", "main", "", shaA, zero, "src/a.go", "fix", "someone", "1")
	f.Add("me/my-repo", "", "v1\xff", "", "", "", "\u2028<b>", "", "")
	f.Fuzz(func(t *testing.T, repo, branch, tag, sha, before, file, message, pusher, nonce string) {
		spec := PushSpec{Repo: repo, Branch: branch, Tag: tag, SHA: sha, Before: before, Message: message, Pusher: pusher, Nonce: nonce}
		if file != "" {
			spec.Files = []string{file}
		}
		body, err := MakePush(spec)
		if err != nil {
			return
		}
		e, err := Parse(Delivery{Event: Push, ContentType: typeJSON, Body: body})
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if !e.Deleted && (e.Branch == "" || e.SHA != sha) && (e.Tag == "" || e.SHA != sha) ||
			e.Repo != repo || e.Branch != branch || e.Tag != tag || e.After != sha || e.Before != before || e.Pusher != pusher ||
			!e.Deleted && e.Message != message || file != "" && e.Files[0] != file {
			t.Errorf("%+v came back as %+v", spec, e)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	large := Delivery{Event: Push, ContentType: typeJSON, Body: largePush(b)}
	for name, d := range map[string]Delivery{"push of 7 KB": sample(b, "push.json"), "form": sample(b, "push.form"),
		"pull request": sample(b, "pull_request-opened.json"), "push of 2,048 commits": large} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(d.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValid(b *testing.B) {
	d := sample(b, "push.json")
	b.SetBytes(int64(len(d.Body)))
	for b.Loop() {
		if err := Valid(d.ContentType, d.Body); err != nil {
			b.Fatal(err)
		}
	}
}

// largePush is the largest push that GitHub lists: 2,048 commits, some 1.4 MB.
func largePush(tb testing.TB) []byte {
	tb.Helper()
	body := string(sample(tb, "push.json").Body)
	_, rest, _ := strings.Cut(body, `"commits":[`)
	commit, _, _ := strings.Cut(rest, `],"head_commit"`)
	return []byte(strings.Replace(body, `"commits":[`, `"commits":[`+strings.Repeat(commit+",", 2047), 1))
}
