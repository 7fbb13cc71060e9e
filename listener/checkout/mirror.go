package checkout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Files of a mirror's folder.
const (
	repoFolder  = "repo.git"
	packFolder  = "objects/pack" // within it
	usedFile    = "used"         // its time is when the mirror was wanted last
	fetchedFile = "fetched"      // its time is when the newest fetch that is done began
	rebuiltFile = "rebuilt"      // its time is when the mirror was made anew last
)

// mirror is the local copy of one repository, for one request. Only who holds its lock changes it. Others read it
// meanwhile: packs and refs come and go whole.
type mirror struct {
	git
	depth int
	dir   string
	repo  string
	conf  string // where the machine's settings are kept for git
}

func (s *Store) mirror(r Request) *mirror {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d", r.URL, r.Depth))
	dir := filepath.Join(s.dir, fmt.Sprintf("%x", sum[:10]))
	return &mirror{
		git: newGit(r), depth: r.Depth, dir: dir, repo: filepath.Join(dir, repoFolder), conf: filepath.Join(s.dir, "gitconfig"),
	}
}

// ensure returns the wanted commit, which the mirror then has. When it must fetch, one does for all who wait.
func (m *mirror) ensure(ctx context.Context, w want) (string, error) {
	asked := time.Now()
	if sha := m.has(ctx, w, asked); sha != "" {
		m.touch(usedFile, asked)
		return sha, nil
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if sha := m.has(ctx, w, asked); sha != "" {
		return sha, nil
	}
	return m.update(ctx, w)
}

func (m *mirror) lock(ctx context.Context) (*Lock, error) {
	return takeLock(ctx, m.dir+lockSuffix, func() { m.say("waits for another run that fetches this repository") })
}

// has returns the wanted commit if the mirror has it and nothing newer is asked for: a ref must be there, too, and a
// tag must point there, since scripts ask git what HEAD is called. Without a commit's name only a fetch that began
// later than the request can say which it is.
func (m *mirror) has(ctx context.Context, w want, asked time.Time) string {
	if w.sha == "" && !m.at(fetchedFile).After(asked) {
		return ""
	}
	sha, ref := m.resolve(ctx, w)
	switch {
	case w.sha == "":
		return ref
	case sha == "" || w.ref != "" && ref == "" || w.tag && w.ref != "" && ref != sha:
		return ""
	}
	return sha
}

// resolve returns the commits that the wanted names stand for in the mirror; empty for what is not there.
func (m *mirror) resolve(ctx context.Context, w want) (sha, ref string) {
	if _, err := os.Stat(filepath.Join(m.repo, "HEAD")); err != nil {
		return "", ""
	}
	name := func(object string) string {
		if object == "" {
			object = "none"
		}
		return object + "^{commit}\n"
	}
	answer, err := m.ask(ctx, m.repo, name(w.sha)+name(w.ref), "cat-file", "--batch-check=%(objectname)")
	if err != nil {
		return "", ""
	}
	lines := append(strings.Split(answer, "\n"), "", "")
	if isObjectID(lines[0]) {
		sha = lines[0]
	}
	if isObjectID(lines[1]) {
		ref = lines[1]
	}
	return sha, ref
}

// fetchTries is how often a fetch is tried that fails as the remote does not answer.
const fetchTries = 2

// retryAfter is how long a remote gets to come back.
const retryAfter = 2 * time.Second

// update fetches until the mirror has what is wanted. The caller holds the lock. What fails although the remote
// answers is the mirror's own fault: it is made anew, once.
func (m *mirror) update(ctx context.Context, w want) (string, error) {
	if err := m.letThrough(ctx); err != nil {
		return "", err
	}
	if _, err := packs(filepath.Join(m.repo, packFolder)); errors.Is(err, errDamaged) {
		return m.rebuild(ctx, w)
	}
	for try := 1; ; try++ {
		sha, err := m.fetch(ctx, w)
		var tool *toolError
		if err == nil || ctx.Err() != nil || !errors.As(err, &tool) || tool.full {
			return sha, err
		}
		if _, remote := m.ask(ctx, m.dir, "", "ls-remote", "--heads", "--", m.url); remote == nil {
			return m.rebuild(ctx, w)
		}
		if try == fetchTries {
			return "", err
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// fetch brings the mirror up to date, and returns the wanted commit.
func (m *mirror) fetch(ctx context.Context, w want) (string, error) {
	began := time.Now()
	if err := m.prepare(ctx, w); err != nil {
		return "", err
	}
	if err := m.fetchRefs(ctx, w); err != nil {
		return "", err
	}
	sha, ref := m.resolve(ctx, w)
	if w.sha == "" {
		sha = ref
	}
	if sha == "" && w.sha != "" {
		sha = m.fetchCommit(ctx, w)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err := m.tidy(ctx); err != nil {
		return "", err
	}
	m.touch(fetchedFile, began)
	switch {
	case sha != "":
		return sha, nil
	case w.sha == "":
		return "", failed("the branch or tag is not in the repository any more")
	}
	return "", failed("the commit %.12s is not in the repository any more: a forced push or a deleted branch has taken it away", w.sha)
}

// fetchRefs fetches all branches and tags, and a pull request's own refs. Of a history that is to be short only
// what is wanted is fetched: all branches would be many.
func (m *mirror) fetchRefs(ctx context.Context, w want) error {
	args := []string{"fetch", "--quiet", "--progress", "--no-tags", "--force", "--no-write-fetch-head"}
	pull, isPull := pullSpec(w.ref)
	if m.depth > 0 {
		if w.spec == "" || isPull {
			return nil // fetchCommit gets it
		}
		err := m.run(ctx, m.repo, append(args, fmt.Sprintf("--depth=%d", m.depth), "--", m.url, w.spec)...)
		var tool *toolError
		if errors.As(err, &tool) && strings.Contains(tool.reason, "couldn't find remote ref") {
			return nil
		}
		return err
	}
	args = append(args, "--prune", "--", m.url, allBranches, allTags)
	if isPull {
		args = append(args, pull)
	}
	return m.run(ctx, m.repo, args...)
}

// fetchCommit asks for a commit by its name: servers may still have what no ref leads to. It returns the commit, or
// nothing when there is none.
func (m *mirror) fetchCommit(ctx context.Context, w want) string {
	args := []string{"fetch", "--quiet", "--progress", "--no-tags", "--no-write-fetch-head"}
	if m.depth > 0 {
		args = append(args, fmt.Sprintf("--depth=%d", m.depth))
	}
	if err := m.run(ctx, m.repo, append(args, "--", m.url, w.sha)...); err != nil {
		return ""
	}
	sha, _ := m.resolve(ctx, w)
	return sha
}

// prepare makes the mirror if it is not there, and takes away what a killed git has left: the caller's lock says that
// none works here.
func (m *mirror) prepare(ctx context.Context, w want) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	m.touch(usedFile, time.Now())
	if _, err := os.Stat(filepath.Join(m.repo, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		return m.run(ctx, m.dir, "init", "--quiet", "--bare", "--template=", "--initial-branch=none",
			"--object-format="+objectFormat(w.sha), repoFolder)
	}
	return filepath.WalkDir(m.repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasSuffix(path, lockSuffix) || strings.HasPrefix(d.Name(), "tmp_") {
			return os.Remove(path)
		}
		return nil
	})
}

// mostPacks is how many packs a mirror may have before they are put together: each costs a link in every tree.
const mostPacks = 30

// tidy puts refs into one file, which trees copy, and small packs together. Nothing is thrown away: a tree may be
// about to link it.
func (m *mirror) tidy(ctx context.Context) error {
	if err := m.run(ctx, m.repo, "pack-refs", "--all"); err != nil {
		return err
	}
	names, err := packs(filepath.Join(m.repo, packFolder))
	if err != nil || len(names) <= mostPacks {
		return err
	}
	return m.run(ctx, m.repo, "repack", "--geometric=2", "-d", "-q")
}

// rebuildPause is how long a mirror that was made anew is not taken for damaged again: it may be the commit that git
// cannot check out, and not the mirror.
const rebuildPause = time.Hour

// mayRebuild reports whether an error may come from a damaged mirror.
func (m *mirror) mayRebuild(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	var tool *toolError
	return errors.As(err, &tool) && !tool.full && time.Since(m.at(rebuiltFile)) > rebuildPause
}

// remake makes the mirror anew, under its lock.
func (m *mirror) remake(ctx context.Context, w want) (string, error) {
	lock, err := m.lock(ctx)
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if err := m.letThrough(ctx); err != nil {
		return "", err
	}
	return m.rebuild(ctx, w)
}

func (m *mirror) rebuild(ctx context.Context, w want) (string, error) {
	m.say("the mirror of the repository seems to be damaged: it is made anew")
	if err := os.RemoveAll(m.repo); err != nil {
		return "", err
	}
	sha, err := m.fetch(ctx, w)
	if err == nil {
		m.touch(rebuiltFile, time.Now())
	}
	return sha, err
}

// touch sets the time of one of the mirror's files, and at that of its last modification.
func (m *mirror) touch(name string, to time.Time) {
	path := filepath.Join(m.dir, name)
	if f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		_ = f.Close()
		_ = os.Chtimes(path, to, to)
	}
}

func (m *mirror) at(name string) time.Time {
	info, err := os.Stat(filepath.Join(m.dir, name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
