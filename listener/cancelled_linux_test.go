package listener

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/listener/process"
	"lightspeed/run"
)

// standing is what a listener may leave behind in this process and on this machine.
type standing struct {
	descriptors, goroutines int
	children, files         []string
}

func stand(t *testing.T, dirs ...string) standing {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s := standing{descriptors: len(open), goroutines: runtime.NumGoroutine()}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		s.children = append(s.children, strings.Fields(string(text))...)
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			s.files = append(s.files, path)
			return nil
		})
	}
	return s
}

// TestManyCancelledRuns leave nothing: no process, folder, cgroup, lock, descriptor or goroutine.
func TestManyCancelledRuns(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	plain := conf()
	plain.Exec = []config.Step{{Name: "plain", Argv: []string{"sleep", "600"}}}
	cancelled := func(c config.Config, name string, n int) {
		t.Helper()
		c.ShareCwd, c.Concurrency = true, 20
		s := launch(t, f, c, state, false)
		var runs []*fakeRun
		for i := range n {
			r := f.push(fmt.Sprintf("%s-%d", name, i))
			f.with(func() { r.cancel = &api.Cancel{By: "somebody"} })
			runs = append(runs, r)
		}
		for _, r := range runs {
			if end := f.awaitEnd(r); end.Status != run.Cancelled {
				t.Fatalf("got %+v", end)
			}
		}
		s.stop()
		s.wait(t)
		f.server.CloseClientConnections()
	}
	cancelled(plain, "first", 20) // opens what is opened once, and connections
	before := stand(t, state)
	cancelled(plain, "many", 1000)
	cancelled(conf("setsid sleep 600 & sleep 600"), "many-trees", 100)
	const few = 10 // connections to admin, and what else does not come with each run
	var after standing
	eventually(t, "no more descriptors and goroutines than before", func() bool {
		after = stand(t, state)
		return after.descriptors <= before.descriptors+few && after.goroutines <= before.goroutines+few
	})
	if !slices.Equal(before.files, after.files) || len(after.children) != 0 {
		t.Errorf("children %v; files %v, and before %v", after.children, after.files, before.files)
	}
	if way, dir := process.EndsBy(); way == "cgroup" {
		if left, _ := filepath.Glob(filepath.Join(dir, "lightspeed-many-*-"+instanceOf(t, state))); len(left) != 0 {
			t.Errorf("cgroups are left: %v", left)
		}
	}
	if left := listPids(process.Leftovers{Marks: []string{"LIGHTSPEED_LISTENER=l"}}); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
}
