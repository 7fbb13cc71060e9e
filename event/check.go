package event

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Limits on texts that name something. GitHub's owners have at most 39 characters, its repositories 100,
// its refs 255 bytes; other servers allow more.
const (
	maxRepo = 255
	maxRef  = 4096
	maxName = 1000 // actions and logins
	maxURL  = 4096
)

// check refuses what cannot be what it says it is.
func (e *Event) check() error {
	if err := e.checkNUL(); err != nil {
		return err
	}
	if e.Ignored == "" || e.Repo != "" { // a ping of an organisation's hook has no repository
		if err := checkRepo(e.Repo); err != nil {
			return err
		}
	}
	if err := checkRef("ref", e.Ref); err != nil {
		return err
	}
	if e.Name == PullRequest {
		if err := firstError(checkRef("branch", e.Branch), checkRef("base branch", e.Base)); err != nil {
			return err
		}
	}
	return firstError(
		checkObjectID("commit", e.SHA), checkObjectID("before", e.Before), checkObjectID("after", e.After),
		checkLength("action", e.Action, maxName), checkLength("pusher", e.Pusher, maxName))
}

// checkNUL refuses what git and GitHub never send, and neither an environment nor a path can hold.
func (e *Event) checkNUL() error {
	found := false
	e.eachText(func(text *string) { found = found || strings.IndexByte(*text, 0) >= 0 })
	if found {
		return errors.New("a name or a text holds a NUL character")
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRepo wants owner/repo, as it may stand in a path of GitHub's API.
func checkRepo(repo string) error {
	if repo == "" {
		return errors.New(`"repository.full_name" is missing`)
	}
	if err := checkLength("repository", repo, maxRepo); err != nil {
		return err
	}
	owner, name, _ := strings.Cut(repo, "/")
	if !repoPart(owner) || !repoPart(name) {
		return fmt.Errorf(`repository %s is not owner/repo of letters, digits, ".", "_" and "-"`, quoted(repo))
	}
	return nil
}

func repoPart(part string) bool {
	if part == "" || part == "." || part == ".." {
		return false
	}
	for i := range len(part) {
		if c := part[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// checkRef refuses what git itself does (https://git-scm.com/docs/git-check-ref-format), as far as it would
// break an environment or a line: an empty name, and ASCII control characters. Everything else is data.
func checkRef(what, ref string) error {
	if err := checkLength(what, ref, maxRef); err != nil {
		return err
	}
	if ref == headsPrefix || ref == tagsPrefix {
		return fmt.Errorf("%s %s has no name after its last slash", what, quoted(ref))
	}
	for i := range len(ref) {
		if c := ref[i]; c < ' ' || c == 0x7f {
			return fmt.Errorf("%s %s holds a control character, which git does not allow", what, quoted(ref))
		}
	}
	return nil
}

// checkObjectID wants a name of a git object, SHA-1 or SHA-256, or nothing.
func checkObjectID(what, id string) error {
	if id == "" || objectID(id) {
		return nil
	}
	return fmt.Errorf("%s %s is not 40 or 64 hex digits", what, quoted(id))
}

func checkLength(what, text string, max int) error {
	if len(text) <= max {
		return nil
	}
	return fmt.Errorf("%s is %d bytes long, at most %d are allowed: %s", what, len(text), max, quoted(text))
}

func objectID(id string) bool {
	if len(id) != 40 && len(id) != 64 {
		return false
	}
	for i := range len(id) {
		if !hexDigit(id[i]) {
			return false
		}
	}
	return true
}

// zeros reports whether an object id says that there is no object: before a ref was made, after it is gone.
func zeros(id string) bool { return objectID(id) && strings.Trim(id, "0") == "" }

// webPage returns the address of a page that may be linked to, or nothing.
func webPage(address string) string {
	if len(address) > maxURL {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return ""
	}
	return address
}

func alphanumeric(c byte) bool {
	return digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
