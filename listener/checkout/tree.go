package checkout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// seedTries is how often the packs are linked anew when some vanish meanwhile: someone puts them together.
const (
	seedTries = 5
	seedPause = 10 * time.Millisecond
)

// packFiles are the endings of a pack's files. The first two must be there.
var packFiles = []string{".pack", ".idx", ".rev", ".bitmap"}

// seed makes a tree's repository: HEAD at the commit, all that the mirror has, and no file checked out yet.
func (m *mirror) seed(r Request, sha string) error {
	dir := filepath.Join(r.Tree, ".git")
	for _, folder := range []string{"objects/info", packFolder, "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	version, extensions := 0, ""
	if format := objectFormat(sha); format != "sha1" {
		version, extensions = 1, setting("extensions.objectformat", format)
	}
	config := setting("core.repositoryformatversion", fmt.Sprint(version)) + setting("core.bare", "false") +
		setting("core.logallrefupdates", "true") + extensions +
		setting("remote.origin.url", r.URL) + setting("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte(sha+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	for _, name := range []string{"packed-refs", "shallow"} {
		if missing := copyFile(filepath.Join(m.repo, name), filepath.Join(dir, name)); !errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, missing)
		}
	}
	if err != nil {
		return err
	}
	from, to := filepath.Join(m.repo, packFolder), filepath.Join(dir, packFolder)
	for try := 1; ; try++ {
		err := linkPacks(from, to)
		if try == seedTries || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged) {
			return err
		}
		time.Sleep(seedPause)
	}
}

// linkPacks links all packs of a folder that are whole.
func linkPacks(from, to string) error {
	names, err := packs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		for i, ending := range packFiles {
			err := link(filepath.Join(from, name+ending), filepath.Join(to, name+ending))
			if err != nil && (i < 2 || !errors.Is(err, fs.ErrNotExist)) {
				return err
			}
		}
	}
	return nil
}

// link links a file, or copies it where that cannot be done: on another file system, or past the limit of links.
func link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return ignore(err, fs.ErrExist)
	}
	return copyFile(from, to)
}

func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// submodules checks out the tree's submodules. Their URLs are the commit's text: what they may use is what git was
// told above. A stranger's commit must not reach with our token what the stranger cannot.
func (m *mirror) submodules(ctx context.Context, r Request) error {
	if _, err := os.Lstat(filepath.Join(r.Tree, ".gitmodules")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := m.letThrough(ctx); err != nil {
		return err
	}
	g := m.git
	g.noTokens = r.Fork
	args := []string{"submodule", "--quiet", "update", "--init", "--recursive", "--checkout", "--jobs=4"}
	if r.Depth > 0 {
		args = append(args, fmt.Sprintf("--depth=%d", r.Depth))
	}
	return g.run(ctx, r.Tree, args...)
}

// Remove removes a tree, also one whose folders may not be written in.
func Remove(tree string) error {
	err := os.RemoveAll(tree)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(tree)
}
