package fleet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Push is a delivery of a push.
type Push struct {
	ID   string
	Body []byte
}

// NewPush makes a push to a branch of owner/repo. Without a commit it is of one that the id decides, so that pushes of
// different ids are different.
func NewPush(id, repo, branch, commit string) Push {
	sha := sha256.Sum256([]byte(id))
	commit = cmp.Or(commit, hex.EncodeToString(sha[:20]))
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/" + branch, "before": hex.EncodeToString(sha[8:28]), "after": commit,
		"repository":  map[string]any{"full_name": repo, "html_url": "https://example.com/" + repo},
		"head_commit": map[string]any{"id": commit, "message": "a push"},
		"commits":     []any{}, "pusher": map[string]any{"name": "someone"},
	})
	if err != nil {
		panic(err) // strings alone
	}
	return Push{id, body}
}

// Refused is the error of a delivery that was answered with another status than 2xx.
type Refused struct {
	Status int
	Answer []byte
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%d %s: %s", r.Status, http.StatusText(r.Status), r.Answer)
}

// Post signs the delivery as GitHub does, posts it to hooks, and returns the answer's first 64 KiB. An error means that
// nothing was promised; it is a *Refused when hooks said so.
func (p Push) Post(ctx context.Context, client *http.Client, url, secret string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(p.Body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", p.ID)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &Refused{resp.StatusCode, answer}
	}
	return answer, nil
}
