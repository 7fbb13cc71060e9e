package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// PushSpec says what a made push is to say. Repo and exactly one of Branch and Tag are required.
type PushSpec struct {
	Repo    string // "owner/repo"
	Branch  string // short, byte for byte
	Tag     string // the same
	SHA     string // the commit; none: not known, the event's SHA is empty. Zeros: the ref is deleted
	Before  string // where the ref was; none: not known. Zeros: the ref is new
	Files   []string
	Message string
	Pusher  string
	Nonce   string // goes into the body, so that two pushes of the same are not taken for one
}

// MakePush makes the body of a push, as application/json, which Parse reads back to what the spec says. With
// no Files the list is unknown. An error says what the spec lacks, in Parse's words.
func MakePush(spec PushSpec) ([]byte, error) {
	if (spec.Branch == "") == (spec.Tag == "") {
		return nil, errors.New("a push needs a branch or a tag, and not both")
	}
	body, err := json.Marshal(newPushBody(spec))
	if err != nil {
		return nil, fmt.Errorf("push body: %w", err)
	}
	if _, err := Parse(Delivery{Event: Push, ContentType: typeJSON, Body: body}); err != nil {
		return nil, err
	}
	return body, nil
}

// pushBody is the part of GitHub's push that Parse reads, in GitHub's order.
type pushBody struct {
	Ref        text       `json:"ref"`
	Before     *text      `json:"before"`
	After      *text      `json:"after"`
	Created    bool       `json:"created"`
	Deleted    bool       `json:"deleted"`
	Forced     bool       `json:"forced"`
	Commits    []commit   `json:"commits"`
	HeadCommit *commit    `json:"head_commit"`
	Repository repository `json:"repository"`
	Pusher     account    `json:"pusher"`
	Sender     account    `json:"sender"`
	Nonce      text       `json:"lightspeed_nonce"`
}

type commit struct {
	ID       *text   `json:"id"`
	Message  text    `json:"message"`
	Author   account `json:"author"`
	Added    []text  `json:"added"`
	Removed  []text  `json:"removed"`
	Modified []text  `json:"modified"`
}

type repository struct {
	Name     text `json:"name"`
	FullName text `json:"full_name"`
}

type account struct {
	Name  text `json:"name"`
	Login text `json:"login"`
}

// filesPerCommit keeps the lists of a made push far from where GitHub would have cut them.
const filesPerCommit = 1000

func newPushBody(spec PushSpec) pushBody {
	_, name, _ := strings.Cut(spec.Repo, "/")
	who := account{text(spec.Pusher), text(spec.Pusher)}
	head := commit{ID: optional(spec.SHA), Message: text(spec.Message), Author: who, Added: []text{}, Removed: []text{}}
	body := pushBody{
		Ref:        text(headsPrefix + spec.Branch),
		Before:     optional(spec.Before),
		After:      optional(spec.SHA),
		Created:    zeros(spec.Before),
		Deleted:    zeros(spec.SHA),
		Commits:    []commit{},
		Repository: repository{text(name), text(spec.Repo)},
		Pusher:     who,
		Sender:     who,
		Nonce:      text(spec.Nonce),
	}
	if spec.Tag != "" {
		body.Ref = text(tagsPrefix + spec.Tag)
	}
	for files := spec.Files; len(files) > 0; files = files[min(filesPerCommit, len(files)):] {
		c := head
		for _, file := range files[:min(filesPerCommit, len(files))] {
			c.Modified = append(c.Modified, text(file))
		}
		body.Commits = append(body.Commits, c)
	}
	if !body.Deleted {
		head.Modified = []text{}
		body.HeadCommit = &head
	}
	return body
}

func optional(value string) *text {
	if value == "" {
		return nil
	}
	t := text(value)
	return &t
}

// text is a string whose bytes go into JSON as they are, also those that are not UTF-8.
type text string

// MarshalJSON quotes the text.
func (t text) MarshalJSON() ([]byte, error) {
	out := []byte{'"'}
	for i := 0; i < len(t); {
		r, size := utf8.DecodeRuneInString(string(t[i:]))
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < ' ':
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, t[i:i+size]...)
		}
		i += size
	}
	return append(out, '"'), nil
}
