package crash

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"lightspeed/api"
)

// answer is what hooks said to a delivery.
type answer struct {
	status int
	api.Receipt
	Error *api.Error `json:"error"`
}

// send pushes to a branch, and again under the same id while there is no 2xx, as a person does who looks at
// GitHub's list of deliveries. It returns the delivery's id.
func (w *world) send(branch string) string {
	w.t.Helper()
	id, body := w.push(branch)
	w.await("a 2xx to "+id, func() bool {
		a, err := w.post(id, body)
		if err != nil || a.status/100 != 2 {
			return false
		}
		w.accepted[id] = a.Status
		return true
	})
	return id
}

// push makes a delivery that is like no other.
func (w *world) push(branch string) (id string, body []byte) {
	w.count++
	id = deliveryID(w.count)
	sha := sha256.Sum256([]byte(id))
	commit := cmp.Or(w.commit, hex.EncodeToString(sha[:20]))
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/" + branch, "before": hex.EncodeToString(sha[8:28]), "after": commit,
		"repository":  map[string]any{"full_name": "crash/pushed", "html_url": "https://example.com/crash/pushed"},
		"head_commit": map[string]any{"id": commit, "message": "a push"},
		"commits":     []any{}, "pusher": map[string]any{"name": "someone"},
	})
	w.must(err)
	return id, body
}

// deliveryID is the id of the nth push.
func deliveryID(n int) string { return fmt.Sprintf("delivery-%d", n) }

// post posts one signed delivery.
func (w *world) post(id string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.hooksURL, bytes.NewReader(body))
	w.must(err)
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode}
	return a, json.Unmarshal(text, &a)
}

// flood posts many pushes at once, once each, and returns the ids that were promised.
func (w *world) flood(branch string, count, bytes int) []string {
	var mu sync.Mutex
	var all sync.WaitGroup
	var ids []string
	for range count {
		id, body := w.push(branch)
		body = padded(body, bytes)
		all.Go(func() {
			a, err := w.post(id, body)
			if err != nil || a.status/100 != 2 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, id)
			w.accepted[id] = a.Status
		})
	}
	all.Wait()
	return ids
}

// padded makes a body longer, with spaces behind its JSON.
func padded(body []byte, length int) []byte {
	if len(body) >= length {
		return body
	}
	return append(body, bytes.Repeat([]byte(" "), length-len(body))...)
}
