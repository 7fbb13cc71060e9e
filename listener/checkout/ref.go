package checkout

import (
	"regexp"
	"strings"
)

// validRef reports whether git would have a ref of this full name (https://git-scm.com/docs/git-check-ref-format). It
// is stricter in one thing: no part begins with a "-".
func validRef(ref string) bool {
	if !strings.HasPrefix(ref, "refs/") || len(ref) > 1000 || strings.HasSuffix(ref, ".") {
		return false
	}
	for _, bad := range []string{"..", "@{", "//", "~", "^", ":", "?", "*", "[", `\`, " "} {
		if strings.Contains(ref, bad) {
			return false
		}
	}
	if strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

const (
	heads = "refs/heads/"
	tags  = "refs/tags/"
	pulls = "refs/pull/"

	headsHere = "refs/remotes/origin/"
	pullsHere = "refs/remotes/pull/"
)

// allBranches and allTags are what a mirror fetches: the names are those that a clone would have.
const (
	allBranches = "+" + heads + "*:" + headsHere + "*"
	allTags     = "+" + tags + "*:" + tags + "*"
)

// here is a remote's ref as a mirror, and a tree, has it.
func here(ref string) (name string, tag, known bool) {
	if branch, ok := strings.CutPrefix(ref, heads); ok {
		return headsHere + branch, false, true
	}
	if pull, ok := strings.CutPrefix(ref, pulls); ok {
		return pullsHere + pull, false, true
	}
	return ref, true, strings.HasPrefix(ref, tags)
}

// pullSpec fetches a pull request's head, and what merging it would give, where the server has that.
func pullSpec(here string) (string, bool) {
	pull, ok := strings.CutPrefix(here, pullsHere)
	number, _, _ := strings.Cut(pull, "/")
	return "+" + pulls + number + "/*:" + pullsHere + number + "/*", ok
}

var objectID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func isObjectID(text string) bool { return objectID.MatchString(text) }

// objectFormat is the kind of hash that a repository with such a commit has.
func objectFormat(sha string) string {
	if len(sha) == 64 {
		return "sha256"
	}
	return "sha1"
}
