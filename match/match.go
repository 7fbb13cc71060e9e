package match

import (
	"fmt"
	"strings"

	"lightspeed/event"
)

// order is the order in which rules are asked; the first that does not hold is the reason. The repository
// comes first: a listener that is not about it has nothing to say. Then comes what kind of event it is, then
// its ref, then what is in it: from what someone reads first on GitHub's page to what they read last.
var order = []func(*Matcher, *sight) *Decision{
	(*Matcher).repoRule, (*Matcher).eventRule, (*Matcher).forkRule, (*Matcher).deleteRule,
	(*Matcher).refRule, (*Matcher).fileRule, (*Matcher).messageRule,
}

// Match decides about one event.
func (m *Matcher) Match(e event.Event) Decision { return m.decide(newSight(&e)) }

func (m *Matcher) decide(s *sight) Decision {
	for _, rule := range order {
		if d := rule(m, s); d != nil {
			return *d
		}
	}
	return Decision{Matched: true}
}

// no is a rule that does not hold.
func no(rule, saw, want string) *Decision {
	saw, want = shown(saw), shown(want)
	return &Decision{Rule: rule, Saw: saw, Want: want, Why: rule + ": saw " + saw + ", want " + want}
}

// aboutRepo reports whether the listener is about the event's repository at all.
func (m *Matcher) aboutRepo(s *sight) bool {
	if m.repos.empty() {
		return m.name.holds(s.texts[repoText])
	}
	return s.texts[repoText] != "" && s.holds(m.repos, repoText)
}

func (m *Matcher) repoRule(s *sight) *Decision {
	if m.aboutRepo(s) {
		return nil
	}
	saw := orNone(s.event.Repo, "no repository")
	if m.repos.empty() {
		return no("name", saw, "a repository that the name "+m.rules.Name+" fits")
	}
	return no("repos", saw, m.repos.String())
}

func (m *Matcher) eventRule(s *sight) *Decision {
	want := make([]string, len(m.asks))
	for i, a := range m.asks {
		if s.event.Ignored == "" && a.holds(s.event) {
			return nil
		}
		want[i] = a.String()
	}
	d := no("events", ask{s.event.Name, s.event.Action}.String(), strings.Join(want, ", "))
	if s.event.Ignored != "" {
		d.Why = "events: " + s.event.Ignored
	}
	return d
}

func (m *Matcher) forkRule(s *sight) *Decision {
	if !s.event.Fork || m.rules.Forks == always {
		return nil
	}
	return no("forks", "a pull request from a fork", "forks: always")
}

// deleteRule is about pushes: who asks for the event delete wants deletes.
func (m *Matcher) deleteRule(s *sight) *Decision {
	if !s.event.Deleted || m.rules.Deletes || s.event.Name == event.Delete {
		return nil
	}
	return no("deletes", refWords(s.event)+" deleted", "deletes: true")
}

// refRule asks branches and branch_filter, or tags. Where only one kind is named the other does not match.
func (m *Matcher) refRule(s *sight) *Decision {
	onBranches := !m.branches.empty() || !m.branchFilter.empty()
	onTags := !m.tags.empty()
	if !onBranches && !onTags {
		return nil
	}
	saw := refWords(s.event)
	if s.event.Tag != "" {
		switch {
		case !onTags && !m.branches.empty():
			return no("branches", saw, m.branches.String())
		case !onTags:
			return no("branch_filter", saw, m.branchFilter.String())
		case !s.holds(m.tags, refText):
			return no("tags", s.event.Tag, m.tags.String())
		}
		return nil
	}
	switch {
	case !onBranches:
		return no("tags", saw, m.tags.String())
	case !m.branches.empty() && !s.holds(m.branches, refText):
		return no("branches", s.texts[refText], m.branches.String())
	case !m.branchFilter.empty() && !s.holds(m.branchFilter, refText):
		return no("branch_filter", s.texts[refText], m.branchFilter.String())
	}
	return nil
}

// fileRule asks files and files_filter. An unknown list matches: it may hold what is looked for.
func (m *Matcher) fileRule(s *sight) *Decision {
	if s.event.Tag != "" || !s.event.FilesKnown {
		return nil
	}
	if !m.files.empty() && !s.anyFile(m.files) {
		return no("files", fileWords(s.event.Files), m.files.String())
	}
	if !m.filesFilter.empty() && !s.anyFile(m.filesFilter) {
		return no("files_filter", fileWords(s.event.Files), m.filesFilter.String())
	}
	return nil
}

func (m *Matcher) messageRule(s *sight) *Decision {
	if word := s.skipWord(); word != "" {
		return no("message", word, "a message without it")
	}
	saw := orNone(firstLine(s.texts[messageText]), "no message")
	if m.messageSkip != nil && s.matches(m.messageSkip, messageText) {
		return no("message", saw, "no match of "+m.messageSkip.source)
	}
	if m.messageMatch != nil && !s.matches(m.messageMatch, messageText) {
		return no("message", saw, "a match of "+m.messageMatch.source)
	}
	return nil
}

func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

// refWords names the event's ref, and what kind of ref it is.
func refWords(e *event.Event) string {
	switch {
	case e.Tag != "":
		return "tag " + e.Tag
	case e.Name == event.PullRequest:
		return "base branch " + e.Base
	}
	return "branch " + e.Branch
}

// fileWords lists as many files as are worth reading.
func fileWords(files []string) string {
	const most = 3
	switch {
	case len(files) == 0:
		return "no changed file"
	case len(files) <= most:
		return strings.Join(files, ", ")
	}
	shortened := make([]string, most)
	for i := range shortened {
		shortened[i] = event.Shown(files[i], maxShown/4)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(shortened, ", "), len(files)-most)
}
