package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"lightspeed/api"
	"lightspeed/fleet"
)

// answer is what hooks said to a delivery.
type answer struct {
	refused int // the status, when nothing was promised
	api.Receipt
	Error *api.Error `json:"error"`
}

// send pushes to a branch, and again under the same id while there is no 2xx, as a person does who looks at
// GitHub's list of deliveries. It returns the delivery's id.
func (w *world) send(branch string) string {
	w.t.Helper()
	p := w.push(branch)
	w.await("a 2xx to "+p.ID, func() bool {
		a, err := w.post(p)
		if err != nil || a.refused != 0 {
			return false
		}
		w.accepted[p.ID] = a.Status
		return true
	})
	return p.ID
}

// push makes a delivery that is like no other.
func (w *world) push(branch string) fleet.Push {
	w.count++
	return fleet.NewPush(deliveryID(w.count), "crash/pushed", branch, w.commit)
}

// deliveryID is the id of the nth push.
func deliveryID(n int) string { return fmt.Sprintf("delivery-%d", n) }

// post posts one signed delivery.
func (w *world) post(p fleet.Push) (answer, error) {
	var a answer
	text, err := p.Post(w.t.Context(), w.http, w.hooksURL, webhookSecret)
	if refused := (*fleet.Refused)(nil); errors.As(err, &refused) {
		a.refused, text, err = refused.Status, refused.Answer, nil
	}
	if err != nil {
		return answer{}, err
	}
	return a, json.Unmarshal(text, &a)
}

// flood posts many pushes at once, once each, and returns the ids that were promised.
func (w *world) flood(branch string, count, bytes int) []string {
	var mu sync.Mutex
	var all sync.WaitGroup
	var ids []string
	for range count {
		p := w.push(branch)
		p.Body = padded(p.Body, bytes)
		all.Go(func() {
			a, err := w.post(p)
			if err != nil || a.refused != 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, p.ID)
			w.accepted[p.ID] = a.Status
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
