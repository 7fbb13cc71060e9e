package main

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lightspeed/notify/discord/discordtest"
)

type discordKey struct{}

// giveDiscord lets a script's listeners call a Discord of its own instead of the real one; DISCORD_HOOK is the URL
// of a webhook there.
func giveDiscord(t *testing.T, env *testscript.Env) {
	s := discordtest.New(t)
	env.Values[discordKey{}] = s
	env.Setenv("LIGHTSPEED_DISCORD_API", s.API())
	env.Setenv("DISCORD_HOOK", s.Hook())
}

// cmdDiscord waits until as many messages as are wanted have a match.
func cmdDiscord(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: discord N REGEXP")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	s := ts.Value(discordKey{}).(*discordtest.Server)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		for _, m := range s.Messages() {
			if re.MatchString(m.Body) {
				n++
			}
		}
		if n == want {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%d messages match %q, not %d: %+v", n, args[1], want, s.Messages())
		}
	}
}
