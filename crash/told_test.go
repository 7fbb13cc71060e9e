package crash

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

// tellingWorld is a world whose listeners tell a Discord that the test has in hand, and link to the run.
func tellingWorld(t *testing.T) (*world, *discordtest.Server, settings) {
	t.Helper()
	discord := discordtest.New(t)
	w := newWorld(t, options{})
	w.admin.command.Env = append(w.admin.command.Env, "LIGHTSPEED_PUBLIC_URL=https://ci.example.com/")
	return w, discord, settings{"discord_hook": discord.Hook(), "discord_notify": "@here", "notify_on": "always"}
}

// tells has a listener call that Discord.
func (s *server) tells(discord *discordtest.Server) *server {
	s.command.Env = append(s.command.Env, "LIGHTSPEED_DISCORD_API="+discord.API())
	return s
}

// awaitTold waits until the last word about each run is how it ended at admin, and returns how many messages there are
// too many, when each run has one, and one that calls.
func (w *world) awaitTold(discord *discordtest.Server) (tooMany int) {
	w.t.Helper()
	verbs := map[run.State]string{run.Passed: "job passed", run.Lost: "job was lost"}
	w.await("a message about the end of every run", func() bool {
		runs, err := w.runs()
		if err != nil {
			return false
		}
		messages, all := discord.Messages(), 0
		for _, r := range runs {
			told, called := false, false
			for _, m := range messages {
				if path.Base(m.Embeds[0].URL) != r.ID {
					continue
				}
				all++
				about := strings.Contains(m.Embeds[0].Title, verbs[r.Status])
				told = told || about
				called = called || about && len(m.Called) > 0
			}
			if !told || !called {
				return false
			}
			all -= 2
		}
		tooMany = all
		return true
	})
	if refused := discord.Refused(); refused != nil {
		w.t.Errorf("refused: %q", refused)
	}
	return tooMany
}

// Wherever a listener that tells is killed, people learn how every run ended, and read one message too many at most.
func TestToldAtEveryPoint(t *testing.T) {
	telling := []string{"listener.start.told", "listener.settled", "listener.end.told", "listener.lost.told"}
	for _, p := range points {
		if !slices.Contains(telling, p.name) {
			continue
		}
		t.Run(p.fault()+" "+p.first, func(t *testing.T) {
			t.Parallel()
			w, discord, config := tellingWorld(t)
			w.listener("machine", config, nil).tells(discord)
			p.play(w, p)
			if err := <-w.doomed; err != nil {
				t.Fatalf("%s: %v", p.fault(), err)
			}
			w.awaitSettled(p.first)
			w.open()
			w.settle()
			if n := w.awaitTold(discord); n > 1 {
				t.Errorf("%d messages too many: %+v", n, discord.Messages())
			}
		})
	}
}

// A listener that is killed after Discord has taken its message, and before it has noted which that is, posts it once
// more at most.
func TestKilledBetweenPostAndNote(t *testing.T) {
	t.Parallel()
	w, discord, config := tellingWorld(t)
	w.start()
	l := w.listener("machine", config, nil).tells(discord)
	l.start()
	killed := make(chan struct{})
	kill := sync.OnceFunc(func() {
		l.Kill()
		close(killed)
	})
	discord.After(func(*http.Request) { kill() })
	w.send("gate")
	<-killed
	l.start()
	w.send("other")
	w.settle()
	if n := w.awaitTold(discord); n != 1 {
		t.Errorf("%d messages too many: %+v", n, discord.Messages())
	}
}

// A run whose listener is killed for good is told by the other one of its name, once: it edits the message that is
// there, and calls. When the first comes back after all, it says nothing new.
func TestLostRunIsToldByTheOther(t *testing.T) {
	t.Parallel()
	w, discord, config := tellingWorld(t)
	w.start()
	first := w.listener("first", config, nil).tells(discord)
	first.start()
	r := w.runOf(w.send("gate"))
	w.await("a message that it runs, and admin's knowing of it", func() bool {
		got, err := w.api.Run(t.Context(), r.ID)
		return err == nil && len(discord.Messages()) == 1 && len(got.Notices) == 1
	})
	first.Kill()
	w.listener("second", config, nil).tells(discord).start()
	w.awaitStatus(r.ID, run.Lost)
	once := func(edits int) {
		t.Helper()
		if n := w.awaitTold(discord); n != 0 {
			t.Errorf("%d messages too many: %+v", n, discord.Messages())
		}
		m := discord.Messages()[0]
		if m.Edits != edits || !strings.Contains(m.Embeds[0].Title, "job was lost") || strings.Join(discord.Called(), " ") != "@here" {
			t.Errorf("after %d edits: %+v, called %q", edits, m, discord.Called())
		}
	}
	once(1)
	first.start()
	w.await("its report", func() bool {
		got, err := w.api.Run(t.Context(), r.ID)
		return err == nil && got.SlotHeldUntil == nil
	})
	w.send("other")
	w.settle()
	w.await("its own edit", func() bool { return discord.Messages()[0].Edits == 2 })
	if n := len(discord.Called()); n > 2 { // the second run's end is one
		t.Errorf("called %d times: %+v", n, discord.Messages())
	}
}

// A run that goes on as its next attempt on another machine keeps its message.
func TestRequeuedRunKeepsItsMessage(t *testing.T) {
	t.Parallel()
	w, discord, config := tellingWorld(t)
	config["on_lost"] = "requeue"
	w.start()
	first := w.listener("first", config, nil).tells(discord)
	first.start()
	r := w.runOf(w.send("gate"))
	w.await("a message that it runs, and admin's knowing of it", func() bool {
		got, err := w.api.Run(t.Context(), r.ID)
		return err == nil && len(discord.Messages()) == 1 && len(got.Notices) == 1
	})
	first.Kill()
	w.listener("second", config, nil).tells(discord).start()
	w.open()
	if r = w.awaitStatus(r.ID, run.Passed); r.Attempt != 2 {
		t.Errorf("it passed as attempt %d", r.Attempt)
	}
	if n := w.awaitTold(discord); n != 0 {
		t.Errorf("%d messages too many: %+v", n, discord.Messages())
	}
}
