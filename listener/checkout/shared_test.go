package checkout

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// otherProcess has the environment's variable of a process that checks out for TestProcessesShareAMirror.
const otherProcess = "CHECKOUT_OTHER_PROCESS"

// Three processes, as listeners that share a state folder are, want seven commits each of one repository at once: one
// fetch serves them all, and each tree is its own commit's.
func TestProcessesShareAMirror(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	first := r.push("main", "first")
	web := r.serve(nil)
	f := newFixture(t)
	f.get(f.want(web.url(), "refs/heads/main", first))
	fetch := web.fetches.Load()
	commits := r.many("main", 21)
	var all sync.WaitGroup
	for i := range 3 {
		var wanted []Request
		for _, sha := range commits[7*i : 7*i+7] {
			wanted = append(wanted, f.want(web.url(), "refs/heads/main", sha))
		}
		all.Go(func() {
			elsewhere(t, f.store.dir, wanted)
			for _, r := range wanted {
				if head := in(t, r.Tree, "rev-parse", "HEAD"); head != r.SHA {
					t.Errorf("HEAD is %s, want %s", head, r.SHA)
				}
			}
		})
	}
	all.Wait()
	if more := web.fetches.Load() - fetch; more > fetch {
		t.Errorf("21 commits for three processes took %d requests, one fetch takes %d", more, fetch)
	}
	in(t, f.store.mirror(Request{URL: web.url()}).repo, "fsck", "--full")
}

// elsewhere checks out in another process.
func elsewhere(t *testing.T, store string, wanted []Request) {
	args := []string{store}
	for _, r := range wanted {
		args = append(args, r.URL, r.Ref, r.SHA, r.Tree)
	}
	other := exec.CommandContext(t.Context(), os.Args[0], args...)
	other.Env = append(os.Environ(), otherProcess+"=1")
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("other process: %v\n%s", err, out)
	}
}

// beOther is the other process: its arguments are the folder of the mirrors, and four for each tree that is wanted.
func beOther() {
	var all sync.WaitGroup
	for one := range slices.Chunk(os.Args[2:], 4) {
		r := Request{URL: one[0], Ref: one[1], SHA: one[2], Tree: one[3], Say: func(line string) { fmt.Println(line) }}
		all.Go(func() {
			if _, err := Open(os.Args[1]).Checkout(context.Background(), r); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		})
	}
	all.Wait()
}

// Mirrors that nobody has wanted for 30 days are removed, but for one that is just being worked on; what comes for the
// repository later makes it anew.
func TestPrune(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mirrors := map[string]*mirror{}
	requests := map[string]Request{}
	for name, days := range map[string]int{"used today": 0, "used lately": 29, "unused": 31, "unused and locked": 31} {
		r := newRepo(t)
		requests[name] = f.want(r.dir, "refs/heads/main", r.push("main", name))
		f.get(requests[name])
		mirrors[name] = f.store.mirror(requests[name])
		mirrors[name].touch(usedFile, time.Now().AddDate(0, 0, -days))
	}
	lock, err := TryLock(mirrors["unused and locked"].dir + lockSuffix)
	if lock == nil {
		t.Fatal(err)
	}
	gone := func(want ...string) {
		t.Helper()
		if err := f.store.Prune(); err != nil {
			t.Error(err)
		}
		for name, m := range mirrors {
			left, err := filepath.Glob(m.dir + "*")
			if removed := len(left) == 0; err != nil || removed != slices.Contains(want, name) {
				t.Errorf("%s: left is %q", name, left)
			}
		}
	}
	gone("unused")
	lock.Release()
	gone("unused", "unused and locked")
	again := requests["unused"]
	again.Tree += "-again"
	if text := content(t, filepath.Join(f.get(again), "file")); text != "unused" {
		t.Errorf("the file says %q", text)
	}
	gone("unused and locked") // it is in use again
}
