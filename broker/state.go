package broker

import (
	"fmt"
	"time"
)

// State says, for people, how a broker is reached.
type State struct {
	Up    bool      // hints can flow
	Since time.Time // when Up last changed; for an Announcer also each new connection. UTC

	// Broker names what is connected to, or was last; empty before the first connection. Two sides that
	// show different names are on different brokers.
	Broker string

	Why  string // when not Up: what is wrong, in plain words; never holds a password
	Hint string // when not Up: what to do about it; may be empty
}

// String says it in one line: "connected to rabbit@box, vhost / since …", or what is wrong.
func (s State) String() string {
	since := s.Since.UTC().Format(time.RFC3339)
	if s.Up {
		return fmt.Sprintf("connected to %s since %s", s.Broker, since)
	}
	return fmt.Sprintf("not connected since %s: %s", since, s.Why)
}

// DownError says that hints do not flow now. Nothing is lost by it, and the same call may succeed later.
type DownError struct{ State State }

func (e *DownError) Error() string { return e.State.Why }
