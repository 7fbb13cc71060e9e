package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/run"
	"lightspeed/secret"
)

// silent is a server behind a connection that died unseen: nothing ever comes back.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// What a listener calls while a run goes on ends by itself: a log that waits for a dead connection would be cut off
// there, and the run's result would wait behind it.
func TestNoCallWaitsForEver(t *testing.T) {
	client, err := NewClient("http://127.0.0.1:1", secret.Value{}, &http.Client{Transport: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	ref := run.Ref{Run: "r1", Attempt: 1}
	for name, call := range map[string]func(context.Context) error{
		"register": func(ctx context.Context) error { _, err := client.Register(ctx, "web", Registration{}); return err },
		"claim": func(ctx context.Context) error {
			_, err := client.Claim(ctx, "web", ClaimRequest{}, 30*time.Second)
			return err
		},
		"renew":  func(ctx context.Context) error { _, err := client.Renew(ctx, ref, 10*time.Second); return err },
		"log":    func(ctx context.Context) error { _, err := client.AppendLog(ctx, ref, 0, []byte("x")); return err },
		"steps":  func(ctx context.Context) error { return client.Steps(ctx, ref, nil) },
		"finish": func(ctx context.Context) error { _, err := client.Finish(ctx, ref, Finish{}); return err },
		"artifact": func(ctx context.Context) error {
			_, err := client.AppendArtifact(ctx, ref, Artifact{Path: "a", Bytes: MaxArtifact}, 0, []byte("x"))
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // ends a test that fails
			defer cancel()
			own := context.WithoutCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- call(own) }()
			select {
			case err := <-done:
				if took := time.Since(begun); !Temporary(err) || took > 10*time.Minute {
					t.Errorf("%s: %v after %v", name, err, took)
				} else if want := "admin at http://127.0.0.1:1 did not answer in time"; err.Error() != want {
					t.Errorf("%s: %v, want %s", name, err, want)
				}
			case <-ctx.Done():
				t.Fatalf("%s still waits", name)
			}
		})
	}
}

// What an address holds beside the address is not shown, when it is refused.
func TestRefusedAddressesShowNoPassword(t *testing.T) {
	for _, base := range []string{
		"htps://ann:hunter2@ci.example.com", "https://ann:hunter2@ci.example.com", "https://ann:hunter2%@ci.example.com", "ann:hunter2@ci.example.com",
		"https://ann:hunter2@", "https://ci.example.com/?token=hunter2", "ci.example.com?token=hunter2",
	} {
		_, err := NewClient(base, secret.Value{}, http.DefaultClient)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", base, err)
		}
	}
}
