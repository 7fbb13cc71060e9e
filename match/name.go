package match

import (
	"regexp"
	"strings"
)

var listenerName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\z`)

// CheckName says what keeps a text from being a listener's name: a *RuleError, or nil.
func CheckName(name string) error {
	wrong := &RuleError{Key: "name", Index: -1, Value: name}
	switch {
	case listenerName.MatchString(name):
		return nil
	case name == "":
		wrong.Problem = "is empty"
	default:
		wrong.Problem = `is not a listener's name: letters, digits, ".", "_" and "-", beginning with a letter or digit, ` +
			`at most 64, and at most one "/" between two such parts`
	}
	return wrong
}

// nameRule decides about a repository by the listener's name alone.
type nameRule struct{ name string } // in lower case

func newNameRule(name string) nameRule { return nameRule{strings.ToLower(name)} }

// holds reports whether owner/repo, in lower case, contains the name, or the name begins or ends with the
// repository's own name at a "-", "_", "." or its end: my-repo-tests is about anyone/my-repo.
func (n nameRule) holds(repo string) bool {
	_, own, _ := strings.Cut(repo, "/")
	if own == "" {
		return false
	}
	if strings.Contains(repo, n.name) {
		return true
	}
	if rest, ok := strings.CutPrefix(n.name, own); ok && separator(rest[0]) {
		return true
	}
	rest, ok := strings.CutSuffix(n.name, own)
	return ok && separator(rest[len(rest)-1])
}

func separator(c byte) bool { return c == '-' || c == '_' || c == '.' }
