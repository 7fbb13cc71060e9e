package match

import (
	"fmt"

	"lightspeed/event"
)

// RuleError says which value of a listener's rules cannot be used, and why.
type RuleError struct {
	Key     string // the config key: "branches", "message.match"
	Index   int    // which value of a list, from 0; -1 when the key has one value
	Value   string // as it was given
	Problem string // what is wrong with it
	Hint    string // what to do about it; may be empty
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("%s: %s %s", e.Key, quoted(e.Value), e.Problem)
}

func quoted(text string) string { return `"` + shown(text) + `"` }

// maxShown is how many bytes of a value from outside are shown.
const maxShown = 200

func shown(text string) string { return event.Shown(text, maxShown) }
