package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lightspeed/run"
)

// Notified is the body of POST runs/{id}/notices?attempt=: how telling one target of a run went.
type Notified struct {
	Target string           `json:"target"`
	Status run.NoticeStatus `json:"status"`
	Error  string           `json:"error"`
	Hint   string           `json:"hint"`
	Memo   string           `json:"memo"`  // for whoever has to go on telling of the run; no secret
	State  run.State        `json:"state"` // the run's, as it was to be told
	At     time.Time        `json:"at"`
}

// Limits of Notified, in bytes.
const (
	MaxNoticeTarget = 32
	MaxNoticeText   = 1024 // of the error and the hint, each
	MaxMemo         = 1024
)

// TellingRequest is the body of POST listeners/{name}/tellings?wait=30s (at most MaxWait).
type TellingRequest struct {
	Instance string `json:"instance"`
}

// Telling is a run that has ended while no listener had it, and of which people are still to be told. None: 204.
// It is handed out again when POST runs/{id}/told does not follow within a minute.
type Telling struct {
	Run      run.Run           `json:"run"`
	Delivery DeliveryHead      `json:"delivery"`
	Payload  []byte            `json:"payload"` // base64 of the raw body
	Memos    map[string]string `json:"memos"`   // what was noted of the run when it was told before, by target
}

// Finished answers POST runs/{id}/finish: the run as it is now.
type Finished struct {
	run.Run
	Told bool `json:"told"` // another listener has told people that it was lost
}

// Notified says how telling a target of a run went.
func (c *Client) Notified(ctx context.Context, ref run.Ref, n Notified) error {
	return c.call(ctx, http.MethodPost, runPath(ref.Run, "/notices"), attemptQuery(ref), n, nil)
}

// NextTelling asks for a run of a listener that people are to be told of, and waits for one. It returns nil when there
// is none now.
func (c *Client) NextTelling(ctx context.Context, listener, instance string, wait time.Duration) (*Telling, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	body, err := json.Marshal(TellingRequest{instance})
	if err != nil {
		return nil, err
	}
	path := "/listeners/" + url.PathEscape(listener) + "/tellings"
	req, err := c.request(ctx, http.MethodPost, path, url.Values{"wait": {wait.String()}}, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	var t Telling
	status, err := c.read(req, &t)
	if err != nil || status == http.StatusNoContent {
		return nil, err
	}
	return &t, nil
}

// Told says that what NextTelling returned is kept where a kill -9 does not lose it.
func (c *Client) Told(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, runPath(id, "/told"), nil, nil, nil)
}
