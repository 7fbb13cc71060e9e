package discord

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/notify"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
	"lightspeed/secret"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(tellUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

// target makes a target for a webhook of s.
func target(t *testing.T, s *discordtest.Server, hook string, call ...string) *Target {
	t.Helper()
	tg, err := New(Options{Hook: secret.New(hook), Call: call, API: s.API()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tg.client.http.CloseIdleConnections)
	return tg
}

// memory is a memo that is kept for as long as the test.
func memory() *notify.Memo { return notify.NewMemo("", func(string) error { return nil }) }

// send tells and wants no error.
func send(t *testing.T, tg *Target, m *notify.Memo, tell notify.Telling) {
	t.Helper()
	if err := tg.Send(t.Context(), tell, m); err != nil {
		t.Fatal(err)
	}
}

// refuse tells and wants an error, without the webhook's token in it.
func refuse(t *testing.T, tg *Target, m *notify.Memo, tell notify.Telling) *notify.Error {
	t.Helper()
	err := tg.Send(t.Context(), tell, m)
	if err == nil {
		t.Fatal("no error")
	}
	checkHidden(t, fmt.Sprintf("%v %+v", err, err))
	return problem(t, err)
}

func checkHidden(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "Token-of_webhook") {
		t.Errorf("the webhook's token is in %s", text)
	}
}

var birth = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

const commitSHA = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"

// notice is run id of a push, as it stands in state.
func notice(id string, state run.State) notify.Notice {
	n := notify.Notice{
		Listener: "site_deploy", Run: id, Attempt: 1, Cause: run.ByDelivery, Host: "builder-1", State: state,
		Event: notify.Head{
			Name: "push", Repo: "acme/site", Ref: "refs/heads/main", Branch: "main", SHA: commitSHA, Message: "Fix the login form\n\nIt was broken.",
			Author: "Ann Author", Pusher: "ann", URL: "https://github.com/acme/site/compare/0a1b2c3d4e5f...1a2b3c4d5e6f",
		},
		QueuedAt: birth, StartedAt: birth, Page: "https://ci.example.com/runs/" + id,
	}
	if state.Ended() {
		n.FinishedAt = birth.Add(192 * time.Second)
		n.Log.Text = []byte("building\n\x1b[32mok\x1b[0m\n")
	}
	if state != run.Passed && state.Ended() {
		code := 1
		n.Reason, n.Step, n.ExitCode = "step 2 exited with status 1", "step 2", &code
	}
	return n
}

func due(n notify.Notice) notify.Telling { return notify.Telling{Notice: n, Due: true} }

func calling(n notify.Notice) notify.Telling {
	return notify.Telling{Notice: n, Due: true, Call: true}
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// running runs d until stop is called, which waits for it.
func running(t *testing.T, d *notify.Dispatcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// waitUntil looks again every millisecond, for at most 20 s.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("did not happen within 20 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func hookOf(s *discordtest.Server) secret.Value { return secret.New(s.Hook()) }
