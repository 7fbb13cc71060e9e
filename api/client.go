package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lightspeed/event"
	"lightspeed/logtime"
	"lightspeed/run"
	"lightspeed/secret"
)

// Client calls admin's API. It never retries: whoever calls knows how long to go on.
type Client struct {
	base  string
	token secret.Value
	http  *http.Client
}

// answerTimeout bounds a call that admin answers at once; calls that wait add their wait to it.
const answerTimeout = 15 * time.Second

// chunkTimeout bounds a call that hands in at most MaxLogChunk. It is longer than admin waits for the bytes. Without it
// a connection that died unseen would hold the call up until the kernel gives up, a quarter of an hour or for ever.
const chunkTimeout = time.Minute

// maxAnswer bounds what is read of an answer in memory, in bytes: the base64 of a whole payload, and a run.
const maxAnswer = event.MaxPayload*4/3 + 2<<20

// NewClient makes a client of the admin at base ("http://127.0.0.1:8080"). The token may be zero. The
// http.Client carries TLS settings and keeps connections; it must not have a Timeout, since some calls wait.
func NewClient(base string, token secret.Value, client *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("admin %q is not an http or https address", withoutUser(base))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("admin %q must be an address alone, without user, query or fragment", withoutUser(base))
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &own}, nil
}

// withoutUser is what may be shown of a text that was meant to be an address: it may hold a password, also where it cannot be
// read as a URL, and tokens in its query.
func withoutUser(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		address = "…" + address[at:]
	}
	address, _, _ = strings.Cut(address, "?")
	return address
}

// Base returns admin's address.
func (c *Client) Base() string { return c.base }

// UnreachableError says that no answer came from admin.
type UnreachableError struct {
	Base string
	Err  error
}

func (e *UnreachableError) Error() string {
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return fmt.Sprintf("admin at %s did not answer in time", e.Base)
	}
	return fmt.Sprintf("admin at %s is not reachable: %v", e.Base, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Temporary reports whether the same call may succeed later: no answer came, or admin said that it cannot
// take it now, or it was refused by credentials or by a version that someone may set right.
func Temporary(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return err != nil
	}
	return refused.Status >= 500 || refused.Status == http.StatusUpgradeRequired || refused.Status == http.StatusTooManyRequests ||
		refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden
}

// IsCode reports whether err is an answer of admin with this code.
func IsCode(err error, code Code) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Code == code
}

// Deliver hands in a delivery as it came.
func (c *Client) Deliver(ctx context.Context, d event.Delivery) (Receipt, error) {
	req, err := c.request(ctx, http.MethodPost, "/deliveries", nil, bytes.NewReader(d.Body))
	if err != nil {
		return Receipt{}, err
	}
	req.Header.Set("Content-Type", d.ContentType)
	req.Header.Set("X-GitHub-Event", d.Event)
	req.Header.Set("X-GitHub-Delivery", d.ID)
	var receipt Receipt
	_, err = c.read(req, &receipt)
	return receipt, err
}

// Healthy returns nil when admin serves: when it answers GET /healthz with a 2xx. No token is sent.
func (c *Client) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/healthz", nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "lightspeed/"+Version)
	_, err = c.read(req, nil)
	return err
}

// Register says what an instance listens for and what it holds.
func (c *Client) Register(ctx context.Context, listener string, r Registration) (Registered, error) {
	var registered Registered
	err := c.call(ctx, http.MethodPut, "/listeners/"+url.PathEscape(listener), nil, r, &registered)
	return registered, err
}

// Claim asks for the next run of a queue and waits for it. It returns nil when there is nothing now.
func (c *Client) Claim(ctx context.Context, queue string, r ClaimRequest, wait time.Duration) (*Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	path := "/queues/" + url.PathEscape(queue) + "/claim"
	req, err := c.request(ctx, http.MethodPost, path, url.Values{"wait": {wait.String()}}, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	var claim Claim
	status, err := c.read(req, &claim)
	if err != nil || status == http.StatusNoContent {
		return nil, err
	}
	return &claim, nil
}

// Look asks whether a queue has a run to claim, and waits for one.
func (c *Client) Look(ctx context.Context, queue string, r ClaimRequest, wait time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	var looked Looked
	err := c.call(ctx, http.MethodPost, "/queues/"+url.PathEscape(queue)+"/look", url.Values{"wait": {wait.String()}}, r, &looked)
	return looked.Work, err
}

// Renew keeps an attempt's lease, and with wait comes back early when a cancel is asked for.
func (c *Client) Renew(ctx context.Context, ref run.Ref, wait time.Duration) (Renewal, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	query := attemptQuery(ref)
	query.Set("wait", wait.String())
	var renewal Renewal
	err := c.call(ctx, http.MethodPost, runPath(ref.Run, "/renew"), query, nil, &renewal)
	return renewal, err
}

// AppendLog hands in a chunk of the log that starts at offset, with what is known of when it came (at most
// logtime.MaxTogether records), and returns where admin's copy ends. On log_gap the Error's Offset says where to go on.
func (c *Client) AppendLog(ctx context.Context, ref run.Ref, offset int64, chunk []byte, times ...logtime.Record) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	query := attemptQuery(ref)
	query.Set("offset", strconv.FormatInt(offset, 10))
	req, err := c.request(ctx, http.MethodPost, runPath(ref.Run, "/log"), query, bytes.NewReader(chunk))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if len(times) > 0 {
		req.Header.Set(logtime.Header, logtime.Format(times))
	}
	var next LogOffset
	_, err = c.read(req, &next)
	return next.Offset, err
}

// Steps says how far the steps of a running attempt have come.
func (c *Client) Steps(ctx context.Context, ref run.Ref, steps []run.Step) error {
	return c.call(ctx, http.MethodPost, runPath(ref.Run, "/steps"), attemptQuery(ref), Steps{steps}, nil)
}

// Finish says how an attempt ended.
func (c *Client) Finish(ctx context.Context, ref run.Ref, f Finish) (Finished, error) {
	var r Finished
	err := c.call(ctx, http.MethodPost, runPath(ref.Run, "/finish"), attemptQuery(ref), f, &r)
	return r, err
}

// Listeners lists them by name.
func (c *Client) Listeners(ctx context.Context, limit int, before string) (List[Listener], error) {
	var list List[Listener]
	err := c.call(ctx, http.MethodGet, "/listeners", page(limit, before), nil, &list)
	return list, err
}

// Listener shows one.
func (c *Client) Listener(ctx context.Context, name string) (Listener, error) {
	var l Listener
	err := c.call(ctx, http.MethodGet, "/listeners/"+url.PathEscape(name), nil, nil, &l)
	return l, err
}

// RemoveListener forgets a listener; a connected one only with force.
func (c *Client) RemoveListener(ctx context.Context, name string, force bool) error {
	query := url.Values{}
	if force {
		query.Set("force", "1")
	}
	return c.call(ctx, http.MethodDelete, "/listeners/"+url.PathEscape(name), query, nil, nil)
}

// Trigger starts a run by hand.
func (c *Client) Trigger(ctx context.Context, name string, t Trigger) (Receipt, error) {
	var receipt Receipt
	err := c.call(ctx, http.MethodPost, "/listeners/"+url.PathEscape(name)+"/trigger", nil, t, &receipt)
	return receipt, err
}

// Pause keeps a listener's queue from handing out runs.
func (c *Client) Pause(ctx context.Context, name string, p Pause) (Listener, error) {
	var l Listener
	err := c.call(ctx, http.MethodPost, "/listeners/"+url.PathEscape(name)+"/pause", nil, p, &l)
	return l, err
}

// Resume lets a paused listener's queue go on.
func (c *Client) Resume(ctx context.Context, name string) (Listener, error) {
	var l Listener
	err := c.call(ctx, http.MethodPost, "/listeners/"+url.PathEscape(name)+"/resume", nil, nil, &l)
	return l, err
}

// Deliveries lists them, newest first.
func (c *Client) Deliveries(ctx context.Context, limit int, before string) (List[Delivery], error) {
	var list List[Delivery]
	err := c.call(ctx, http.MethodGet, "/deliveries", page(limit, before), nil, &list)
	return list, err
}

// Delivery shows one.
func (c *Client) Delivery(ctx context.Context, id string) (Delivery, error) {
	var d Delivery
	err := c.call(ctx, http.MethodGet, "/deliveries/"+url.PathEscape(id), nil, nil, &d)
	return d, err
}

// Explain says for each listener why a delivery led to a run or not.
func (c *Client) Explain(ctx context.Context, id string) (Explanation, error) {
	var e Explanation
	err := c.call(ctx, http.MethodGet, "/deliveries/"+url.PathEscape(id)+"/explain", nil, nil, &e)
	return e, err
}

// Payload returns a delivery's raw body.
func (c *Client) Payload(ctx context.Context, id string) ([]byte, error) {
	req, err := c.request(ctx, http.MethodGet, "/deliveries/"+url.PathEscape(id)+"/payload", nil, nil)
	if err != nil {
		return nil, err
	}
	body, err := c.open(req)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, event.MaxPayload))
}

// Replay runs a stored delivery again, for the listeners named or for all that match now.
func (c *Client) Replay(ctx context.Context, id string, r Replay, dryRun bool) (Receipt, error) {
	query := url.Values{}
	if dryRun {
		query.Set("dry_run", "1")
	}
	var receipt Receipt
	err := c.call(ctx, http.MethodPost, "/deliveries/"+url.PathEscape(id)+"/replay", query, r, &receipt)
	return receipt, err
}

// Prune has admin delete now what it would delete in time, or with dryRun say how much that is.
func (c *Client) Prune(ctx context.Context, dryRun bool) (Pruning, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxWait+answerTimeout)
	defer cancel()
	query := url.Values{}
	if dryRun {
		query.Set("dry_run", "1")
	}
	var done Pruning
	err := c.call(ctx, http.MethodPost, "/prune", query, nil, &done)
	return done, err
}

// Tokens lists those that admin keeps, newest first.
func (c *Client) Tokens(ctx context.Context) (List[Token], error) {
	var list List[Token]
	err := c.call(ctx, http.MethodGet, "/tokens", nil, nil, &list)
	return list, err
}

// MakeToken makes one, and returns its text.
func (c *Client) MakeToken(ctx context.Context, t NewToken) (MadeToken, error) {
	var made MadeToken
	err := c.call(ctx, http.MethodPost, "/tokens", nil, t, &made)
	return made, err
}

// RevokeToken has one refused from now on.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), nil, nil, nil)
}

// Recover has admin ask GitHub for deliveries that it never saw, or with dryRun say which those are. It takes as long
// as they take to come in.
func (c *Client) Recover(ctx context.Context, dryRun bool) (Gaps, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	query := url.Values{}
	if dryRun {
		query.Set("dry_run", "1")
	}
	var found Gaps
	err := c.call(ctx, http.MethodPost, "/recover", query, nil, &found)
	return found, err
}

// recoverTimeout is longer than admin takes for a round.
const recoverTimeout = 20 * time.Minute

// Gaps compares what GitHub sent with what admin has.
func (c *Client) Gaps(ctx context.Context) (Gaps, error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	var found Gaps
	err := c.call(ctx, http.MethodGet, "/gaps", nil, nil, &found)
	return found, err
}

// Runs lists them, newest first.
func (c *Client) Runs(ctx context.Context, f RunFilter) (List[run.Run], error) {
	query := page(f.Limit, f.Before)
	for key, value := range map[string]string{
		"listener": f.Listener, "repo": f.Repo, "branch": f.Branch, "delivery": f.Delivery, "status": string(f.Status),
	} {
		if value != "" {
			query.Set(key, value)
		}
	}
	var list List[run.Run]
	err := c.call(ctx, http.MethodGet, "/runs", query, nil, &list)
	return list, err
}

// Run shows one.
func (c *Client) Run(ctx context.Context, id string) (run.Run, error) {
	var r run.Run
	err := c.call(ctx, http.MethodGet, runPath(id, ""), nil, nil, &r)
	return r, err
}

// Cancel asks for a run to end.
func (c *Client) Cancel(ctx context.Context, id string, why Cancel) (run.Run, error) {
	var r run.Run
	err := c.call(ctx, http.MethodPost, runPath(id, "/cancel"), nil, why, &r)
	return r, err
}

// Retry makes a new run of the same delivery and listener.
func (c *Client) Retry(ctx context.Context, id string) (run.Run, error) {
	var r run.Run
	err := c.call(ctx, http.MethodPost, runPath(id, "/retry"), nil, nil, &r)
	return r, err
}

// Release frees the slot that a lost run keeps.
func (c *Client) Release(ctx context.Context, id string) (run.Run, error) {
	var r run.Run
	err := c.call(ctx, http.MethodPost, runPath(id, "/release"), nil, nil, &r)
	return r, err
}

// LogQuery says which part of a run's output to read.
type LogQuery struct {
	Attempt int   // 0: the newest
	Offset  int64 // bytes
	Follow  bool  // go on until the attempt has ended
}

// Log reads a run's output as it was written. The caller closes it.
func (c *Client) Log(ctx context.Context, id string, q LogQuery) (io.ReadCloser, error) {
	query := url.Values{}
	if q.Attempt > 0 {
		query.Set("attempt", strconv.Itoa(q.Attempt))
	}
	if q.Offset > 0 {
		query.Set("offset", strconv.FormatInt(q.Offset, 10))
	}
	if q.Follow {
		query.Set("follow", "1")
	}
	req, err := c.request(ctx, http.MethodGet, runPath(id, "/log"), query, nil)
	if err != nil {
		return nil, err
	}
	return c.open(req)
}

// LogTimes says when the output of an attempt came, 0 being the newest, from an offset on: at most MaxLogTimes items.
func (c *Client) LogTimes(ctx context.Context, ref run.Ref, offset int64) (LogTimes, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}}
	if ref.Attempt > 0 {
		query.Set("attempt", strconv.Itoa(ref.Attempt))
	}
	var times LogTimes
	err := c.call(ctx, http.MethodGet, runPath(ref.Run, "/log/times"), query, nil, &times)
	return times, err
}

func runPath(id, action string) string { return "/runs/" + url.PathEscape(id) + action }

func attemptQuery(ref run.Ref) url.Values {
	return url.Values{"attempt": {strconv.Itoa(ref.Attempt)}}
}

func page(limit int, before string) url.Values {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if before != "" {
		query.Set("before", before)
	}
	return query
}

// call sends in as JSON, when there is one, and decodes the answer into out, when there is one.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	_, err = c.read(req, out)
	return err
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	target := c.base + Prefix + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "lightspeed/"+Version)
	req.Header.Set(VersionHeader, Version)
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	return req, nil
}

// read sends a request, and decodes a 2xx answer into out, when there is one.
func (c *Client) read(req *http.Request, out any) (status int, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, &UnreachableError{Base: c.base, Err: cause(err)}
	}
	defer drain(resp.Body)
	if err := refusal(resp); err != nil {
		return resp.StatusCode, err
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return resp.StatusCode, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return resp.StatusCode, &UnreachableError{Base: c.base, Err: fmt.Errorf("answer is cut off or is not JSON: %w", err)}
	}
	return resp.StatusCode, nil
}

// open sends a request and returns the body of a 2xx answer.
func (c *Client) open(req *http.Request) (io.ReadCloser, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &UnreachableError{Base: c.base, Err: cause(err)}
	}
	if err := refusal(resp); err != nil {
		drain(resp.Body)
		return nil, err
	}
	return resp.Body, nil
}

// drain reads what is left of a short body, so that the connection is kept, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}

// refusal turns an answer that is not 2xx into an Error.
func refusal(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	var body struct {
		Error  *Error `json:"error"`
		Offset int64  `json:"offset"`
	}
	err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&body)
	if err != nil || body.Error == nil {
		return Errorf(resp.StatusCode, Unavailable, "answered %s: is this lightspeed admin?", resp.Status)
	}
	body.Error.Status, body.Error.Offset = resp.StatusCode, body.Offset
	return body.Error
}

// cause takes the URL off a url.Error: UnreachableError names the address already.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
