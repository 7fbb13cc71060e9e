package match

import (
	"strings"
)

// filter is a list of patterns in the config's order: of those that match a text the last one decides, and
// with "!" it decides against. A text that none matches is not in.
type filter struct {
	entries  []entry
	excludes bool // an entry has a "!"
}

type entry struct {
	*pattern
	not bool
}

func (f filter) empty() bool { return len(f.entries) == 0 }

// holds asks the entries from the last to the first, since the last that matches decides.
func (f filter) holds(matches func(*pattern) bool) bool {
	for i := len(f.entries) - 1; i >= 0; i-- {
		if e := f.entries[i]; matches(e.pattern) {
			return !e.not
		}
	}
	return false
}

// String lists the patterns as the config has them.
func (f filter) String() string {
	var b strings.Builder
	for i, e := range f.entries {
		if i > 0 {
			b.WriteString(", ")
		}
		if e.not {
			b.WriteByte('!')
		}
		b.WriteString(e.source)
	}
	return b.String()
}

// compileFilter compiles a list of patterns.
func compileFilter(key string, list []string, lang language) (filter, error) {
	if err := checkCount(key, list); err != nil {
		return filter{}, err
	}
	var f filter
	for i, value := range list {
		text, not := strings.CutPrefix(value, "!")
		if not && text == "" {
			return filter{}, &RuleError{Key: key, Index: i, Value: value, Problem: "excludes nothing: no pattern follows"}
		}
		p, problem := newPattern(text, lang)
		if problem != "" {
			return filter{}, &RuleError{Key: key, Index: i, Value: value, Problem: problem}
		}
		f.entries = append(f.entries, entry{p, not})
		f.excludes = f.excludes || not
	}
	if len(list) > 0 && f.onlyExcludes() {
		return filter{}, &RuleError{Key: key, Index: 0, Value: list[0],
			Problem: "only excludes, as the whole list does: nothing would ever match",
			Hint:    `put "**" first, to exclude from everything`}
	}
	return f, nil
}

func (f filter) onlyExcludes() bool {
	for _, e := range f.entries {
		if !e.not {
			return false
		}
	}
	return true
}

// compileTexts makes a filter of values that are no patterns.
func compileTexts(key string, list []string, newPattern func(string) *pattern) (filter, error) {
	if err := checkCount(key, list); err != nil {
		return filter{}, err
	}
	var f filter
	for i, value := range list {
		if problem := textProblem(value); problem != "" {
			return filter{}, &RuleError{Key: key, Index: i, Value: value, Problem: problem}
		}
		f.entries = append(f.entries, entry{newPattern(value), false})
	}
	return f, nil
}
