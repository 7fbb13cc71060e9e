package match

import (
	"fmt"
	"regexp"
	"strings"

	"lightspeed/event"
)

// maxValues is the longest list of a rule.
const maxValues = 1000

// Values of Rules.Forks.
const (
	never  = "never"
	always = "always"
)

// Matcher is a listener's rules, compiled. It is never changed, and may be used by many goroutines at once.
type Matcher struct {
	rules Rules
	name  nameRule // asked when repos is empty
	repos filter
	asks  []ask

	branches, tags, files     filter
	branchFilter, filesFilter filter
	messageMatch, messageSkip *pattern // nil: not set
}

// Compile checks rules and compiles them. The error is a *RuleError for the first value, in the config's
// order of keys, that cannot be used.
func Compile(r Rules) (*Matcher, error) {
	m := &Matcher{rules: r, name: newNameRule(r.Name)}
	for _, step := range []func() error{
		func() error { return CheckName(r.Name) },
		func() (err error) { m.repos, err = compileRepos(r.Repos); return err },
		func() (err error) { m.asks, err = compileEvents(r.Events); return err },
		func() (err error) { m.branches, err = compileFilter("branches", r.Branches, actions); return err },
		func() (err error) { m.tags, err = compileFilter("tags", r.Tags, actions); return err },
		func() (err error) { m.files, err = compileFilter("files", r.Files, actions); return err },
		func() (err error) {
			m.branchFilter, err = compileTexts("branch_filter", r.BranchFilter, literalPattern)
			return err
		},
		func() (err error) {
			m.filesFilter, err = compileTexts("files_filter", r.FilesFilter, substringPattern)
			return err
		},
		func() error { return m.compileMessage(r.Message) },
		func() error { return checkForks(r.Forks) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Rules returns what the Matcher was compiled from. The lists are shared: they must not be changed.
func (m *Matcher) Rules() Rules { return m.rules }

// compileRepos compiles globs over owner/repo.
func compileRepos(list []string) (filter, error) {
	for i, value := range list {
		text := strings.TrimPrefix(value, "!")
		if text == "" || text == everyRepo || strings.Contains(text, "/") || strings.Contains(text, "**") {
			continue
		}
		return filter{}, &RuleError{Key: "repos", Index: i, Value: value,
			Problem: "has no slash, but is compared with owner/repo: it would never match",
			Hint:    fmt.Sprintf(`did you mean "*/%s"?`, shown(text))}
	}
	return compileFilter("repos", list, globs)
}

func (m *Matcher) compileMessage(r *Message) (err error) {
	if r == nil {
		return nil
	}
	if m.messageMatch, err = compileExpression("message.match", r.Match); err != nil {
		return err
	}
	m.messageSkip, err = compileExpression("message.skip", r.Skip)
	return err
}

// compileExpression compiles an RE2 expression; an empty one is not set.
func compileExpression(key, value string) (*pattern, error) {
	if value == "" {
		return nil, nil
	}
	wrong := &RuleError{Key: key, Index: -1, Value: value}
	if len(value) > maxPattern {
		wrong.Problem = fmt.Sprintf("is %d bytes long, at most %d are allowed", len(value), maxPattern)
		return nil, wrong
	}
	re, err := regexp.Compile(value)
	if err != nil {
		wrong.Problem = "is not an RE2 expression: " + strings.TrimPrefix(event.Shown(err.Error(), maxShown), "error parsing regexp: ")
		return nil, wrong
	}
	return &pattern{key: "re2 " + value, source: value, shape: byRegexp, re: re}, nil
}

func checkForks(value string) error {
	if value == "" || value == never || value == always {
		return nil
	}
	return &RuleError{Key: "forks", Index: -1, Value: value, Problem: fmt.Sprintf("is neither %q nor %q", never, always)}
}

func checkCount(key string, list []string) error {
	if len(list) <= maxValues {
		return nil
	}
	return &RuleError{Key: key, Index: maxValues, Value: list[maxValues],
		Problem: fmt.Sprintf("is one of %d values, at most %d are allowed", len(list), maxValues)}
}

func textProblem(text string) string {
	switch {
	case text == "":
		return "is empty"
	case len(text) > maxPattern:
		return fmt.Sprintf("is %d bytes long, at most %d are allowed", len(text), maxPattern)
	}
	return ""
}
