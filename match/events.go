package match

import (
	"fmt"
	"slices"
	"strings"

	"lightspeed/event"
	"lightspeed/suggest"
)

// ask is one value of events: an event, and an action or "" for those that the event runs on by itself.
type ask struct{ event, action string }

func (a ask) String() string {
	if a.action == "" {
		return a.event
	}
	return a.event + ":" + a.action
}

// holds reports whether the event is asked for. A plain pull_request means a new state of its commits; a
// plain release means each of its actions.
func (a ask) holds(e *event.Event) bool {
	switch {
	case a.event != e.Name:
		return false
	case a.action == "" && a.event == event.PullRequest:
		return slices.Contains(pullRequestDefault, e.Action)
	}
	return a.action == "" || a.action == e.Action
}

var pullRequestDefault = []string{"opened", "reopened", "synchronize", "ready_for_review"}

// actionsOf lists the actions of the events that have some
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads), and those that only Gitea sends.
var actionsOf = map[string][]string{
	event.PullRequest: {
		"assigned", "auto_merge_disabled", "auto_merge_enabled", "closed", "converted_to_draft", "demilestoned",
		"dequeued", "edited", "enqueued", "labeled", "locked", "milestoned", "opened", "ready_for_review", "reopened",
		"review_request_removed", "review_requested", "synchronize", "unassigned", "unlabeled", "unlocked",
		"label_cleared", "label_updated", "reviewed",
	},
	event.Release: {"created", "deleted", "edited", "prereleased", "published", "released", "unpublished", "updated"},
}

func compileEvents(list []string) ([]ask, error) {
	if len(list) == 0 {
		return []ask{{event: event.Push}}, nil
	}
	if err := checkCount("events", list); err != nil {
		return nil, err
	}
	asks := make([]ask, len(list))
	for i, value := range list {
		wrong := &RuleError{Key: "events", Index: i, Value: value}
		name, action, hasAction := strings.Cut(value, ":")
		known := actionsOf[name]
		switch {
		case !slices.Contains(event.Names(), name):
			wrong.Problem = "is not an event that a listener can ask for: " + strings.Join(event.Names(), ", ")
			wrong.Hint = didYouMean(name, event.Names())
		case hasAction && known == nil:
			wrong.Problem = fmt.Sprintf("names an action, but %s has none", name)
		case hasAction && !slices.Contains(known, action):
			wrong.Problem = fmt.Sprintf("is not an action of %s: %s", name, strings.Join(known, ", "))
			wrong.Hint = didYouMean(action, known)
		default:
			asks[i] = ask{name, action}
			continue
		}
		return nil, wrong
	}
	return asks, nil
}

// didYouMean is a hint that names the word that was most likely meant; empty when none is near.
func didYouMean(word string, known []string) string {
	if meant := suggest.Nearest(word, known); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return ""
}
