package process

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needCgroups skips a test where this machine lets us make none.
func needCgroups(t *testing.T) {
	t.Helper()
	if way, why := EndsBy(); way != "cgroup" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no cgroups: %s", why)
		}
		t.Skipf("cgroups are NOT tested: %s", why)
	}
}

// plantIn is plant for a tree with a cgroup. What left the tree is found by no mark: its environment has none.
func plantIn(t *testing.T, grace time.Duration) grove {
	t.Helper()
	g := plant(t, grace)
	g.family.cgroup = makeCgroup(t, t.Name())
	return g
}

func makeCgroup(t *testing.T, name string) *cgroup {
	t.Helper()
	c := newCgroup("test-" + strconv.Itoa(os.Getpid()) + "-" + name)
	if c == nil {
		t.Fatal("no cgroup was made")
	}
	return c
}

// removed fails when a tree's cgroup is still there.
func (g grove) removed(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(g.family.cgroup.dir); !os.IsNotExist(err) {
		t.Errorf("cgroup %s is left: %v", g.family.cgroup.dir, err)
	}
}

// hidden has left the group, the session, the parent and the environment by which else it would be found, when it is ready.
const hidden = `(env -i setsid sh -c 'echo ready; exec sleep 600 >/dev/null 2>&1' &)`

// TestHiddenEscapeeOfTwoTrees: which of two trees an escapee belongs to is not to be seen in its parent, session or
// environment.
func TestHiddenEscapeeOfTwoTrees(t *testing.T) {
	needCgroups(t)
	other := plant(t, time.Minute)
	other.mark = "TREE=other"
	other.family.marks, other.family.cgroup = []string{other.mark}, makeCgroup(t, "other")
	ended := make(chan Result)
	go func() { ended <- other.Run(t.Context(), other.sh(hidden+"; exec sleep 600")) }()
	other.out.await(t, "ready")

	g := plantIn(t, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.out.await(t, "ready")
		cancel()
	}()
	g.Run(ctx, g.sh(hidden+"; exec sleep 600"))
	if n := len(g.family.cgroup.pids()); n != 0 {
		t.Errorf("%d processes are left in the cgroup", n)
	}
	if n := len(other.family.cgroup.pids()); n != 2 {
		t.Errorf("the other tree has %d processes, and had 2", n)
	}
	g.End(t.Context())
	g.removed(t)
	other.family.signal(syscall.SIGKILL)
	<-ended
	other.End(t.Context())
	other.removed(t)
}

// TestCgroupsOfTheTreesOwn: a tree may have made cgroups itself.
func TestCgroupsOfTheTreesOwn(t *testing.T) {
	needCgroups(t)
	g := plantIn(t, 20*time.Millisecond)
	g.Run(t.Context(), g.sh("mkdir -p "+g.family.cgroup.dir+"/a/b; echo $$ >"+g.family.cgroup.dir+"/a/b/cgroup.procs; "+hidden))
	if rest := g.End(t.Context()); rest.Ended != 1 || rest.Stuck != nil {
		t.Errorf("left %+v", rest)
	}
	g.removed(t)
}

// TestLeftoversAreFoundByCgroup, of a listener that has died, and no others.
func TestLeftoversAreFoundByCgroup(t *testing.T) {
	needCgroups(t)
	c := makeCgroup(t, "leftovers")
	start := func(in *cgroup) *exec.Cmd {
		left := exec.Command("sh", "-c", "trap '' TERM; "+"sleep 600")
		left.Env, left.SysProcAttr = []string{"PATH=" + defaultPath}, &syscall.SysProcAttr{Setsid: true}
		in.admit(left.SysProcAttr)
		if err := left.Start(); err != nil {
			t.Fatal(err)
		}
		return left
	}
	inside, outside := start(c), start(nil)
	ended := make(chan error, 1)
	go func() { ended <- inside.Wait() }()
	if !poll(10*time.Second, func() bool { return len(c.pids()) == 2 }) {
		t.Fatal("nothing runs: this test shows nothing")
	}
	_ = c.open.Close()
	rest := Leftovers{Marks: []string{"NOBODY=has-this"}, Cgroup: strings.TrimPrefix(filepath.Base(c.dir), "lightspeed-")}.End(t.Context(), 10*time.Millisecond)
	if rest.Ended != 2 || rest.Stuck != nil {
		t.Errorf("got %+v", rest)
	}
	<-ended
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("cgroup is left: %v", err)
	}
	if err := outside.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander was ended: %v", err)
	}
	_ = syscall.Kill(-outside.Process.Pid, syscall.SIGKILL)
	_ = outside.Wait()
}

// TestCgroupThatIsClosedToUs: the commands run all the same.
func TestCgroupThatIsClosedToUs(t *testing.T) {
	needCgroups(t)
	g := plantIn(t, time.Minute)
	if err := os.Remove(g.family.cgroup.dir); err != nil { // as someone else might
		t.Fatal(err)
	}
	if r := g.Run(t.Context(), g.sh("exit 7")); r.ExitCode != 7 {
		t.Errorf("got %+v", r)
	}
	if r := g.Run(t.Context(), Command{Argv: []string{"/none"}, Dir: "/"}); r.Err == nil {
		t.Errorf("got %+v", r)
	}
	g.End(t.Context())
}

// TestCgroupIsMadeAndRemoved for a tree that names one, with its processes in it.
func TestCgroupIsMadeAndRemoved(t *testing.T) {
	needCgroups(t)
	var out bytes.Buffer
	tree, err := New(Options{Cgroup: "test-made-" + strconv.Itoa(os.Getpid()), Output: &out, Grace: func(error) time.Duration { return time.Minute }})
	if err != nil {
		t.Fatal(err)
	}
	tree.Run(t.Context(), Command{Argv: []string{"/bin/cat", "/proc/self/cgroup"}, Dir: "/"})
	tree.End(t.Context())
	dir := tree.family.cgroup.dir
	if !strings.Contains(out.String(), "/"+filepath.Base(dir)+"\n") {
		t.Errorf("it was in %s, want %s", out.String(), dir)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("cgroup is left: %v", err)
	}
}

// TestCgroupThatCannotBeRemoved is tried again when the next one is made.
func TestCgroupThatCannotBeRemoved(t *testing.T) {
	needCgroups(t)
	c := makeCgroup(t, "late")
	stuck := exec.Command("sleep", "600") // as if it could not be ended
	stuck.SysProcAttr = &syscall.SysProcAttr{}
	c.admit(stuck.SysProcAttr)
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	c.close()
	if _, err := os.Stat(c.dir); err != nil {
		t.Errorf("it was removed: %v", err)
	}
	c.kill()
	_ = stuck.Wait()
	makeCgroup(t, "next").close()
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("cgroup is left: %v", err)
	}
}

func TestCgroupFolder(t *testing.T) {
	const (
		other   = "25 1 0:22 / /proc rw - proc proc rw\n"
		unified = "36 35 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for _, c := range []struct{ name, own, mounts, want string }{
		{"of a unit", "0::/system.slice/a.service\n", other + unified, "/sys/fs/cgroup/system.slice/a.service"},
		{"of a container", "0::/\n", unified, "/sys/fs/cgroup"},
		{"beside version 1", "9:name=systemd:/a\n0::/b\n", "36 35 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified/b"},
		{"version 1 alone", "4:memory:/a\n", "36 35 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", ""},
		{"a part is mounted", "0::/a/b\n", "36 35 0:31 /a /my\\040groups rw - cgroup2 cgroup2 rw\n", "/my groups/b"},
		{"another part is mounted", "0::/a/b\n", "36 35 0:31 /c /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", ""},
		{"above the namespace", "0::/../x\n", unified, ""},
		{"no mount", "0::/a\n", other, ""},
		{"nothing", "", "", ""},
	} {
		if got := cgroupFolder(c.own, c.mounts); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestUsable: where no cgroup can be made the reason is said.
func TestUsable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte("1073741824\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := usable(filepath.Join(dir, "none")); err == nil || !strings.HasSuffix(err.Error(), "may not be written: no such file or directory") {
		t.Errorf("got %v", err)
	}
	if file := limit(dir); file != "memory.max" {
		t.Errorf("got %q", file)
	}
	if delegated(dir) {
		t.Error("a folder that systemd has not marked counts as delegated")
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte("max\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if file := limit(dir); file != "" {
		t.Errorf("got %q", file)
	}
}
