package config

import (
	"slices"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// Limits of Config.Poll.
const (
	MinPoll = 10 * time.Second
	MaxPoll = 24 * time.Hour
)

func (l *listener) poll(key string, v hujson.Value) {
	value, ok := l.decoder.duration(key, v, MaxPoll)
	if ok && value < MinPoll {
		l.wrong(v.StartOffset, "", "%s: want at least %q, got %s", key, "10s", show(quoted(v)))
		return
	}
	l.cfg.Poll = value
}

// considerPoll refuses to poll what is not named: nobody knows which repositories a pattern means.
func (l *listener) considerPoll() {
	offset, given := l.given["poll"]
	if !given {
		return
	}
	for _, repo := range l.cfg.Rules.Repos {
		if strings.ContainsAny(repo, "*?[!") || strings.Count(repo, "/") != 1 {
			l.wrong(offset, "repos must name each one, as in \"me/my-app\"", "poll: %s in repos is a pattern", show(repo))
			return
		}
	}
	switch events := l.cfg.Rules.Events; {
	case len(l.cfg.Rules.Repos) == 0:
		l.wrong(offset, `as in "repos": ["me/my-app"]`, "poll: without repos there is nothing to look at")
	case len(events) > 0 && !slices.Contains(events, "push"):
		l.warn(offset, "", "poll: it finds pushes alone, and events has no push")
	}
}
