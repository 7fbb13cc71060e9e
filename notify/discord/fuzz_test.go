package discord

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"lightspeed/notify"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

// direct calls a server's handler without a network between.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

var states = []run.State{run.Running, run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Superseded, run.Lost}

// Whatever a commit, a branch, a reason or a log says: Discord takes the message as it is, it calls those who
// are configured and nobody else, and what was text stays text.
func FuzzMessages(f *testing.F) {
	f.Add("main", "Fix it", "Ann", "step 2 failed", "ok\n", "https://github.com/a/b/compare/x...y", byte(2), 7, true)
	f.Add("@everyone", "<@&1> @here [x](https://evil.test)", "<@1>", "```\n@everyone", "```\n@here\n```", "https://x/)[](", byte(7), 0, false)
	f.Add("`x`", "\u202e\u2066\x1b[31m", "||spoiler||", "> quote\n# head", "\x1b]8;;x\x1b\\`````", "javascript:x", byte(3), -1, true)
	f.Add(strings.Repeat("👍", 3000), strings.Repeat("_", 5000), strings.Repeat("\u200b", 900), strings.Repeat("\\", 2000), strings.Repeat("``\n", 9000), "", byte(4), 1<<40, true)
	f.Add("\xff\xfe", "\x00", " ", "\u3164", "\r\r\r", "http://", byte(1), 1, true)
	s := discordtest.New(f)
	tg, err := New(Options{Hook: hookOf(s), Call: []string{"@here <@5>"}, API: s.API()})
	if err != nil {
		f.Fatal(err)
	}
	tg.client.http.Transport = direct{s}
	f.Fuzz(func(t *testing.T, branch, message, author, reason, log, url string, state byte, pr int, cut bool) {
		n := notice("r1", states[int(state)%len(states)])
		n.Event.Branch, n.Event.Ref, n.Event.Base, n.Event.Tag, n.Event.Repo = branch, branch, branch, "", message
		n.Event.Message, n.Event.Author, n.Event.URL, n.Event.Action, n.Event.Name, n.Event.SHA = message, author, url, reason, author, branch
		n.Reason, n.Step, n.Host, n.RetryOf, n.Run, n.Page, n.Event.PR, n.Cause = reason, message, author, branch, branch, url, pr, run.ByRetry
		n.Log = notify.Tail{Text: []byte(log)[:min(len(log), notify.MaxTail)], Cut: cut}
		m := memory()
		before, calls, refusedBefore := len(s.Messages()), len(s.Called()), len(s.Refused())
		send(t, tg, m, due(n))
		send(t, tg, m, calling(n))
		if refused := s.Refused()[refusedBefore:]; len(refused) > 0 {
			t.Fatalf("refused: %q", refused)
		}
		posted := s.Messages()[before:]
		if len(posted) != 2 || !slices.Equal(s.Called()[calls:], []string{"user 5", "@here"}) {
			t.Fatalf("%d messages called %q", len(posted), s.Called()[calls:])
		}
		for _, p := range posted {
			checkText(t, p, link(url) != "")
		}
		s.DeleteMessages()
	})
}

var (
	escapedChar = regexp.MustCompile(`\\[^0-9A-Za-z\s]`)
	inlineCode  = regexp.MustCompile("`[^`\n]*`")
)

// checkText looks at a message as Discord's Markdown does.
func checkText(t *testing.T, m discordtest.Message, linked bool) {
	t.Helper()
	e := m.Embeds[0]
	text, fence, fenced := strings.Cut(e.Description, "```\n")
	if fenced {
		fence, fenced = strings.CutSuffix(fence, "\n```")
		if !fenced || strings.Contains(fence, "```") {
			t.Fatalf("the fence can be left: %q", e.Description)
		}
	}
	links := 0
	for _, part := range append([]string{text, e.Title}, values(e)...) {
		for _, r := range part {
			if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q holds %U", part, r)
			}
		}
		part = inlineCode.ReplaceAllString(escapedChar.ReplaceAllString(part, ""), "")
		links += strings.Count(part, "](")
		for _, no := range []string{"<@", "@everyone", "@here", "<#", "<:", "`", "||", "**", "__", "~~", "[["} {
			if strings.Contains(part, no) {
				t.Fatalf("%q is Markdown: %q", no, part)
			}
		}
	}
	if links > 1 || links == 1 && !linked {
		t.Fatalf("%d links: %q", links, text)
	}
}

func values(e discordtest.Embed) (all []string) {
	for _, f := range e.Fields {
		all = append(all, f.Value)
	}
	return all
}
