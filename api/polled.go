package api

import (
	"context"
	"net/http"
	"net/url"
)

// PollPrefix begins the ids of deliveries that stand for what a listener has found by itself.
const PollPrefix = "poll-"

// Polled is the body of POST listeners/{name}/polled: a push that a listener has found by looking at a repository.
// Exactly one of Branch and Tag is set.
type Polled struct {
	Repo    string   `json:"repo"`
	Branch  string   `json:"branch"`
	Tag     string   `json:"tag"`
	SHA     string   `json:"sha"`     // the commit; zeros: the ref is gone
	Before  string   `json:"before"`  // the commit before; zeros: the ref is new
	Files   []string `json:"files"`   // what changed; none: that is not known
	Message string   `json:"message"` // of the commit; empty when that is not known
}

// Polled hands in a push that a listener has found. When a webhook has brought it, too, no run comes of it, and the
// receipt's Skipped says which one it was.
func (c *Client) Polled(ctx context.Context, listener string, p Polled) (Receipt, error) {
	var receipt Receipt
	err := c.call(ctx, http.MethodPost, "/listeners/"+url.PathEscape(listener)+"/polled", nil, p, &receipt)
	return receipt, err
}
