package commitstatus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// maxFiles is how many files of a pull request GitHub lists at most; a list that long may be cut
// (https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files).
const maxFiles = 3000

// maxPages bounds the calls for one list: Gitea gives 30 to 50 files a page.
const maxPages = 100

// ErrTooManyFiles says that a pull request changes more files than are listed.
var ErrTooManyFiles = fmt.Errorf("the pull request changes %d files or more: not all are listed", maxFiles)

// ChangedFiles lists what a pull request changes, sorted, each once; of a renamed file both names. It is what else the
// token is for: the event does not say it. The error is a *notify.Error, ErrTooManyFiles or ctx's.
func (t *Target) ChangedFiles(ctx context.Context, fullName string, pr int) ([]string, error) {
	owner, repo, err := where(fullName, noCommit)
	if err != nil {
		return nil, err
	}
	var files []string
	for page := 1; page != 0; {
		if page > maxPages {
			return nil, ErrTooManyFiles
		}
		more, next, err := t.filesPage(ctx, fmt.Sprintf("repos/%s/%s/pulls/%d/files?per_page=100&limit=50&page=%d", owner, repo, pr, page))
		if err != nil {
			return nil, err
		}
		if files = append(files, more...); len(files) >= maxFiles {
			return nil, ErrTooManyFiles
		}
		page = next
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// filesPage reads one page of the list, and says which is the next; 0: none is.
func (t *Target) filesPage(ctx context.Context, path string) (names []string, next int, err error) {
	var list []struct {
		Name     string `json:"filename"`
		Previous string `json:"previous_filename"`
	}
	err = t.call(ctx, func(ctx context.Context, d *dialect) error {
		list, next = nil, 0
		req, err := d.request(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		resp, err := d.do(ctx, req, &list)
		if err == nil {
			next = resp.NextPage
		}
		return err
	})
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil, 0, err
	case err != nil:
		return nil, 0, t.problem(err)
	}
	for _, f := range list {
		names = append(names, f.Name)
		if f.Previous != "" {
			names = append(names, f.Previous)
		}
	}
	return names, next, nil
}
