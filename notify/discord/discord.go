package discord

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"lightspeed/notify"
	"lightspeed/run"
	"lightspeed/secret"
)

// Options are what a Target is made of.
type Options struct {
	Hook  secret.Value  // the webhook's URL, in any form that ParseWebhook reads
	Call  []string      // who is called: "@here", "@everyone", "<@USER>", "<@&ROLE>"
	API   string        // in place of DefaultAPI; a proxy's, or a test's
	Lanes *notify.Lanes // shared by all targets of the process; nil: none shares it
}

// Target is one webhook.
type Target struct {
	client *client
	call   call
	hook   string // names the webhook in memos, without its id
	dead   atomic.Pointer[notify.Error]
}

// New checks the options. It calls nobody.
func New(o Options) (*Target, error) {
	hook, err := ParseWebhook(o.Hook.Reveal())
	if err != nil {
		return nil, err
	}
	who, err := parseCall(o.Call)
	if err != nil {
		return nil, err
	}
	if o.API == "" {
		o.API = DefaultAPI
	}
	if err := CheckAPI(o.API); err != nil {
		return nil, err
	}
	if o.Lanes == nil {
		o.Lanes = &notify.Lanes{}
	}
	api := strings.TrimRight(o.API, "/")
	sum := sha256.Sum256([]byte(hook.ID + "/" + hook.Thread))
	return &Target{
		client: &client{
			http: newHTTP(), api: api, hook: hook, limit: callLimit,
			own: o.Lanes.Lane("discord " + api + " " + hook.ID + "/" + hook.Token.Reveal()),
			all: o.Lanes.Lane("discord " + api),
		},
		call: who,
		hook: hex.EncodeToString(sum[:8]),
	}, nil
}

// Name is "discord".
func (t *Target) Name() string { return "discord" }

// Accept takes every notice; each run has one message.
func (t *Target) Accept(n *notify.Notice) (key string, ok bool) { return n.Run, true }

// memo is what is known of a run's message.
type memo struct {
	Hook    string `json:"hook"`
	Message string `json:"message"`
	Called  int    `json:"called,omitempty"` // the newest attempt for whose end people were called
}

func (t *Target) recall(m *notify.Memo) (known memo) {
	if json.Unmarshal([]byte(m.Get()), &known) != nil || known.Hook != t.hook {
		return memo{Hook: t.hook} // another webhook cannot edit this one's messages
	}
	return known
}

func keep(m *notify.Memo, known memo) {
	text, _ := json.Marshal(known) // strings and a number: cannot fail
	_ = m.Set(string(text))        // the memo's owner has logged it
}

// Send posts the run's message, or edits it. Who is to be called is called by a new message: an edit calls
// nobody.
func (t *Target) Send(ctx context.Context, tell notify.Telling, m *notify.Memo) error {
	if gone := t.dead.Load(); gone != nil {
		return gone
	}
	known := t.recall(m)
	calls := tell.Call && t.call.content != "" && known.Called < tell.Notice.Attempt
	switch {
	case known.Message == "" && !tell.Due:
		return nil
	case known.Message == "":
		return t.postNew(ctx, &tell, m, known, calls)
	}
	err := t.editOld(ctx, &tell, known.Message)
	if replaceable(err) {
		return t.postNew(ctx, &tell, m, known, calls)
	}
	if err == nil && calls {
		return t.callThem(ctx, &tell, m, known)
	}
	return err
}

// postNew posts the run's message. Where people are to be called, it does that, too.
func (t *Target) postNew(ctx context.Context, tell *notify.Telling, m *notify.Memo, known memo, calls bool) error {
	p, err := t.send(ctx, t.client.post, func(bare bool) message {
		msg := render(tell, bare)
		if calls {
			msg.Content, msg.Mentions = t.call.content, t.call.allowed
		}
		return msg
	})
	if err != nil {
		return err
	}
	known.Message = p.ID
	if calls {
		known.Called = tell.Notice.Attempt
	}
	keep(m, known)
	return nil
}

func (t *Target) editOld(ctx context.Context, tell *notify.Telling, id string) error {
	edit := func(ctx context.Context, msg message) (posted, error) { return t.client.edit(ctx, id, msg) }
	_, err := t.send(ctx, edit, func(bare bool) message { return render(tell, bare) })
	return err
}

func (t *Target) callThem(ctx context.Context, tell *notify.Telling, m *notify.Memo, known memo) error {
	_, err := t.send(ctx, t.client.post, func(bare bool) message { return renderCall(tell, t.call, bare) })
	if err != nil {
		return err
	}
	known.Called = tell.Notice.Attempt
	keep(m, known)
	return nil
}

// send makes one call. What Discord does not like it gets once more without links and file: it may refuse an
// address that is none on the internet, or a file where none may be attached.
func (t *Target) send(
	ctx context.Context, call func(context.Context, message) (posted, error), render func(bare bool) message,
) (posted, error) {
	p, err := call(ctx, render(false))
	var r *refusal
	if errors.As(err, &r) && (r.status == http.StatusBadRequest && r.code != forumChannel || r.status == http.StatusRequestEntityTooLarge) {
		p, err = call(ctx, render(true))
	}
	if errors.As(err, &r) && r.problem.Final && dead(r.status, r.code) && !replaceable(err) {
		t.dead.Store(r.problem)
	}
	return p, err
}

// replaceable reports that the message itself cannot be edited: someone deleted it, the webhook was moved to
// another channel, or it was edited too often. A new one takes its place, and says whether the webhook is there.
func replaceable(err error) bool {
	var r *refusal
	return errors.As(err, &r) && (r.code == unknownMessage || r.code == tooManyEdits ||
		r.edit && r.status == http.StatusNotFound && r.code != unknownWebhook)
}

// Try posts the sample as a run that has started, edits it to one that has passed, and calls nobody.
func (t *Target) Try(ctx context.Context, sample notify.Notice) (said string, err error) {
	sample.State = run.Running
	p, err := t.send(ctx, t.client.post, func(bare bool) message { return render(&notify.Telling{Notice: sample}, bare) })
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		return "", errors.New("discord took the sample, and did not say which message it is: it cannot be edited when a run ends")
	}
	sample.State = run.Passed
	if err := t.editOld(ctx, &notify.Telling{Notice: sample}, p.ID); err != nil {
		return "", fmt.Errorf("posted message %s, and could not edit it: %w", plain(p.ID, 30), err)
	}
	said = fmt.Sprintf("posted message %s in channel %s, and edited it", plain(p.ID, 30), plain(p.Channel, 30))
	if t.call.content != "" {
		said += "; runs would call " + t.call.content + ", this sample called nobody"
	}
	return said, nil
}
