package match

import (
	"slices"
	"strings"

	"lightspeed/event"
)

// maxSentence bounds what Sentence returns, in bytes; each part of it is bounded as well.
const maxSentence = 1000

// Sentence says in one sentence what a listener with these rules listens for. It may be asked of rules that
// Compile refuses.
func (r Rules) Sentence() string {
	parts := []string{shown(r.Name) + " listens for " + r.sayEvents() + " in " + r.sayRepos()}
	say := func(list []string, before string) {
		if len(list) > 0 {
			parts = append(parts, before+shown(sayPatterns(list)))
		}
	}
	say(r.Branches, "on branches ")
	say(r.BranchFilter, "on branches named ")
	say(r.Tags, "on tags ")
	say(r.Files, "when files change that match ")
	say(r.FilesFilter, "when files change whose name contains ")
	if r.Message != nil && r.Message.Match != "" {
		parts = append(parts, "when the message matches "+shown(r.Message.Match))
	}
	if r.Message != nil && r.Message.Skip != "" {
		parts = append(parts, "unless the message matches "+shown(r.Message.Skip))
	}
	if r.Forks == always {
		parts = append(parts, "also from forks")
	}
	if r.Deletes {
		parts = append(parts, "also when a branch or tag is deleted")
	}
	return event.Shown(strings.Join(parts, ", "), maxSentence)
}

func (r Rules) sayRepos() string {
	if len(r.Repos) == 0 {
		return "repositories that its name fits"
	}
	if slices.Equal(r.Repos, []string{everyRepo}) || slices.Equal(r.Repos, []string{"**"}) {
		return "every repository"
	}
	return shown(sayPatterns(r.Repos))
}

// plural says what an event is, for more than one of it.
var plural = map[string]string{
	event.Push: "pushes", event.PullRequest: "pull requests", event.Create: "new branches and tags",
	event.Delete: "deleted branches and tags", event.Release: "releases",
}

func (r Rules) sayEvents() string {
	events := r.Events
	if len(events) == 0 {
		events = []string{event.Push}
	}
	var names []string
	actions := map[string][]string{}
	for _, value := range events {
		name, action, _ := strings.Cut(value, ":")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		actions[name] = append(actions[name], sayActions(name, action)...)
	}
	for i, name := range names {
		said := plural[name]
		if said == "" {
			said = name
		}
		if list := actions[name]; len(list) > 0 {
			said += " (" + strings.Join(list, ", ") + ")"
		}
		names[i] = said
	}
	return shown(joinAnd(names))
}

// sayActions says which actions a value of events means; none: the event has no actions.
func sayActions(name, action string) []string {
	switch {
	case action != "":
		return []string{action}
	case name == event.PullRequest:
		return pullRequestDefault
	case name == event.Release:
		return []string{"any action"}
	}
	return nil
}

// sayPatterns lists patterns in their order, which counts.
func sayPatterns(list []string) string {
	said := make([]string, len(list))
	for i, value := range list {
		said[i] = value
		if text, not := strings.CutPrefix(value, "!"); not {
			said[i] = "not " + text
		}
	}
	return strings.Join(said, ", ")
}

func joinAnd(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
