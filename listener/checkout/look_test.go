package checkout

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestLook: over http, a branch with a slash, a tag and an annotated tag are seen where they point, what changed
// between two looks is what was pushed, and nothing else is listed.
func TestLook(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	first := r.push("refs/heads/main", "one")
	r.git("push", "-q", "origin", "HEAD:refs/heads/feature/a", "HEAD:refs/tags/light", "HEAD:refs/pull/1/head")
	r.git("tag", "-a", "-m", "v1", "v1")
	r.git("push", "-q", "origin", "v1")
	f := newFixture(t)
	web := r.serve(nil)
	look := func() Refs {
		t.Helper()
		refs, err := f.store.Look(t.Context(), Request{URL: web.url()})
		if err != nil {
			t.Fatal(err)
		}
		return refs
	}
	before := look()
	if got := strings.Join(slices.Sorted(maps.Keys(before)), " "); got != "refs/heads/feature/a refs/heads/main refs/tags/light refs/tags/v1" {
		t.Errorf("seen: %s", got)
	}
	if v1 := before["refs/tags/v1"]; v1.Commit != first || v1.Object != r.git("rev-parse", "v1") || v1.Object == first {
		t.Errorf("the annotated tag: %+v", v1)
	}
	second := r.push("refs/heads/main", "two")
	after := look()
	files, message, err := f.store.Changes(t.Context(), Request{URL: web.url(), Ref: "refs/heads/main", SHA: second}, first)
	if err != nil || message != "two" || !slices.Equal(files, []string{"file"}) {
		t.Errorf("changed %q, %q, %v", files, message, err)
	}
	if before["refs/heads/main"].Commit != first || after["refs/heads/main"].Commit != second || after["refs/heads/feature/a"].Commit != first {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
