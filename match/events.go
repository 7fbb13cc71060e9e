package match

import (
	"fmt"
	"slices"
	"strings"

	"lightspeed/event"
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
			wrong.Hint = nearest(name, event.Names())
		case hasAction && known == nil:
			wrong.Problem = fmt.Sprintf("names an action, but %s has none", name)
		case hasAction && !slices.Contains(known, action):
			wrong.Problem = fmt.Sprintf("is not an action of %s: %s", name, strings.Join(known, ", "))
			wrong.Hint = nearest(action, known)
		default:
			asks[i] = ask{name, action}
			continue
		}
		return nil, wrong
	}
	return asks, nil
}

// nearest suggests the word that a typing mistake or two away was meant.
func nearest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(word, k, distance); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance counts the letters to add, drop or change; limit or more is limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
