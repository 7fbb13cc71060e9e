package admin

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/broker"
)

// forgetful is a broker at which someone deletes queues: it knows those that were declared since.
type forgetful struct {
	mu     sync.Mutex
	queues map[string]bool
}

func (f *forgetful) Declare(_ context.Context, queue string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queues[queue] = true
	return 0, nil
}

// wipe forgets all queues, and returns whether it had this one.
func (f *forgetful) wipe(queue string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.queues[queue]
	clear(f.queues)
	return had
}

func (f *forgetful) Announce(broker.Hint)                 {}
func (f *forgetful) Missed() <-chan struct{}              { return nil }
func (f *forgetful) Forget(context.Context, string) error { return nil }
func (f *forgetful) State() broker.State                  { return broker.State{Up: true} }
func (f *forgetful) Close() error                         { return nil }

// An idle queue that someone deletes at the broker comes back while the link to it stands.
func TestDeletedQueueIsDeclaredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "admin.db"), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Register(t.Context(), "web", api.Registration{Instance: "i", Start: "s", Revision: 1}); err != nil {
			t.Fatal(err)
		}
		b := &forgetful{queues: map[string]bool{}}
		h := newHints(b, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { h.run(ctx, s); close(ended) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		if !b.wipe("web") {
			t.Fatal("the queue is not declared at the start")
		}
		rest(ctx, redeclarePause)
		synctest.Wait()
		if !b.wipe("web") {
			t.Error("the queue is still gone")
		}
	})
}
