package lock

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const childPath = "LOCK_TEST_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if _, err := Take(context.Background(), []Lock{File(path)}, func(Lock, int) {}); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("held\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func nobody(Lock, int) {}

// TestHolderThatIsKilled: kill -9 frees its lock, and until then the one who waits is told who it is.
func TestHolderThatIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), childPath+"="+path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatal(line, err)
	}
	told := 0
	held, err := Take(t.Context(), []Lock{File(path)}, func(l Lock, pid int) {
		if told++; pid != holder.Process.Pid || l.String() != "lock_file "+path {
			t.Errorf("%v is held by %d, want %d", l, pid, holder.Process.Pid)
		}
		_ = holder.Process.Kill()
	})
	if err != nil || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
	held.Release()
	held.Release()
	_ = holder.Wait()
}

// TestAllOrNone: who cannot have all locks holds none, and two that want the same ones never block each other.
func TestAllOrNone(t *testing.T) {
	dir := t.TempDir()
	one, two := File(filepath.Join(dir, "one")), File(filepath.Join(dir, "two"))
	held, err := Take(t.Context(), []Lock{two}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Take(short, []Lock{two, one}, nobody); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	other, err := Take(t.Context(), []Lock{one}, func(Lock, int) { t.Error("one is still held") })
	if err != nil {
		t.Fatal(err)
	}
	other.Release()
	held.Release()

	var inside atomic.Int32
	done := make(chan error)
	for _, order := range [][]Lock{{one, two}, {two, one}, {one, one, two}} {
		go func() {
			for range 20 {
				held, err := Take(context.Background(), order, nobody)
				if err != nil || inside.Add(1) != 1 {
					done <- errors.Join(err, errors.New("not alone"))
					return
				}
				inside.Add(-1)
				held.Release()
			}
			done <- nil
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestShared: those who share a lock hold it together, and never with one who does not.
func TestShared(t *testing.T) {
	l := File(filepath.Join(t.TempDir(), "lock"))
	take := func(l Lock) (*Held, error) {
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return Take(short, []Lock{l}, nobody)
	}
	one, err1 := take(l.Shared())
	two, err2 := take(l.Shared())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	one.Release()
	if _, err := take(l); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one has it alone while another shares it: %v", err)
	}
	two.Release()
	alone, err := take(l)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Release()
	if _, err := take(l.Shared()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one shares it while another has it alone: %v", err)
	}
}

// TestFileThatWasTidiedAway: who locks a file that has no name any more would not be alone.
func TestFileThatWasTidiedAway(t *testing.T) {
	l := File(filepath.Join(t.TempDir(), "lock"))
	held, err := Take(t.Context(), []Lock{l}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	held.Release()
	if sameFile(f, l.path) {
		t.Error("it counts as the lock's")
	}
	held, err = Take(t.Context(), []Lock{l}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if err := l.flock(f); err != nil {
		t.Fatal(err) // the old file is free: this test shows something
	}
}

func TestNamed(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	l := Named("test-" + rand.Text())
	t.Cleanup(func() { _ = os.Remove(l.path) })
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(l.path)
	if err != nil || info.Mode().Perm()&0o044 != 0o044 {
		t.Errorf("other users cannot open it: %v, %v", info.Mode(), err)
	}
	if !strings.HasPrefix(l.String(), "lock test-") {
		t.Errorf("it is called %v", l)
	}
}

func TestWhatIsNoLock(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                                dir + " is not a regular file",
		link:                               "open " + link + ": too many levels of symbolic links",
		filepath.Join(dir, "none", "lock"): "open " + filepath.Join(dir, "none", "lock") + ": no such file or directory",
	} {
		if err := File(path).Check(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}
