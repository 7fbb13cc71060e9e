package listener

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/run"
)

// TestCollect: patterns name what they should, and nothing that is outside, no file, or the repository's own.
func TestCollect(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"dist/a.txt": "a", "dist/sub/b.txt": "b", "dist/sub/c.tmp": "c", "report.xml": "r", ".git/config": "secret", "-rf": "x", "a\nb": "x",
		"$(touch x)": "x", "\xff": "x", ".hidden": "h",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"out": filepath.Join(outside, "secret"), "outdir": outside, "up": "../../../../../../etc/passwd", "loop": "loop", "in": "report.xml", "indir": "dist", "dead": "nothing",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		patterns []string
		want     []string
		said     []string
	}{
		{[]string{"dist/**"}, []string{"dist/a.txt", "dist/sub/b.txt", "dist/sub/c.tmp"}, nil},
		{[]string{"dist/**", "!**/*.tmp", "report.xml"}, []string{"dist/a.txt", "dist/sub/b.txt", "report.xml"}, nil},
		{[]string{"**/*.{txt,xml}"}, []string{"dist/a.txt", "dist/sub/b.txt", "report.xml"}, nil},
		{[]string{"nothing/*", ".git/**", "outdir/*"}, nil, nil},
		{[]string{"*", "!indir", "!loop"}, []string{"$(touch x)", "-rf", ".hidden", "a\nb", "in", "report.xml"}, []string{
			`"dead" is left out: no such file or directory`, `"out" is left out: path escapes from parent`,
			`"outdir" is left out: path escapes from parent`, `"pipe" is left out: it is not a regular file`,
			`"up" is left out: path escapes from parent`, `"\xff" is left out: its name is too long, or is not UTF-8`,
		}},
	} {
		dir := t.TempDir()
		var said, got []string
		kept, err := collect(root, c.patterns, byContent(dir), func(line string) { said = append(said, line) })
		for _, one := range kept {
			got = append(got, one.Path)
			if text, err := os.ReadFile(filepath.Join(dir, one.SHA256)); err != nil || int64(len(text)) != one.Bytes || strings.Contains(string(text), "secret") {
				t.Errorf("%+v: %q %v", one, text, err)
			}
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", c.patterns, err, diff)
		}
		if diff := cmp.Diff(c.said, said); diff != "" {
			t.Errorf("%q said (-want +got):\n%s", c.patterns, diff)
		}
	}
}

// TestArtifactsAreHandedIn: also of a run that fails, before its end is told; what admin refuses is said, and
// spoils nothing.
func TestArtifactsAreHandedIn(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("printf small > small; head -c 3000000 /dev/zero > large; exit 3")
	c.Cwd, c.Artifacts = t.TempDir(), []string{"*"}
	listen(t, f, c, t.TempDir())
	r := f.push("r1")
	if end := f.awaitEnd(r); end.Status != run.Failed {
		t.Errorf("got %+v", end)
	}
	if got := f.see(r).artifacts; got["small"] != "small" || got["large"] != strings.Repeat("\x00", 3_000_000) || len(got) != 2 {
		t.Errorf("admin has %q", slices.Collect(maps.Keys(got)))
	}
	f.with(func() {
		f.refuse["{path...}"] = api.Errorf(http.StatusInsufficientStorage, api.Full, "the disk of admin is full")
	})
	r = f.push("r2")
	end, log := f.awaitEnd(r), f.logOf(r)
	if want := "lightspeed: artifacts: \"large\" is not kept: the disk of admin is full\n"; end.Status != run.Failed || !strings.Contains(log, want) {
		t.Errorf("got %+v, log\n%s", end, log)
	}
}

// TestKilledWhileArtifactsAreHandedIn: the next start hands in the rest, and then tells how the commands had ended.
func TestKilledWhileArtifactsAreHandedIn(t *testing.T) {
	f := newFakeAdmin(t)
	work, state := t.TempDir(), t.TempDir()
	c := conf(fmt.Sprintf("cd %s; for n in 1 2 3; do echo $n > f$n; done", work))
	c.Cwd, c.Artifacts = work, []string{"f*"}
	held := make(chan struct{})
	f.with(func() { f.hold["{path...}"] = held })
	v := startVictim(t, f, c, state)
	r := f.push("r1")
	f.await("a first chunk", func() bool { return f.calls["{path...}"] > 0 })
	v.kill()
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	close(held)
	c.Cwd = t.TempDir()
	listen(t, f, c, state)
	if end := f.awaitEnd(r); end.Status != run.Passed || *end.ExitCode != 0 || len(end.Steps) != 1 || end.Steps[0].Status != run.Passed {
		t.Errorf("got %+v", end)
	}
	if got := f.see(r).artifacts; len(got) != 3 || got["f3"] != "3\n" {
		t.Errorf("admin has %q", got)
	}
}
