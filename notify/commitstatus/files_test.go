package commitstatus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lightspeed/notify"
	"lightspeed/notify/commitstatus/githubtest"
	"lightspeed/secret"
)

func TestChangedFiles(t *testing.T) {
	s := githubtest.New(t, githubtest.Gitea, "ghp_files")
	tg, err := New(Options{Token: secret.New("ghp_files"), URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	var many, most []githubtest.File
	for i := range maxFiles {
		f := githubtest.File{Name: fmt.Sprintf("f%04d", i), Patch: strings.Repeat("+line\n", 2000)}
		if i < 250 {
			many = append(many, f)
		}
		most = append(most, githubtest.File{Name: f.Name})
	}
	many[249].Previous = "e/old name"
	s.Pull("acme/site", 7, many...)
	s.Pull("acme/site", 8, most...)
	s.Pull("acme/site", 9)

	files, err := tg.ChangedFiles(t.Context(), "acme/site", 7)
	if err != nil || len(files) != 251 || files[0] != "e/old name" || files[250] != "f0249" || !slices.IsSorted(files) {
		t.Errorf("%d files, %v", len(files), err)
	}
	if files, err = tg.ChangedFiles(t.Context(), "acme/site", 9); err != nil || len(files) != 0 {
		t.Errorf("of an empty one: %q, %v", files, err)
	}
	if _, err = tg.ChangedFiles(t.Context(), "acme/site", 8); !errors.Is(err, ErrTooManyFiles) {
		t.Errorf("of one that is too large: %v", err)
	}
	var problem *notify.Error
	if _, err = tg.ChangedFiles(t.Context(), "acme/site", 10); !errors.As(err, &problem) || !problem.Final {
		t.Errorf("of one that there is not: %v", err)
	}
	before := s.Requests()
	if _, err = tg.ChangedFiles(t.Context(), "acme/../x", 7); err == nil || s.Requests() != before {
		t.Errorf("of no repository: %v, %d calls", err, s.Requests()-before)
	}
}
