// Package event says what happened: a Delivery as it arrived, and the Event read out of it.
// It does no input or output and imports nothing of ours.
package event

import "time"

// MaxPayload is the largest body that is read, in bytes. GitHub sends at most 25 MB; an event that is
// larger is not delivered at all (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
const MaxPayload = 25 << 20

// Delivery is one webhook request as it arrived: three headers and the raw body.
type Delivery struct {
	ID          string    // X-GitHub-Delivery; the same again when GitHub redelivers
	Event       string    // X-GitHub-Event: "push", "pull_request", …
	ContentType string    // media type without parameters: application/json or application/x-www-form-urlencoded
	ReceivedAt  time.Time // when it was accepted, UTC
	Body        []byte    // the bytes that the signature covers, at most MaxPayload
}

// Event is what a delivery says, in the terms that rules and scripts use. Fields that the event does not
// have are empty. Every string is the sender's text, kept byte for byte: data, never a command or a path.
type Event struct {
	Name   string // X-GitHub-Event
	Action string // "opened", "published", …; empty for push

	// Ignored says why no listener can be run by this event; empty when listeners are asked.
	Ignored string

	Repo   string // "owner/repo"
	Ref    string // full: "refs/heads/a/b", "refs/tags/v1", for a pull request "refs/pull/7/head"
	Branch string // "a/b"; for a pull request its head branch
	Base   string // a pull request's base branch
	Tag    string // "v1"
	SHA    string // the commit that is built (never a tag object); empty on delete, and when the sender names none
	Before string // where the ref was; zeros when it is new
	After  string // the ref's new value; for an annotated tag the tag object, zeros on delete
	PR     int    // number of the pull request, 0 when there is none

	Created bool // the ref is new
	Deleted bool // the ref is gone
	Forced  bool // Before is not an ancestor of After
	Fork    bool // a pull request from another repository, or from one that is gone

	// Files are the paths that the push touched, sorted, each once. They count only when FilesKnown:
	// a list that was cut, left out, or is never sent (tags, new branches without commits, pull requests) is
	// unknown, and so is a forced push's: it does not say what the dropped commits had changed.
	Files      []string
	FilesKnown bool

	Message string // the head commit's message; a pull request's title; a release's name
	Author  string // name of the head commit's author; a pull request's or release's author's login
	Pusher  string // login of who caused it
	URL     string // http(s) page that shows what changed: compare, pull request, release
}
