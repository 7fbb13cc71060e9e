package discord

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"lightspeed/notify"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

// 50 runs start and end within a second, at a Discord that takes five calls a tenth of a second: none is lost,
// their order is kept, hardly a call is made that the limit refuses, and telling does not wait for it.
func TestFiftyRunsAtOnce(t *testing.T) {
	s := discordtest.New(t)
	s.Limit(5, 100*time.Millisecond)
	log := &logs{}
	d, err := notify.New(notify.Options{
		Dir: t.TempDir(), Log: log.logger(), Routes: []notify.Route{{Target: target(t, s, s.Hook())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, d)
	start := time.Now()
	for i := range 50 {
		n := notice(fmt.Sprintf("r%02d", i), run.Running)
		n.QueuedAt = birth.Add(time.Duration(i) * time.Second)
		d.Audience().Tell(n)
	}
	gate := make(chan struct{}) // Discord answers nobody while the ends are told
	s.Before(func(r *http.Request) *discordtest.Answer {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		return nil
	})
	stuck := time.AfterFunc(time.Minute, func() {
		t.Error("telling waits for Discord")
		close(gate)
	})
	for i := range 50 {
		n := notice(fmt.Sprintf("r%02d", i), run.Passed)
		n.QueuedAt = birth.Add(time.Duration(i) * time.Second)
		n.Log.Text = []byte(strings.Repeat("a line of the log\n", notify.MaxTail/18))
		d.Audience().Tell(n)
	}
	took := time.Since(start)
	if stuck.Stop() {
		close(gate)
	}
	waitUntil(t, func() bool { return len(d.Waiting()) == 0 })
	stop()
	t.Logf("100 notices were kept in %v, and told in %v by %d calls", took, time.Since(start), s.Requests())
	messages := s.Messages()
	for i, m := range messages {
		if id := path.Base(m.Embeds[0].URL); id != fmt.Sprintf("r%02d", i) || !strings.Contains(m.Embeds[0].Title, "passed") || m.File == "" {
			t.Errorf("message %d is about %s: %s, file %q", i, id, m.Embeds[0].Title, m.File)
		}
	}
	if len(messages) != 50 || s.Requests() > 102 || s.Refused() != nil {
		t.Errorf("%d messages by %d calls, refused %q", len(messages), s.Requests(), s.Refused())
	}
	if text := log.String(); text != "" {
		t.Errorf("logged:\n%s", text)
	}
}
