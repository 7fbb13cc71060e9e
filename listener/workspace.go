package listener

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"lightspeed/fault"
	"lightspeed/listener/checkout"
	"lightspeed/listener/config"
	"lightspeed/listener/process"
	"lightspeed/run"
)

// workspaces are the folders that runs get for themselves: one each, named after its attempt. What an earlier
// process has left is found by that, and removed.
type workspaces struct {
	mirrors *checkout.Store
	dir     string
	log     *slog.Logger

	removing sync.WaitGroup
}

// Folders of workspaces.
const (
	treesFolder = "trees" // of runs that go on
	keptFolder  = "kept"  // of runs whose config keeps them
	trashFolder = "trash" // what is being removed

	lockSuffix = ".lock"
)

// newWorkspaces returns the workspaces in a folder that is one listener's alone.
func newWorkspaces(dir, mirrors string, log *slog.Logger) *workspaces {
	return &workspaces{mirrors: checkout.Open(mirrors), dir: dir, log: log}
}

// clear removes what an earlier process has left. It is called before the first enter.
func (w *workspaces) clear() {
	left, err := os.ReadDir(filepath.Join(w.dir, treesFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("workspaces of earlier runs cannot be listed", "err", err)
	}
	for _, f := range left {
		path := filepath.Join(w.dir, treesFolder, strings.TrimSuffix(f.Name(), lockSuffix))
		lock, err := checkout.TryLock(w.lockOf(path))
		if lock == nil {
			if err != nil {
				w.log.Warn("workspace of an earlier run cannot be locked", "err", err)
			}
			continue // its run goes on, in another process
		}
		if f.IsDir() {
			w.log.Info("removes the workspace that a cut-off run has left", "folder", path)
		}
		w.remove(path, lock)
	}
	trash, _ := os.ReadDir(filepath.Join(w.dir, trashFolder))
	for _, f := range trash {
		w.empty(filepath.Join(w.dir, trashFolder, f.Name()))
	}
}

// path is where the workspace of an attempt stands. The run's id is admin's text: it is escaped.
func (w *workspaces) path(f facts, keep bool) string {
	folder := treesFolder
	if keep {
		folder = keptFolder
	}
	return filepath.Join(w.dir, folder, url.PathEscape(f.run)+"."+strconv.Itoa(f.attempt))
}

// lockOf is the lock of a workspace. Whoever can take it knows that the run's process is gone.
func (w *workspaces) lockOf(path string) string {
	return filepath.Join(w.dir, treesFolder, filepath.Base(path)+lockSuffix)
}

// make makes the workspace of a run: a tree of its commit, or an empty folder when its ref was deleted. It returns
// the workspace's lock and the commit.
func (w *workspaces) make(ctx context.Context, path string, c config.Config, f facts, say func(string)) (*checkout.Lock, string, error) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.MkdirAll(filepath.Join(w.dir, treesFolder), 0o700)); err != nil {
		return nil, "", err
	}
	lock, err := checkout.TryLock(w.lockOf(path))
	if err == nil && lock == nil {
		err = errors.New("the workspace is locked by another process")
	}
	if err != nil {
		return nil, "", err
	}
	sha := ""
	if f.event.Deleted {
		err = os.Mkdir(path, 0o700)
	} else {
		sha, err = w.mirrors.Checkout(ctx, checkout.Request{
			URL: c.CloneURL(f.event.Repo), Token: c.Checkout.Token,
			Ref: f.event.Ref, SHA: f.event.SHA, Fork: f.event.Fork,
			Depth: c.Checkout.Depth, Submodules: c.Checkout.Submodules,
			Tree: path, Env: f.marks(), Say: say,
		})
	}
	if err != nil {
		_ = os.Remove(w.lockOf(path))
		lock.Release()
		return nil, "", err
	}
	return lock, sha, nil
}

// remove takes a workspace away at once, and what is in it soon after: of a large tree that takes its time, and
// nobody need wait for it. The lock is the workspace's.
func (w *workspaces) remove(path string, lock *checkout.Lock) {
	defer lock.Release()
	trash := filepath.Join(w.dir, trashFolder)
	away := filepath.Join(trash, filepath.Base(path))
	err := errors.Join(os.MkdirAll(trash, 0o700), os.Rename(path, away))
	fault.Point("listener.workspace.leaving")
	if err != nil {
		away = path
	}
	_ = os.Remove(w.lockOf(path))
	w.empty(away)
}

// keep leaves a workspace as it is.
func (w *workspaces) keep(path string, lock *checkout.Lock) {
	_ = os.Remove(w.lockOf(path))
	lock.Release()
}

func (w *workspaces) empty(path string) {
	w.removing.Go(func() {
		if err := checkout.Remove(path); err != nil {
			w.log.Warn("workspace cannot be removed", "folder", path, "err", err)
		}
		if err := w.mirrors.Prune(); err != nil {
			w.log.Warn("mirrors that nobody uses cannot be removed", "err", err)
		}
	})
}

// wait waits until what was removed is gone.
func (w *workspaces) wait() { w.removing.Wait() }

// enter gives a run that wants one its workspace, and has the steps run there. leave takes it away again. When there
// is none, the outcome says why.
func (j *job) enter(ctx context.Context) (leave func(), wrong *Outcome) {
	if j.config.Checkout == nil {
		return func() {}, nil
	}
	say := func(line string) { _, _ = io.WriteString(j.out, "lightspeed: checkout: "+line+"\n") }
	keep := j.config.Checkout.Keep
	path := j.workspaces.path(j.facts, keep)
	lock, sha, err := j.workspaces.make(ctx, path, j.config, j.facts, say)
	fault.Point("listener.workspace.made")
	if err != nil {
		outcome := Outcome{Status: run.Errored, Reason: "checkout: " + reasonOf(err)}
		if ctx.Err() != nil {
			outcome = j.stopped(ctx, process.Result{ExitCode: -1})
		}
		j.log.Error("run has no workspace", "err", err)
		_, _ = io.WriteString(j.out, "lightspeed: "+outcome.Reason+"\n")
		return nil, &outcome
	}
	switch {
	case sha == "":
		say("the ref was deleted: the workspace is empty")
	case j.facts.event.SHA == "":
		j.facts.event.SHA = sha
	}
	j.config.Cwd = path
	if keep {
		say("the workspace is kept on the listener's machine, as " + filepath.Base(path))
		j.log.Info("run's workspace is kept", "folder", path)
		return func() { j.workspaces.keep(path, lock) }, nil
	}
	return func() { j.workspaces.remove(path, lock) }, nil
}

// reasonOf is why there is no workspace, in words that may leave this machine.
func reasonOf(err error) string {
	var known *checkout.Error
	if errors.As(err, &known) {
		return known.Reason
	}
	return "the listener could not make the workspace: its log says why"
}
