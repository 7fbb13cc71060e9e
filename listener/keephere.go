package listener

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"lightspeed/api"
)

// keepHere keeps what a run here is to keep in a folder, each file by its own path; without a folder it only finds
// out what that would be. list gets what was kept.
func keepHere(folder string, list *[]api.Artifact) func(o Outcome, root string, patterns []string, say func(string)) {
	return func(_ Outcome, root string, patterns []string, say func(string)) {
		kept, err := keepUnder(folder, root, patterns, say)
		*list = kept
		switch {
		case err != nil:
			say("not all artifacts can be kept: " + err.Error())
		case len(kept) == 0:
			say("no file is named by the patterns")
		}
	}
}

func keepUnder(folder, root string, patterns []string, say func(string)) ([]api.Artifact, error) {
	if folder == "" {
		return collect(root, patterns, measure, say)
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	to, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	return collect(root, patterns, byPath(to), say)
}

// measure copies nothing.
func measure(f *os.File, path string) (api.Artifact, error) {
	info, err := f.Stat()
	if err != nil {
		return api.Artifact{}, err
	}
	return api.Artifact{Path: path, Bytes: info.Size()}, nil
}

// byPath copies into a folder, where a file has the path that it had.
func byPath(to *os.Root) copier {
	return func(f *os.File, path string) (api.Artifact, error) {
		if err := to.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return api.Artifact{}, err
		}
		out, err := to.Create(path)
		if err != nil {
			return api.Artifact{}, err
		}
		n, err := io.Copy(out, io.LimitReader(f, api.MaxArtifact))
		return api.Artifact{Path: path, Bytes: n}, errors.Join(err, out.Close())
	}
}
