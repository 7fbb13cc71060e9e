package api

import "time"

// Missing is a delivery that GitHub sent and admin has not.
type Missing struct {
	Delivery string    `json:"delivery"`
	Event    string    `json:"event"`
	Action   string    `json:"action"`
	SentAt   time.Time `json:"sent_at"` // the last time
	Status   string    `json:"status"`  // in GitHub's words
	Code     int       `json:"code"`    // of the answer that GitHub got; 0 when there was none
	Asked    bool      `json:"asked"`   // GitHub was asked for it again, now or before
}

// HookGaps is what one of GitHub's hooks sent since a moment, and what of it admin has not.
type HookGaps struct {
	Hook    string    `json:"hook"`
	Since   time.Time `json:"since"`
	Sent    int       `json:"sent"` // deliveries, each counted once however often it was sent
	Missing []Missing `json:"missing"`
	Asked   int       `json:"asked"` // how many of them GitHub was asked for just now
	Error   *string   `json:"error"` // why it ended early
}

// Gaps answers POST recover[?dry_run=1] and GET gaps.
type Gaps struct {
	DryRun bool       `json:"dry_run"`
	Hooks  []HookGaps `json:"hooks"`
	// Unsent are deliveries that admin has and that none of the hooks sent, at most MaxLimit; of GET gaps only.
	Unsent []string `json:"unsent"`
}
