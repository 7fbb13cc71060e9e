package notify

import (
	"context"
	"time"

	"lightspeed/run"
)

// Sample makes a notice that says of itself that nothing ran, for Try. The repository and the commit may be
// empty; who wants a commit's status to be set gives both.
func Sample(listener, host, repo, sha string) Notice {
	now := time.Now().UTC()
	return Notice{
		Listener: listener, Run: "sample", Attempt: 1, Cause: run.ByTrigger, Host: host, State: run.Passed,
		Event: Head{
			Name: "push", Repo: repo, SHA: sha, Ref: "refs/heads/sample", Branch: "sample",
			Message: "A sample from lightspeed notify test: nothing ran", Author: "lightspeed",
		},
		QueuedAt: now, StartedAt: now.Add(-time.Second), FinishedAt: now, Log: Tail{Text: []byte("hello from lightspeed\n")},
	}
}

// Answer says what came back from one target.
type Answer struct {
	Target string
	Said   string
	Err    error
}

// tryLimit bounds one sample, whatever the far end does.
const tryLimit = 90 * time.Second

// Try sends a sample to each target, one after the other, and returns one Answer a target.
func Try(ctx context.Context, targets []Target, sample Notice) []Answer {
	answers := make([]Answer, 0, len(targets))
	for _, target := range targets {
		ctx, cancel := context.WithTimeout(ctx, tryLimit)
		said, err := target.Try(ctx, sample)
		cancel()
		answers = append(answers, Answer{target.Name(), said, err})
	}
	return answers
}
