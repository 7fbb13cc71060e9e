package app

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/listener/config"
)

// watched is a config file that is followed, on a clock of its own.
type watched struct {
	t     *testing.T
	file  string
	asked chan os.Signal

	mu   sync.Mutex
	read []string // what the file held at each reload; "-" where it was not there
}

// watch follows a file while work goes on.
func watch(t *testing.T, file string, work func(w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, file: file, asked: make(chan os.Signal)}
		source := NewSource([]string{file}, func() ([]config.Config, error) { return nil, nil }, w.asked)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			source.follow(ctx, func(bool) { w.reload() })
		}()
		synctest.Wait()
		work(w)
		cancel()
		<-done
	})
}

// reload notes what the file holds.
func (w *watched) reload() {
	text, err := os.ReadFile(w.file)
	if err != nil {
		text = []byte("-")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = append(w.read, string(text))
}

// settle lets the time pass in which a change must be seen, and says what was read since.
func (w *watched) settle(want ...string) {
	w.t.Helper()
	time.Sleep(3 * lookPeriod)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.read, want) {
		w.t.Errorf("read %q, want %q", w.read, want)
	}
	w.read = nil
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestEditorsAreSeen: a file that is written in place, or that another one is renamed over.
func TestEditorsAreSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	write(t, file, "one")
	watch(t, file, func(w *watched) {
		w.settle() // nothing has changed
		write(t, file, "two")
		w.settle("two")
		swap(t, file, "three")
		w.settle("three")
		rename(t, file, file+"~") // as vim does
		write(t, file, "four")
		w.settle("four")
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, "five") // as many bytes, at the same time
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		w.settle("five")
		if err := os.Chtimes(file, time.Time{}, info.ModTime().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		w.settle() // it holds the same
	})
}

// TestAFileIsReadWhenItIsLeftAlone: one that is being written is not read in the middle of that.
func TestAFileIsReadWhenItIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	write(t, file, "")
	watch(t, file, func(w *watched) {
		time.Sleep(lookPeriod / 2) // between two looks
		for _, part := range []string{"a", "ab", "abc", "abcd"} {
			write(t, file, part)
			time.Sleep(lookPeriod)
		}
		w.settle("abcd")
	})
}

// TestAFileThatIsGoneForAMoment is no change; one that stays away is, once, and when it is back.
func TestAFileThatIsGoneForAMoment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	write(t, file, "one")
	watch(t, file, func(w *watched) {
		rename(t, file, file+".away")
		time.Sleep(lookPeriod)
		synctest.Wait()
		rename(t, file+".away", file)
		w.settle()
		rename(t, file, file+".away")
		w.settle("-")
		w.settle()
		rename(t, file+".away", file)
		w.settle("one")
	})
}

// TestConfigMapsAreSeen: Kubernetes renames a link to the folder that the file's own link leads through.
func TestConfigMapsAreSeen(t *testing.T) {
	dir := t.TempDir()
	mount := func(folder, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, folder, "a.json"), text)
		if err := os.Symlink(folder, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	mount("..2026_01", "one")
	file := filepath.Join(dir, "a.json")
	if err := os.Symlink("..data/a.json", file); err != nil {
		t.Fatal(err)
	}
	watch(t, file, func(w *watched) {
		mount("..2026_02", "two")
		if err := os.RemoveAll(filepath.Join(dir, "..2026_01")); err != nil {
			t.Fatal(err)
		}
		w.settle("two")
	})
}

// TestPullsAreSeen: a real `git pull` in a checkout of the configs.
func TestPullsAreSeen(t *testing.T) {
	origin, clone := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	git := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	commit := func(text string) {
		t.Helper()
		write(t, filepath.Join(origin, "a.json"), text)
		git(origin, "add", "a.json")
		git(origin, "commit", "-q", "-m", text)
	}
	git(origin, "init", "-q", "-b", "main")
	commit("one")
	git(origin, "clone", "-q", origin, clone)
	watch(t, filepath.Join(clone, "a.json"), func(w *watched) {
		commit("two")
		git(clone, "pull", "-q", "--ff-only")
		w.settle("two")
		git(clone, "reset", "-q", "--hard", "HEAD~1")
		w.settle("one")
	})
}

// TestAskedToReadAnew: SIGHUP has the files read at once, whether or not they have changed, and not once more for it.
func TestAskedToReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	write(t, file, "one")
	watch(t, file, func(w *watched) {
		w.asked <- os.Interrupt // whichever signal it is
		synctest.Wait()
		write(t, file, "two")
		w.asked <- os.Interrupt
		synctest.Wait()
		w.settle("one", "two")
	})
}

// TestAChangeWhileItStarts: what changes between the first look and the first load is seen.
func TestAChangeWhileItStarts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	write(t, file, "one")
	synctest.Test(t, func(t *testing.T) {
		source := NewSource([]string{file}, nil, nil)
		write(t, file, "two")
		ctx, cancel := context.WithTimeout(t.Context(), 5*lookPeriod)
		defer cancel()
		reloads := 0
		source.follow(ctx, func(bool) { reloads++ })
		if reloads != 1 {
			t.Errorf("read %d times", reloads)
		}
	})
}
