package fleet

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lightspeed/listener/process"
)

// What is started after Enclose is in a cgroup below this process's own; with release it is gone, and so is what it made
// there.
func TestEnclose(t *testing.T) {
	way, home := process.EndsBy()
	release, err := Enclose()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "lightspeed-fleet-"+strconv.Itoa(os.Getpid()))
	p, err := Start(Command{Name: "sleep", Path: "/bin/sleep", Args: []string{"600"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if way == "cgroup" {
		if err := os.MkdirAll(filepath.Join(dir, "run", "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		inside, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil || !strings.Contains("\n"+string(inside), "\n"+strconv.Itoa(p.PID())+"\n") {
			t.Errorf("process %d is not among %q, %v", p.PID(), inside, err)
		}
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if way == "cgroup" {
		select {
		case <-p.Done():
		case <-time.After(time.Minute):
			t.Error("a process is left")
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}
