package crash

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/redelivery/redeliverytest"
	"lightspeed/run"
)

// The scenarios lead to the points. Each starts everything, by up, sends a few deliveries and returns when the
// rest goes on by itself.

// pushes: everyone is well.
func pushes(w *world, p point) {
	w.upAll(p)
	for _, branch := range []string{"one", "two", "three"} {
		w.send(branch)
	}
}

func (w *world) upAll(p point) {
	w.t.Helper()
	w.up(p, w.admin)
	w.up(p, w.hooks)
	w.up(p, w.listeners[0])
	w.awaitListener()
}

// gated: the first run does not end before the gate is opened.
func gated(w *world, p point) {
	w.upAll(p)
	w.send("gate")
	w.send("other")
}

// spooled: admin is away while the deliveries come.
func spooled(w *world, p point) {
	w.upAll(p)
	w.admin.Kill()
	for _, branch := range []string{"one", "two", "three"} {
		w.send(branch)
	}
	w.admin.start()
}

// refused: what came while admin was away is nothing that admin takes.
func refused(w *world, p point) {
	w.upAll(p)
	w.admin.Kill()
	w.await("a promise for a push without a repository", func() bool {
		a, err := w.post(fleet.Push{ID: "no-repository", Body: []byte(`{"ref":"refs/heads/main"}`)})
		return err == nil && a.Status == api.Spooled
	})
	w.send("one")
	w.admin.start()
	w.settle()
	set, err := filepath.Glob(filepath.Join(w.dir, "state-hooks", "hooks", "spool", "refused", "*"))
	if err != nil || len(set) != 1 {
		w.t.Errorf("kept aside: %v, %v; want one file", set, err)
	}
}

// cutOff: a listener is killed in mid run; the one that comes back is the one that may die.
func cutOff(w *world, p point) {
	w.admin.start()
	w.hooks.start()
	w.listeners[0].start()
	r := w.runOf(w.send("gate"))
	w.send("other")
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.listeners[0].Kill()
	w.must(w.keep("machine"))
	w.up(p, w.listeners[0])
}

// givenUp: a listener is killed in mid run and does not come back before admin has given the run up.
func givenUp(w *world, p point) {
	w.upAll(p)
	r := w.runOf(w.send("gate"))
	other := w.runOf(w.send("other"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.listeners[0].Kill()
	w.must(w.keep("machine"))
	next := run.Lost
	if p.again {
		next = run.Queued
	}
	if r = w.awaitStatus(r.ID, next); statuses(r) != "lost" || (r.SlotHeldUntil == nil) != p.again {
		w.t.Errorf("given up: %+v", r)
	}
	if other = w.awaitStatus(other.ID, run.Queued); other.Attempt != 0 {
		w.t.Errorf("a run started beside one that may still run: %+v", other)
	}
	w.listeners[0].start()
}

// judged: a listener comes back with rules that one of the runs that wait does not match any more.
func judged(w *world, p point) {
	w.upAll(p)
	if err := w.listeners[0].Stop(10 * time.Second); err != nil {
		w.t.Error(err)
	}
	gone := w.runOf(w.send("gone"))
	w.send("kept")
	w.config("machine", settings{"branches": []string{"kept"}})
	w.listeners[0].start()
	r := w.awaitStatus(gone.ID, run.Cancelled)
	const why = "the listener's rules have changed and no longer match: branches: "
	if len(text(r.Reason)) < len(why) || text(r.Reason)[:len(why)] != why {
		w.t.Errorf("cancelled, since %q", text(r.Reason))
	}
}

// reloaded: a listener's config is swapped while a run of it goes on. The newest rules hold in the end, whether or not
// admin had been told of them.
func reloaded(w *world, p point) {
	w.upAll(p)
	r := w.runOf(w.send("gate"))
	w.send("other")
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.config("machine", settings{"branches": []string{"**"}})
	w.listeners[0].Signal(syscall.SIGHUP)
	w.await("the newest rules at admin", func() bool {
		l, err := w.api.Listener(w.t.Context(), "job")
		return err == nil && len(l.Settings.Rules.Branches) == 1 && l.Settings.Rules.Branches[0] == "**"
	})
}

// built: each run has a tree of its commit, in which it builds what is kept.
func built(w *world, p point) {
	repo := w.repository()
	w.commit = w.git(repo, "rev-parse", "HEAD")
	w.config("machine", settings{
		"checkout": settings{"url": "file://" + repo}, "artifacts": []string{"built"}, "on_lost": map[bool]string{false: "fail", true: "requeue"}[p.again],
		"exec": []any{[]string{"sh", filepath.Join(w.dir, "script.sh"), w.marks, "1"}, "cp source built"},
	})
	pushes(w, p)
	w.settle()
	w.checkBuilt()
}

// repository makes one, with a commit on main.
func (w *world) repository() string {
	w.t.Helper()
	repo := filepath.Join(w.dir, "repo")
	w.git("", "init", "-q", "-b", "main", repo)
	w.write("repo/source", "the pushed file\n")
	w.git(repo, "add", "source")
	w.git(repo, "commit", "-q", "-m", "a push")
	return repo
}

// polled: a listener that looks for pushes itself comes back, and finds one. It is paused until it has been killed and
// has looked once more: the run would be handed to the one that dies.
func polled(w *world, p point) {
	repo := w.repository()
	w.config("machine", settings{"repos": []string{"crash/pushed"}, "poll": "1h", "checkout": settings{"url": "file://" + repo}})
	w.admin.start()
	w.hooks.start()
	w.listeners[0].start()
	w.await("the first look", func() bool { return strings.Contains(w.listeners[0].Log(), "is looked at for the first time") })
	if err := w.listeners[0].Stop(10 * time.Second); err != nil {
		w.t.Error(err)
	}
	_, err := w.api.Pause(w.t.Context(), "job", api.Pause{})
	w.must(err)
	w.git(repo, "commit", "-q", "--allow-empty", "-m", "found")
	w.up(p, w.listeners[0])
	if err := <-w.doomed; err != nil {
		w.t.Error(err)
	}
	w.listeners[0].awaitReady()
	_, err = w.api.Resume(w.t.Context(), "job")
	w.must(err)
	w.settle()
	if runs, err := w.runs(); err != nil || len(runs) != 1 || runs[0].Cause != run.ByPoll {
		w.t.Errorf("one commit was found twice, and led to %+v, %v", runs, err)
	}
}

// checkBuilt looks for what each run that passed has built, and for trees that are left.
func (w *world) checkBuilt() {
	w.t.Helper()
	runs, err := w.runs()
	w.must(err)
	for _, r := range runs {
		list, err := w.api.Artifacts(w.t.Context(), r.ID)
		w.must(err)
		if kept := len(list.Items) == 1 && list.Items[0].Path == "built" && list.Items[0].Bytes == 16; r.Status == run.Passed && !kept {
			w.t.Errorf("run %s kept %+v", r.ID, list.Items)
		}
	}
	var left []string
	w.await("the end of all trees", func() bool {
		left, err = filepath.Glob(filepath.Join(w.listenerState("machine"), "listener", "job", "*", "*", "source"))
		return err == nil && len(left) == 0
	})
}

// git runs git, as nobody in particular.
func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), "git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := command.Output()
	w.must(err)
	return strings.TrimSpace(string(out))
}

// pruned: the oldest of three runs is one more than is to be kept.
func pruned(w *world, p point) {
	w.admin.command.Args = append(w.admin.command.Args, "--keep-runs", "2")
	w.upAll(p)
	old := w.send("old")
	id := w.runOf(old).ID
	w.send("one")
	w.send("two")
	w.settle()
	delete(w.accepted, old)
	_, err := w.api.Prune(w.t.Context(), false)
	if err == nil && p.name == "admin.pruned" {
		w.t.Error("admin answered, and was to die")
	}
	w.await("the end of all files of the oldest run", func() bool {
		left := false
		err := filepath.WalkDir(filepath.Join(w.dir, "state-admin"), func(path string, _ fs.DirEntry, err error) error {
			left = left || strings.Contains(path, id)
			return err
		})
		return err == nil && !left
	})
}

// missed: hooks was away while GitHub sent, and admin asks GitHub again.
func missed(w *world, p point) {
	hub := redeliverytest.New(w.t, "repos/crash/pushed/hooks/7", "token", webhookSecret)
	hub.SendTo(w.hooksURL)
	for _, branch := range []string{"one", "two", "three"} {
		p := w.push(branch)
		hub.Push(p.ID, "push", p.Body)
		w.accepted[p.ID] = "nothing by hooks, which was away"
	}
	w.admin.command.Args = append(w.admin.command.Args, "--recover", "crash/pushed/7", "--recover-every", "0",
		"--github-token", "token", "--github-url", hub.URL())
	w.upAll(p)
	w.await("the end of all gaps", func() bool {
		_, _ = w.api.Recover(w.t.Context(), false)
		gaps, err := w.api.Gaps(w.t.Context())
		return err == nil && len(gaps.Hooks) == 1 && gaps.Hooks[0].Error == nil && len(gaps.Hooks[0].Missing) == 0
	})
	if n := hub.Resends(); n < 3 || n > 4 {
		w.t.Errorf("GitHub was asked %d times for three deliveries, by an admin that died once", n)
	}
}
