package discord

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/notify"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
	"lightspeed/secret"
)

// childDir names the folder in which the test binary, started once more, tells until it is killed; the others
// say of what it tells whom.
const (
	childDir  = "LIGHTSPEED_TEST_NOTICES"
	childAPI  = "LIGHTSPEED_TEST_DISCORD_API"
	childHook = "LIGHTSPEED_TEST_DISCORD_HOOK"
)

func killable(dir, api, hook string) (*notify.Dispatcher, error) {
	tg, err := New(Options{Hook: secret.New(hook), Call: []string{"@here"}, API: api})
	if err != nil {
		return nil, err
	}
	return notify.New(notify.Options{
		Dir: dir, Routes: []notify.Route{{Target: tg}}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Linger: time.Second,
	})
}

// tellUntilKilled tells of runs that start and fail, for ever. It says "RUN STATE" after Tell has returned.
func tellUntilKilled(dir string) int {
	d, err := killable(dir, os.Getenv(childAPI), os.Getenv(childHook))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = d.Run(context.Background()) }()
	for n := 0; ; n++ {
		id := fmt.Sprintf("p%dn%d", os.Getpid(), n)
		for _, state := range []run.State{run.Running, run.Failed} {
			d.Audience().Tell(notice(id, state))
			fmt.Println(id, state)
			for d.Waiting()["discord"] > 5 || rand.N(3) == 0 && len(d.Waiting()) > 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// child runs tellUntilKilled until kill is called, or by itself kills it at a random moment; it returns the
// newest state that was told of each run.
func child(t *testing.T, dir string, s *discordtest.Server, hook string, told map[string]run.State, moment func(kill func())) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childAPI+"="+s.API(), childHook+"="+hook)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	defer kill()
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first {
			moment(kill)
		}
		if id, state, whole := strings.Cut(lines.Text(), " "); whole {
			told[id] = run.State(state)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() > 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// Whatever moment kill -9 hits: every end that was handed to Tell is told, and calls; at most one message more
// than that for each kill.
func TestKill9(t *testing.T) {
	s, dir, told := discordtest.New(t), t.TempDir(), map[string]run.State{}
	hook := s.Hook()
	kills := 0
	for range 4 { // at any moment
		child(t, dir, s, hook, told, func(kill func()) {
			timer := time.AfterFunc(rand.N(200*time.Millisecond), kill)
			t.Cleanup(func() { timer.Stop() })
		})
		kills++
	}
	for _, after := range []int{1, 2, 5, 8} { // between posting and noting
		posts := 0
		child(t, dir, s, hook, told, func(kill func()) {
			var mu sync.Mutex
			s.After(func(r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodPost {
					posts++
				}
				if posts == after {
					kill()
				}
			})
		})
		s.After(nil)
		kills++
	}
	finish(t, dir, s, hook)
	checkTold(t, s, told, kills)
}

// finish tells what is left, in a process that is not killed.
func finish(t *testing.T, dir string, s *discordtest.Server, hook string) {
	t.Helper()
	d, err := killable(dir, s.API(), hook)
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, d)
	waitUntil(t, func() bool { return len(d.Waiting()) == 0 })
	stop()
}

func checkTold(t *testing.T, s *discordtest.Server, told map[string]run.State, kills int) {
	t.Helper()
	type about struct{ messages, calls, callingAlone, ended int }
	runs := map[string]*about{}
	for _, m := range s.Messages() {
		id := path.Base(m.Embeds[0].URL)
		if runs[id] == nil {
			runs[id] = &about{}
		}
		a := runs[id]
		a.messages++
		a.calls += len(m.Called)
		switch own := m.Embeds[0].Footer.Text == ""; { // what only calls has none
		case own:
			a.callingAlone++
		case strings.Contains(m.Embeds[0].Title, "failed"):
			a.ended++
		}
	}
	extra, failed := 0, 0
	for id, state := range told {
		a := runs[id]
		switch {
		case a == nil:
			t.Errorf("%s: nobody was told", id)
		case state == run.Failed && (a.ended == 0 || a.calls == 0):
			t.Errorf("%s failed, and was told as %+v", id, *a)
		case state == run.Failed:
			failed++
		}
	}
	for _, a := range runs {
		extra += a.messages - 1
		if a.calls > 0 && a.calls == a.callingAlone {
			extra-- // the message was there already: calling took one of its own
		}
	}
	t.Logf("%d runs, %d of them failed, %d messages too many after %d kills", len(told), failed, extra, kills)
	if extra > kills {
		t.Errorf("%d messages too many after %d kills", extra, kills)
	}
	if failed < 8 {
		t.Errorf("only %d runs failed: that shows little", failed)
	}
	if refused := s.Refused(); refused != nil {
		t.Errorf("refused: %q", refused)
	}
}
