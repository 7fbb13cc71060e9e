package match

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/event"
)

func put(t *testing.T, s *Set, r Rules) {
	t.Helper()
	m, err := Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(r.Name, m)
}

func TestSetDecides(t *testing.T) {
	var s Set
	put(t, &s, Rules{Name: "z", Repos: []string{"me/*"}})
	put(t, &s, Rules{Name: "my-repo-tests", Branches: []string{"main"}})
	put(t, &s, Rules{Name: "my-repo-deploy", Branches: []string{"release/**"}})
	put(t, &s, Rules{Name: "docs", Repos: []string{"*/my-repo"}, Files: []string{"docs/**"}})
	put(t, &s, Rules{Name: "other"})
	push := pushTo("main", "src/a.go")

	deploy := Judged{"my-repo-deploy", Decision{Rule: "branches", Saw: "main", Want: "release/**", Why: "branches: saw main, want release/**"}}
	docs := Judged{"docs", Decision{Rule: "files", Saw: "src/a.go", Want: "docs/**", Why: "files: saw src/a.go, want docs/**"}}
	want := Verdict{Matched: []string{"my-repo-tests", "z"}, Skipped: []Judged{docs, deploy}, Others: 1}
	if diff := cmp.Diff(want, s.Decide(push)); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}

	other := Judged{"other", Decision{Rule: "name", Saw: "me/my-repo", Want: "a repository that the name other fits",
		Why: "name: saw me/my-repo, want a repository that the name other fits"}}
	all := []Judged{docs, deploy, {"my-repo-tests", Decision{Matched: true}}, other, {"z", Decision{Matched: true}}}
	if diff := cmp.Diff(all, s.Explain(push)); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}

	put(t, &s, Rules{Name: "my-repo"})
	if v := s.Decide(push); len(v.Matched) != 3 {
		t.Errorf("a new listener is not seen: %+v", v)
	}
	s.Remove("my-repo")
	put(t, &s, Rules{Name: "z", Repos: []string{"you/*"}})
	s.Remove("docs")
	s.Remove("docs")
	want = Verdict{Matched: []string{"my-repo-tests"}, Skipped: []Judged{deploy}, Others: 2}
	if diff := cmp.Diff(want, s.Decide(push)); diff != "" || s.Len() != 4 {
		t.Errorf("after a change, %d listeners (-want +got):\n%s", s.Len(), diff)
	}
}

func TestSetIsEmptyAtFirst(t *testing.T) {
	var s Set
	s.Remove("nobody")
	if diff := cmp.Diff(Verdict{}, s.Decide(pushTo("main"))); diff != "" || s.Len() != 0 {
		t.Error(diff)
	}
}

// TestSetSharesPatterns: equal patterns are compiled and asked once, and forgotten with their last user.
func TestSetSharesPatterns(t *testing.T) {
	var s Set
	for i := range 50 {
		put(t, &s, Rules{Name: fmt.Sprintf("l%d", i), Repos: []string{"me/*"}, Files: []string{"src/**", "!**.md"}, Branches: []string{"src/**"},
			Message: &Message{Match: "x", Skip: "y"}})
	}
	put(t, &s, Rules{Name: "l0", Repos: []string{"me/*"}})
	if got := len(s.patterns); got != 5 {
		t.Errorf("%d patterns, want me/*, src/**, **.md, x and y", got)
	}
	for _, l := range s.list()[:1] {
		for _, other := range s.list() {
			if l.matcher.repos.entries[0].pattern != other.matcher.repos.entries[0].pattern {
				t.Error("two listeners have patterns of their own")
			}
		}
	}
	for i := range 50 {
		s.Remove(fmt.Sprintf("l%d", i))
	}
	if len(s.patterns) != 0 || s.Len() != 0 {
		t.Errorf("%d patterns and %d listeners are left", len(s.patterns), s.Len())
	}
}

// TestSetWhileItChanges is for the race detector; and what is not touched is always seen.
func TestSetWhileItChanges(t *testing.T) {
	var s Set
	put(t, &s, Rules{Name: "my-repo"})
	busy, err := Compile(Rules{Name: "my-repo-busy", Files: []string{"src/*/**"}, Message: &Message{Match: "fix"}})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 50 {
				name := fmt.Sprintf("my-repo-%d-%d", i, j%5)
				s.Put(name, busy)
				if j%3 == 0 {
					s.Remove(name)
				}
			}
		})
		group.Go(func() {
			for range 50 {
				v := s.Decide(pushTo("main", "src/a/b"))
				if len(v.Matched) == 0 || v.Matched[0] != "my-repo" {
					t.Errorf("my-repo was not seen: %+v", v)
				}
				s.Explain(event.Event{Name: event.Push})
			}
		})
	}
	group.Wait()
}
