// Package checkout makes a tree of exactly one commit, by the system's git: from a local mirror of its repository,
// which is fetched only when the commit is not there yet. A tree has a repository of its own, whose objects are
// hard links into the mirror's packs: it costs what writing its files costs, git works inside, and whatever is done
// there, to it or later to the mirror, the other does not see.
//
// Names of refs and repositories are other people's text. They are checked as git does, and stand behind a "--" or
// within a full ref name: none is taken for an option. git asks nobody anything, runs no hook, speaks the usual
// protocols only, and takes from the machine's settings what finds and opens remotes, and nothing that runs else.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lightspeed/secret"
)

// Store is a folder of mirrors. Several processes may share it: who changes a mirror holds its lock.
type Store struct{ dir string }

// Open returns the mirrors in a folder, which is made when it is needed. The trees that are to be made should be
// on the same file system: elsewhere objects are copied.
func Open(dir string) *Store { return &Store{dir} }

// Available reports whether this machine has git.
func Available() error {
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("git was not found in PATH")
	}
	return nil
}

// Request says which tree is wanted.
type Request struct {
	URL   string       // where the repository is
	Token secret.Value // sent to the URL's host and no other; the zero Value: the machine's own credentials

	Ref  string // full: "refs/heads/a", "refs/tags/v1", "refs/pull/7/head"; may be empty when SHA is not
	SHA  string // the commit; empty: what Ref points to
	Fork bool   // someone else's commit: Token is not used for its submodules

	Depth      int  // commits of history, 0: all
	Submodules bool // also their trees

	Tree string       // folder that is made; its parent is there
	Env  []string     // variables that git gets besides its own
	Say  func(string) // gets what git says, line by line, without credentials
}

// Error says why there is no tree, in words that hold no credentials and no path of this machine.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

func failed(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...)} }

// Checkout makes the tree and returns its commit. After an error nothing is left of it. The error is an *Error, or
// the context's cause.
func (s *Store) Checkout(ctx context.Context, r Request) (string, error) {
	sha, err := s.checkout(ctx, r)
	if err == nil {
		return sha, nil
	}
	if left := Remove(r.Tree); left != nil {
		r.Say("the unfinished tree could not be removed: " + pathless(left))
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var known *Error
	if !errors.As(err, &known) {
		known = failed("%s", pathless(err))
	}
	return "", known
}

func (s *Store) checkout(ctx context.Context, r Request) (string, error) {
	if err := Available(); err != nil {
		return "", failed("%v on the listener's machine", err)
	}
	want, err := r.want()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	m := s.mirror(r)
	sha, err := m.ensure(ctx, want)
	if err != nil {
		return "", err
	}
	err = m.plant(ctx, r, sha)
	if err != nil && ctx.Err() == nil && m.mayRebuild(err) {
		if sha, err = m.remake(ctx, want); err == nil {
			err = m.plant(ctx, r, sha)
		}
	}
	if err != nil {
		return "", err
	}
	if r.Submodules {
		err = m.submodules(ctx, r)
	}
	return sha, err
}

// plant makes the tree from what the mirror has.
func (m *mirror) plant(ctx context.Context, r Request, sha string) error {
	if err := Remove(r.Tree); err != nil {
		return err
	}
	if err := m.seed(r, sha); err != nil {
		return err
	}
	err := m.git.run(ctx, r.Tree, "read-tree", "--reset", "-u", sha)
	if err != nil && strings.Contains(err.Error(), "unable to write file") {
		// Of several at once git takes away what did not fit, and does not say why: one by one a full disk shows.
		g := m.git
		g.oneByOne = true
		err = g.run(ctx, r.Tree, "read-tree", "--reset", "-u", sha)
	}
	return err
}

// want is what a request asks the mirror for.
type want struct {
	sha  string
	ref  string // as the mirror has it; empty when there is none that could be asked for
	spec string // the refspec that fetches it alone
	tag  bool
}

func (r Request) want() (want, error) {
	w := want{sha: strings.ToLower(r.SHA)}
	if w.sha != "" && !isObjectID(w.sha) {
		return w, failed("the commit's name is not 40 or 64 hex digits")
	}
	here, tag, known := here(r.Ref)
	if known && validRef(r.Ref) {
		w.ref, w.tag, w.spec = here, tag, "+"+r.Ref+":"+here
	}
	if w.sha == "" && w.ref == "" {
		return w, failed("the event names no commit, and no branch or tag that git could have")
	}
	return w, nil
}

// unusedFor is how long nobody may have wanted a mirror before it is removed.
const unusedFor = 30 * 24 * time.Hour

// Prune removes mirrors that nobody has used for a month. One that is in use just now is left.
func (s *Store) Prune() error {
	found, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, f := range found {
		if f.IsDir() {
			err = errors.Join(err, s.pruneOne(f.Name()))
		}
	}
	return err
}

func (s *Store) pruneOne(name string) error {
	dir := filepath.Join(s.dir, name)
	unused := func() bool {
		info, err := os.Stat(filepath.Join(dir, usedFile))
		return err == nil && time.Since(info.ModTime()) > unusedFor
	}
	if !unused() {
		return nil
	}
	lock, err := TryLock(dir + lockSuffix)
	if lock == nil {
		return err
	}
	defer lock.Release()
	if !unused() {
		return nil
	}
	return errors.Join(os.RemoveAll(dir), os.Remove(dir+lockSuffix))
}

// pathless says what went wrong with a file, and leaves out which: its path stays on this machine.
func pathless(err error) string {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Op + ": " + path.Err.Error()
	case errors.As(err, &link):
		return link.Op + ": " + link.Err.Error()
	}
	return err.Error()
}
