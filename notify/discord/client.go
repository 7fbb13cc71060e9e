package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"lightspeed/notify"
)

const (
	// userAgent has the form that Discord asks for, "DiscordBot (URL, VERSION)": others may be blocked
	// (https://discord.com/developers/docs/reference#user-agent).
	userAgent = "DiscordBot (https://lightspeed.invalid, 1.0)"

	callLimit = 30 * time.Second // of a whole request; a file of 64 KiB goes with it
	maxAnswer = 256 << 10        // bytes that are read of an answer
	blindRest = 5 * time.Second  // after a 429 that does not say for how long
)

// Discord's error codes that say more than the status
// (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json).
const (
	unknownMessage = 10008
	unknownWebhook = 10015
	tooManyEdits   = 30046
	invalidToken   = 50027
	forumChannel   = 220001
)

// client makes calls to one webhook.
type client struct {
	http  *http.Client
	api   string
	hook  Webhook
	limit time.Duration // of one call
	own   *notify.Lane  // of the webhook
	all   *notify.Lane  // of everything that goes to Discord: for its global limit
}

// refusal is an answer that is not a success.
type refusal struct {
	problem      *notify.Error
	status, code int
	edit         bool // what was refused is an edit
}

func (r *refusal) Error() string { return r.problem.Message }
func (r *refusal) Unwrap() error { return r.problem }

// newHTTP makes a client that follows no redirect: the POST would become a GET, which is a valid call.
func newHTTP() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// posted is the part of Discord's message that is of use.
type posted struct {
	ID      string `json:"id"`
	Channel string `json:"channel_id"`
}

// post sends a new message. Its id is empty when Discord took it and the answer was cut off.
func (c *client) post(ctx context.Context, m message) (posted, error) {
	return c.call(ctx, http.MethodPost, "", m)
}

// edit puts m in the place of a message. m has no content: the message's stays, and whom that called is not
// called again.
func (c *client) edit(ctx context.Context, id string, m message) (posted, error) {
	if m.Attachments == nil {
		m.Attachments = &[]attachment{}
	}
	return c.call(ctx, http.MethodPatch, "/messages/"+url.PathEscape(id), m)
}

func (c *client) call(ctx context.Context, method, path string, m message) (posted, error) {
	leave, err := c.own.Enter(ctx)
	if err != nil {
		return posted{}, err
	}
	defer leave()
	if err := c.all.Wait(ctx); err != nil {
		return posted{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	req, err := c.request(ctx, method, path, m)
	if err != nil {
		return posted{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return posted{}, c.redacted(notify.Unreachable("discord", err))
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // cut off: the status has said what counts
	if resp.StatusCode/100 == 2 {
		c.noteLimit(resp.Header)
		var p posted
		_ = json.Unmarshal(body, &p)
		return p, nil
	}
	return posted{}, c.refused(resp, body)
}

// request is built without the URL in any error: it is a credential.
func (c *client) request(ctx context.Context, method, path string, m message) (*http.Request, error) {
	query := url.Values{}
	if method == http.MethodPost {
		query.Set("wait", "true")
	}
	if c.hook.Thread != "" {
		query.Set("thread_id", c.hook.Thread)
	}
	body, contentType, err := encode(m)
	if err != nil {
		return nil, err
	}
	address := c.api + "/webhooks/" + c.hook.ID + "/" + c.hook.Token.Reveal() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &notify.Error{Message: "the address of discord's API cannot be used", Final: true}
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Content-Type", contentType)
	return req, nil
}

// encode writes m as JSON, or with its file as a form
// (https://discord.com/developers/docs/reference#uploading-files).
func encode(m message) (body []byte, contentType string, err error) {
	text, err := json.Marshal(m)
	if err != nil || m.file == nil {
		return text, "application/json", err
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="payload_json"`}, "Content-Type": {"application/json"},
	})
	if err == nil {
		_, err = part.Write(text)
	}
	if err == nil {
		part, err = form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name="files[0]"; filename=%q`, (*m.Attachments)[0].Filename)},
			"Content-Type":        {"text/plain; charset=utf-8"},
		})
	}
	if err == nil {
		_, err = part.Write(m.file)
	}
	err = errors.Join(err, form.Close()) // it writes, too
	return b.Bytes(), form.FormDataContentType(), err
}

// noteLimit keeps the lane closed when this was the last call that the limit allows.
func (c *client) noteLimit(h http.Header) {
	if h.Get("X-RateLimit-Remaining") == "0" {
		c.own.Hold(notify.Seconds(h.Get("X-RateLimit-Reset-After")))
	}
}

// answer is the body of an error.
type answer struct {
	Code       int             `json:"code"`
	Message    string          `json:"message"`
	Errors     json.RawMessage `json:"errors"`
	RetryAfter float64         `json:"retry_after"` // seconds
	Global     bool            `json:"global"`
}

func (c *client) refused(resp *http.Response, body []byte) error {
	var a answer
	_ = json.Unmarshal(body, &a) // a proxy answers with something else: the status is enough
	problem := &notify.Error{Message: fmt.Sprintf("discord answers %d%s", resp.StatusCode, said(a)), Reached: true}
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests:
		problem.Busy, problem.After = true, c.limited(resp.Header, a)
	case s >= 500 || s == http.StatusRequestTimeout:
		problem.After = notify.RetryAfter(resp.Header)
	case s/100 == 3:
		problem.Hint = "no redirect is followed; something between here and Discord answers in its place"
	default:
		problem.Final, problem.Hint = true, hint(s, a.Code)
	}
	return &refusal{c.redacted(problem), resp.StatusCode, a.Code, resp.Request.Method == http.MethodPatch}
}

// limited obeys a 429 of any kind: the webhook's own limit, a shared one, the global one, and that of a proxy
// in front, which has no JSON.
func (c *client) limited(h http.Header, a answer) (after time.Duration) {
	after = max(notify.Rest(a.RetryAfter), notify.RetryAfter(h), notify.Seconds(h.Get("X-RateLimit-Reset-After")))
	if after == 0 {
		after = blindRest
	}
	if a.Global || h.Get("X-RateLimit-Global") == "true" {
		c.all.Hold(after)
	} else {
		c.own.Hold(after)
	}
	return after
}

func hint(status, code int) string {
	switch {
	case dead(status, code):
		return "make a webhook in Discord (channel settings, Integrations) and put its URL into discord_hook"
	case code == forumChannel:
		return "the webhook's channel is a forum: end discord_hook's URL with ?thread_id=ID"
	}
	return ""
}

// dead reports that the webhook is gone, whatever is sent.
func dead(status, code int) bool {
	return status == http.StatusUnauthorized || code == unknownWebhook || code == invalidToken ||
		status == http.StatusNotFound && code != unknownMessage
}

// redacted takes the credential out of an error that something below may have put in.
func (c *client) redacted(e *notify.Error) *notify.Error {
	e.Message = strings.ReplaceAll(e.Message, c.hook.Token.Reveal(), "[secret]")
	return e
}

// said is what Discord's error says, with the first of the fields that it does not like.
func said(a answer) string {
	if a.Message == "" {
		return ""
	}
	text := fmt.Sprintf(" (%d %s)", a.Code, plain(a.Message, 150))
	if a.Code == 0 {
		text = " (" + plain(a.Message, 150) + ")"
	}
	var fields any
	if json.Unmarshal(a.Errors, &fields) == nil {
		if path, why := firstField("", fields, 0); why != "" {
			text += ": " + plain(path+": "+why, 200)
		}
	}
	return text
}

// firstField finds the first {"_errors":[{"message"}]} in Discord's tree of errors, and the way to it.
func firstField(path string, tree any, depth int) (string, string) {
	node, ok := tree.(map[string]any)
	if !ok || depth > 10 {
		return "", ""
	}
	if list, ok := node["_errors"].([]any); ok && len(list) > 0 {
		first, _ := list[0].(map[string]any)
		why, _ := first["message"].(string)
		return strings.TrimPrefix(path, "."), why
	}
	for _, key := range slices.Sorted(maps.Keys(node)) {
		if at, why := firstField(path+"."+key, node[key], depth+1); why != "" {
			return at, why
		}
	}
	return "", ""
}
