package listener

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sys/unix"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/listener/journal"
)

// collection is what a run keeps, of what stands where it worked.
type collection struct {
	root *os.Root // nothing outside is read, whatever links there are
	copy copier
	say  func(string)

	kept  []api.Artifact
	total int64
}

// copier makes the copy of a file that is kept.
type copier func(f *os.File, path string) (api.Artifact, error)

// collect has the files under root that patterns name copied. What cannot be kept is said, and left out.
func collect(root string, patterns []string, copy copier, say func(string)) ([]api.Artifact, error) {
	open, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	c := &collection{root: open, copy: copy, say: say}
	paths, err := c.find(patterns)
	for _, path := range paths {
		if len(c.kept) == api.MaxArtifactCount {
			say(fmt.Sprintf("only the first %d files are kept, of %d", api.MaxArtifactCount, len(paths)))
			break
		}
		if why := c.keep(path); why != nil {
			say(fmt.Sprintf("%q is left out: %v", path, why))
		}
	}
	return c.kept, err
}

// find returns the files that patterns name, sorted. A pattern with a "!" takes back what others before it named. A
// link to a folder is not followed, and the tree's own repository is passed over.
func (c *collection) find(patterns []string) ([]string, error) {
	named := map[string]bool{}
	var failed error
	for _, pattern := range patterns {
		if not, excludes := strings.CutPrefix(pattern, "!"); excludes {
			for path := range named {
				if doublestar.MatchUnvalidated(not, path) {
					delete(named, path)
				}
			}
			continue
		}
		err := doublestar.GlobWalk(c.root.FS(), pattern, func(path string, d fs.DirEntry) error {
			if !d.IsDir() && !strings.HasPrefix(path, ".git/") {
				named[path] = true
			}
			return nil
		}, doublestar.WithNoFollow())
		failed = errors.Join(failed, err)
	}
	paths := make([]string, 0, len(named))
	for path := range named {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, failed
}

// keep copies one file, or says why not.
func (c *collection) keep(path string) error {
	if !api.ArtifactPath(path) {
		return errors.New("its name is too long, or is not UTF-8")
	}
	f, err := c.root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return withoutPath(err)
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case info.Size() > api.MaxArtifact:
		return fmt.Errorf("it has %d bytes, the most is %d", info.Size(), api.MaxArtifact)
	case c.total+info.Size() > api.MaxArtifacts:
		return fmt.Errorf("with it there would be more than %d bytes, the most that a run can keep", api.MaxArtifacts)
	}
	one, err := c.copy(f, path)
	if err != nil {
		return withoutPath(err)
	}
	c.kept = append(c.kept, one)
	c.total += one.Bytes
	return nil
}

// byContent copies into a folder, where a file is named by its SHA-256.
func byContent(dir string) copier {
	return func(f *os.File, path string) (api.Artifact, error) {
		tmp, err := os.CreateTemp(dir, "new-*")
		if err != nil {
			return api.Artifact{}, err
		}
		hash := sha256.New()
		n, err := io.Copy(io.MultiWriter(tmp, hash), io.LimitReader(f, api.MaxArtifact)) // it may grow meanwhile
		err = errors.Join(err, tmp.Close())
		one := api.Artifact{Path: path, Bytes: n, SHA256: hex.EncodeToString(hash.Sum(nil))}
		if err == nil {
			err = os.Rename(tmp.Name(), filepath.Join(dir, one.SHA256))
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
		return one, err
	}
}

// withoutPath is an error without the file's name, which whoever says it names, and without this machine's folders.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// keepPatience is how long handing in artifacts may hold up a run's end. What admin has not got by then follows.
const keepPatience = 30 * time.Second

// keep notes how the commands ended, copies what the run is to keep into the journal, and hands it in: what admin does
// not take can then be said in the run's log. Admin away, it is handed in later, before the run's end is reported.
func (a *attempt) keep(o Outcome, root string, patterns []string, say func(string)) {
	ended := journal.Ended{Finish: api.Finish{Status: o.Status, Reason: o.Reason, ExitCode: o.ExitCode, Steps: a.steps()}, Root: root, Patterns: patterns}
	if err := a.entry.SetEnded(ended); err != nil {
		a.log.Warn("journal could not note how the commands ended", "err", err)
	}
	fault.Point("listener.keeping")
	if !a.collect(root, patterns, say) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepPatience)
	defer cancel()
	a.handIn(ctx, say)
}

// collect copies what the run is to keep, and reports whether there is anything.
func (a *attempt) collect(root string, patterns []string, say func(string)) bool {
	dir, err := a.entry.ArtifactsFolder()
	var list []api.Artifact
	if err == nil {
		list, err = collect(root, patterns, byContent(dir), say)
	}
	if err == nil || len(list) > 0 {
		err = errors.Join(err, a.entry.SetArtifacts(list))
	}
	if err != nil {
		say("not all artifacts can be kept: " + withoutPath(err).Error())
		a.log.Error("artifacts cannot be kept", "err", err)
	}
	fault.Point("listener.artifacts.collected")
	if len(list) == 0 {
		say("no file is named by the patterns")
	}
	return len(list) > 0
}

// handIn hands in artifacts until admin has, or has refused, each of them, or ctx ends.
func (a *attempt) handIn(ctx context.Context, say func(string)) {
	for _, one := range a.entry.Artifacts() {
		if a.over.Load() || ctx.Err() != nil {
			return
		}
		err := a.handInOne(ctx, one)
		var refused *api.Error
		switch {
		case err == nil || ctx.Err() != nil:
		case api.IsCode(err, api.AttemptOver):
			a.giveUp(err)
		case errors.As(err, &refused):
			say(fmt.Sprintf("%q is not kept: %s", one.Path, refused.Message))
			a.log.Warn("admin does not keep an artifact", "path", one.Path, "err", err)
		default:
			a.log.Error("artifact cannot be read", "path", one.Path, "err", err)
		}
		if err != nil && refused == nil {
			continue
		}
		if err := a.entry.HandedIn(one.Path); err != nil {
			a.log.Warn("journal could not note that admin has an artifact; it is handed in again", "path", one.Path, "err", err)
		}
	}
}

// handInOne asks where admin's copy of an artifact ends, and hands in what stands behind.
func (a *attempt) handInOne(ctx context.Context, one api.Artifact) error {
	dir, err := a.entry.ArtifactsFolder()
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, one.SHA256))
	if err != nil {
		return err
	}
	defer f.Close()
	buf, offset := make([]byte, min(one.Bytes, api.MaxLogChunk)), one.Bytes
	for first := true; first || offset < one.Bytes; first = false {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), one.Bytes-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		fault.Point("listener.artifact.sending")
		if offset, err = a.sendArtifact(ctx, one, offset, buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// sendArtifact hands in one chunk, and returns where to go on.
func (a *attempt) sendArtifact(ctx context.Context, one api.Artifact, offset int64, chunk []byte) (next int64, err error) {
	err = a.l.admin.try(ctx, a.log, "handing in artifacts", func(ctx context.Context) error {
		next, err = a.l.opt.Admin.AppendArtifact(ctx, a.ref, one, offset, slices.Clone(chunk))
		var refused *api.Error
		if errors.As(err, &refused) && refused.Code == api.LogGap {
			next = refused.Offset
			return nil
		}
		return err
	})
	return next, err
}
