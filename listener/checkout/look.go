package checkout

import (
	"context"
	"os"
	"strings"
)

// Refs are the branches and tags of a repository, by their full names.
type Refs map[string]Ref

// Ref is where a ref points.
type Ref struct {
	Object string `json:"object"` // of an annotated tag the tag itself
	Commit string `json:"commit"`
}

// Look asks where a repository's branches and tags are, without fetching anything. Names that git would not have are
// left out. Only URL, Token and Env of the request count.
func (s *Store) Look(ctx context.Context, r Request) (Refs, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	m := s.mirror(r)
	if err := m.letThrough(ctx); err != nil {
		return nil, err
	}
	answer, err := m.ask(ctx, s.dir, "", "ls-remote", "--heads", "--tags", "--", m.url)
	if err != nil {
		return nil, err
	}
	refs := Refs{}
	for line := range strings.Lines(answer) {
		object, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !isObjectID(object) {
			continue
		}
		if tag, peeled := strings.CutSuffix(name, "^{}"); peeled {
			if known, ok := refs[tag]; ok {
				known.Commit = object
				refs[tag] = known
			}
		} else if validRef(name) {
			refs[name] = Ref{object, object}
		}
	}
	return refs, nil
}

// mostFiles bounds how many changed files are told of one push: no more are told by GitHub either.
const mostFiles = 3000

// Changes fetches the request's commit, and says which files differ from a commit before it, and what its message
// is. Files are unknown, nil, when the commit before is none of its ancestors, or when they are too many.
func (s *Store) Changes(ctx context.Context, r Request, before string) (files []string, message string, err error) {
	if r.Say == nil {
		r.Say = func(string) {}
	}
	want, err := r.want()
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, "", err
	}
	m := s.mirror(r)
	sha, err := m.ensure(ctx, want)
	if err != nil {
		return nil, "", err
	}
	if message, err = m.ask(ctx, m.repo, "", "log", "-1", "--format=%B", sha); err != nil {
		return nil, "", err
	}
	message = strings.TrimRight(message, "\n")
	if !isObjectID(before) {
		return nil, message, nil
	}
	if _, err := m.ask(ctx, m.repo, "", "merge-base", "--is-ancestor", before, sha); err != nil {
		return nil, message, nil // forced, or not there: what it had changed is not known
	}
	list, err := m.ask(ctx, m.repo, "", "diff-tree", "-r", "-z", "--name-only", "--no-renames", before, sha)
	files = strings.FieldsFunc(list, func(r rune) bool { return r == 0 })
	if err != nil || len(files) > mostFiles {
		files = nil
	}
	return files, message, nil
}
