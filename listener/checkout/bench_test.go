package checkout

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// large makes a repository of n files.
func (r *repo) large(n int) (sha string) {
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n")
	for i := range n {
		text := fmt.Sprintf("file %d\n%s", i, strings.Repeat("a line of it\n", i%100))
		fmt.Fprintf(&stream, "M 644 inline dir%d/sub%d/file%d\ndata %d\n%s\n", i%50, i%500/50, i, len(text), text)
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("fast-import: %v\n%s", err, out)
	}
	return r.run(r.dir, "rev-parse", "main")
}

// BenchmarkWarm checks 50,000 files out of a mirror that has them, and has `git worktree add` do so, in turns. The
// limit is 1.2 times the other's time.
func BenchmarkWarm(b *testing.B) {
	r := newRepo(b)
	sha := r.large(50_000)
	f := newFixture(b)
	f.get(f.want(r.dir, "refs/heads/main", sha))
	mirror := f.store.mirror(f.want(r.dir, "", "")).repo
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		tree := f.get(f.want(r.dir, "refs/heads/main", sha))
		middle := time.Now()
		other := filepath.Join(f.dir, "other")
		r.run(mirror, "worktree", "add", "-q", "--detach", other, sha)
		ours += middle.Sub(began)
		theirs += time.Since(middle)
		r.run(mirror, "worktree", "remove", "--force", other)
		if err := Remove(tree); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "×worktree")
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/tree")
}
