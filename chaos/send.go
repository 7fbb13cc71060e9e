package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lightspeed/fleet"
)

// sent is what was posted to hooks, and what hooks promised.
type sent struct {
	mu       sync.Mutex
	accepted map[string]string // id → how it was answered first
	copies   map[string]bool   // ids whose body had been accepted before under another id
	matches  map[string]string // id → the listener that it matches, or both
	refused  int
	again    int
}

func newSent() *sent {
	return &sent{accepted: map[string]string{}, copies: map[string]bool{}, matches: map[string]string{}}
}

// both is what pushes that every listener matches are called by. The branches of all pushes begin with the name of
// the listener that they match, or with this.
const both = "both"

// parcel is one delivery as it goes out.
type parcel struct {
	url  string // of the hooks that it is posted to
	id   string
	body []byte
	redo string // redelivered under its own id to this URL, if any
	copy bool   // posted again under another id, to the same hooks: others might hand it in before the first
}

// send posts deliveries evenly over the time, a few at once. One in ten comes twice, one in thirty under a
// second id. What hooks could not take is not sent again, as GitHub would not.
func (s *sent) send(ctx context.Context, w *world, random *rand.Rand, count int, over time.Duration) {
	template, err := os.ReadFile(filepath.Join(w.root, "testdata", "deliveries", "push.json"))
	if err != nil {
		panic(err)
	}
	parcels := make(chan parcel)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for p := range parcels {
				s.post(ctx, p)
			}
		})
	}
	tick := time.NewTicker(over / time.Duration(count))
	defer tick.Stop()
	for i := range count {
		matches := []string{w.listeners[0].name, w.listeners[1].name, both}[random.IntN(3)]
		p := parcel{
			url:  w.hooksURLs[random.IntN(len(w.hooksURLs))],
			id:   fmt.Sprintf("chaos-%d-%08x", i, random.Uint32()),
			body: push(template, random, matches, i),
			copy: random.IntN(30) == 0,
		}
		s.matches[p.id] = matches
		if random.IntN(10) == 0 {
			p.redo = w.hooksURLs[random.IntN(len(w.hooksURLs))]
		}
		parcels <- p
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(parcels)
	workers.Wait()
}

// push makes a push body out of the sample: another branch, another commit.
func push(template []byte, random *rand.Rand, matches string, i int) []byte {
	var body map[string]any
	if err := json.Unmarshal(template, &body); err != nil {
		panic(err)
	}
	kind := "quick"
	if random.IntN(30) == 0 {
		kind = "slow"
	}
	commit := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, random.Uint64()))
	body["ref"] = fmt.Sprintf("refs/heads/%s/%d-%s", matches, random.IntN(20), kind)
	body["after"] = hex.EncodeToString(commit[:20])
	body["before"] = hex.EncodeToString(commit[10:30])
	body["repository"].(map[string]any)["full_name"] = "chaos/pushed"
	body["head_commit"].(map[string]any)["id"] = body["after"]
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return encoded
}

func (s *sent) post(ctx context.Context, p parcel) {
	status, err := deliver(ctx, p.url, p.id, p.body)
	s.mu.Lock()
	if err != nil {
		s.refused++
		s.mu.Unlock()
		return
	}
	s.accepted[p.id] = status
	s.mu.Unlock()
	if p.redo != "" {
		if _, err := deliver(ctx, p.redo, p.id, p.body); err == nil {
			s.mu.Lock()
			s.again++
			s.mu.Unlock()
		}
	}
	if p.copy {
		id := p.id + "-copy"
		if _, err := deliver(ctx, p.url, id, p.body); err == nil {
			s.mu.Lock()
			s.copies[id] = true
			s.mu.Unlock()
		}
	}
}

// deliver posts one signed delivery. An error means that nothing was promised.
func deliver(ctx context.Context, url, id string, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // GitHub's own limit
	defer cancel()
	answer, err := fleet.Push{ID: id, Body: body}.Post(ctx, http.DefaultClient, url, webhookSecret)
	if err != nil {
		return "", err
	}
	var receipt struct {
		Status string `json:"status"`
	}
	return receipt.Status, json.Unmarshal(answer, &receipt)
}
