package discord

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/notify"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

func problem(t *testing.T, err error) *notify.Error {
	t.Helper()
	var p *notify.Error
	if !errors.As(err, &p) {
		t.Fatalf("%v is no *notify.Error", err)
	}
	return p
}

func TestOneMessageARun(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook()), memory()
	send(t, tg, m, due(notice("r1", run.Running)))
	send(t, tg, m, calling(notice("r1", run.Failed)))
	messages := s.Messages()
	if len(messages) != 1 || messages[0].Edits != 1 || messages[0].Content != "" || len(s.Called()) != 0 {
		t.Fatalf("got %+v", messages)
	}
	if got := messages[0].Embeds[0].Title; got != `❌ site\_deploy failed` {
		t.Errorf("title %q", got)
	}
}

func TestCallsAreNewMessagesAndOnlyAsConfigured(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook(), "<@&2>", "@here <@1>"), memory()
	hostile := notice("r1", run.Failed)
	hostile.Event.Branch = "@everyone<@666>"
	hostile.Event.Message, hostile.Reason, hostile.Event.Author = "@everyone <@&777>", "@here", "<@888>"
	hostile.Log.Text = []byte("@everyone <@999>\n")
	send(t, tg, m, due(notice("r1", run.Running)))
	send(t, tg, m, calling(hostile))
	send(t, tg, m, calling(hostile)) // told once more, as after a kill -9
	messages := s.Messages()
	want := []string{"role 2", "user 1", "@here"}
	if len(messages) != 2 || !slices.Equal(s.Called(), want) {
		t.Fatalf("called %q by %d messages", s.Called(), len(messages))
	}
	if c := messages[1].Content; c != "<@&2> <@1> @here" || messages[0].Content != "" {
		t.Errorf("content %q", c)
	}
	again := hostile
	again.Attempt = 2
	send(t, tg, m, calling(again))
	if n := len(s.Called()); n != 6 {
		t.Errorf("the second attempt's end: %d calls in all, want 6", n)
	}
	passed := again
	passed.State = run.Passed
	send(t, tg, m, calling(passed)) // a late result of the attempt that called already
	if n := len(s.Called()); n != 6 {
		t.Errorf("a late result: %d calls in all, want 6", n)
	}
}

// Where nothing was posted at the start, one message tells and calls.
func TestAnEndAloneIsOneMessage(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook(), "@here"), memory()
	send(t, tg, m, calling(notice("r1", run.Failed)))
	if got := s.Messages(); len(got) != 1 || !slices.Equal(got[0].Called, []string{"@here"}) {
		t.Fatalf("got %+v", got)
	}
	send(t, tg, m, calling(notice("r1", run.Passed))) // an edit: the content stays, and calls nobody
	got := s.Messages()
	if len(got) != 1 || got[0].Content != "@here" || len(s.Called()) != 1 || !strings.Contains(got[0].Body, `"allowed_mentions":{"parse":[]}`) {
		t.Errorf("got %+v", got)
	}
}

func TestWhatIsNotDueOnlyBringsUpToDate(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook()), memory()
	send(t, tg, m, notify.Telling{Notice: notice("r1", run.Passed)})
	if n := s.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
	send(t, tg, m, due(notice("r1", run.Lost)))
	send(t, tg, m, notify.Telling{Notice: notice("r1", run.Passed)})
	if got := s.Messages(); len(got) != 1 || !strings.Contains(got[0].Embeds[0].Title, "passed") {
		t.Errorf("got %+v", got)
	}
}

func TestAMessageThatCannotBeEditedIsReplaced(t *testing.T) {
	for name, lose := range map[string]func(*discordtest.Server){
		"deleted": (*discordtest.Server).DeleteMessages,
		"old":     (*discordtest.Server).AgeMessages,
		"moved": func(s *discordtest.Server) { // to another channel, where it is not known by this path
			s.Before(func(r *http.Request) *discordtest.Answer {
				if r.Method == http.MethodPatch {
					return &discordtest.Answer{Status: 404, Body: `{"message": "Unknown Channel", "code": 10003}`}
				}
				return nil
			})
		},
	} {
		s := discordtest.New(t)
		tg, m := target(t, s, s.Hook(), "@here"), memory()
		send(t, tg, m, due(notice("r1", run.Running)))
		lose(s)
		send(t, tg, m, calling(notice("r1", run.Failed)))
		s.Before(nil)
		send(t, tg, m, calling(notice("r1", run.Failed)))
		all := s.Messages()
		if got := all[len(all)-1]; !strings.Contains(got.Embeds[0].Title, "failed") || got.Edits != 1 || !slices.Equal(s.Called(), []string{"@here"}) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestADeletedWebhookIsLeftAlone(t *testing.T) {
	for name, lose := range map[string]func(*discordtest.Server){
		"unknown webhook": (*discordtest.Server).DeleteHooks,
		"404 of whatever kind": func(s *discordtest.Server) {
			s.Before(func(*http.Request) *discordtest.Answer { return &discordtest.Answer{Status: 404} })
		},
		"invalid token": func(s *discordtest.Server) {
			s.Before(func(*http.Request) *discordtest.Answer {
				return &discordtest.Answer{Status: 401, Body: `{"message": "Invalid Webhook Token", "code": 50027}`}
			})
		},
	} {
		s := discordtest.New(t)
		tg, m := target(t, s, s.Hook()), memory()
		send(t, tg, m, due(notice("r1", run.Running)))
		lose(s)
		p := refuse(t, tg, m, due(notice("r1", run.Passed)))
		if !p.Final || !strings.Contains(p.Hint, "make a webhook") {
			t.Errorf("%s: %+v", name, p)
		}
		n := s.Requests()
		for range 5 {
			if again := refuse(t, tg, memory(), due(notice("r2", run.Passed))); again.Message != p.Message || !again.Final {
				t.Errorf("%s: then %+v", name, again)
			}
		}
		if s.Requests() != n {
			t.Errorf("%s: asked %d times more", name, s.Requests()-n)
		}
	}
}

func TestAnotherWebhooksMessagesAreNotEdited(t *testing.T) {
	s := discordtest.New(t)
	m := memory()
	send(t, target(t, s, s.Hook()), m, due(notice("r1", run.Running)))
	send(t, target(t, s, s.Hook()), m, due(notice("r1", run.Passed)))
	if got := s.Messages(); len(got) != 2 || got[0].Hook == got[1].Hook || got[1].Edits != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestThreads(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook()+"?thread_id=123456789012345"), memory()
	send(t, tg, m, due(notice("r1", run.Running)))
	seen := ""
	s.Before(func(r *http.Request) *discordtest.Answer { seen = r.Method + " " + r.URL.RawQuery; return nil })
	send(t, tg, m, due(notice("r1", run.Passed)))
	if got := s.Messages(); len(got) != 1 || got[0].Thread != "123456789012345" || seen != "PATCH thread_id=123456789012345" {
		t.Errorf("%s; got %+v", seen, got)
	}
}

func TestLimitsOfEveryKind(t *testing.T) {
	for name, c := range map[string]struct {
		answer discordtest.Answer
		after  time.Duration
		global bool
	}{
		"webhook": {discordtest.Answer{Body: `{"message": "x", "retry_after": 0.25, "global": false}`, Header: map[string]string{"Retry-After": "1"}}, time.Second, false},
		"global":  {discordtest.Answer{Body: `{"message": "x", "retry_after": 64.5, "global": true}`}, 64500 * time.Millisecond, true},
		"shared":  {discordtest.Answer{Header: map[string]string{"X-RateLimit-Reset-After": "2.5", "X-RateLimit-Scope": "shared"}}, 2500 * time.Millisecond, false},
		"proxy":   {discordtest.Answer{Body: "<html>1015</html>", Header: map[string]string{"Retry-After": "30"}}, 30 * time.Second, false},
		"silent":  {discordtest.Answer{}, blindRest, false},
		"absurd":  {discordtest.Answer{Body: `{"retry_after": 1e99}`}, 2 * time.Hour, false},
	} {
		s := discordtest.New(t)
		tg := target(t, s, s.Hook())
		c.answer.Status = 429
		s.Before(func(*http.Request) *discordtest.Answer { return &c.answer })
		p := refuse(t, tg, memory(), due(notice("r1", run.Running)))
		if p.Final || !p.Busy || !p.Reached || p.After != c.after {
			t.Errorf("%s: %+v, want after %v", name, p, c.after)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := tg.Send(ctx, due(notice("r1", run.Running)), memory()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: then %v", name, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := tg.client.all.Wait(ctx); c.global != (err != nil) {
			t.Errorf("%s: everybody waits: %v", name, err)
		}
		cancel()
		if n := s.Requests(); n != 1 {
			t.Errorf("%s: %d requests while it was held", name, n)
		}
	}
}

func TestWaitsBeforeTheLimitIsReached(t *testing.T) {
	s := discordtest.New(t)
	s.Limit(2, 100*time.Millisecond)
	tg := target(t, s, s.Hook())
	for i := range 8 {
		send(t, tg, memory(), due(notice(fmt.Sprint("r", i), run.Running)))
	}
	if n := s.Requests(); n != 8 {
		t.Errorf("%d requests for 8 messages", n)
	}
}

func TestErrorsThatPassAndErrorsThatDoNot(t *testing.T) {
	for _, c := range []struct {
		answer       discordtest.Answer
		final        bool
		after        time.Duration
		want, hinted string
		requests     int
	}{
		{discordtest.Answer{Status: 500}, false, 0, "discord answers 500", "", 1},
		{discordtest.Answer{Status: 503, Header: map[string]string{"Retry-After": "7"}, Body: "<html>"}, false, 7 * time.Second, "discord answers 503", "", 1},
		{discordtest.Answer{Status: 408}, false, 0, "discord answers 408", "", 1},
		{discordtest.Answer{Status: 302, Header: map[string]string{"Location": "/api/v10/elsewhere"}}, false, 0, "discord answers 302", "no redirect is followed", 1},
		{discordtest.Answer{Status: 403, Body: `{"message": "Missing\nPermissions", "code": 50013}`}, true, 0, "discord answers 403 (50013 Missing Permissions)", "", 1},
		{discordtest.Answer{Status: 400, Body: `{"message": "Webhooks posted to forum channels must have a thread_name or thread_id", "code": 220001}`}, true, 0,
			"discord answers 400 (220001 Webhooks posted to forum channels must have a thread_name or thread_id)", "?thread_id=ID", 1},
		{discordtest.Answer{Status: 400, Body: `{"message": "Invalid Form Body", "code": 50035, "errors": {"embeds": {"0": {"url": {"_errors": [{"code": "X", "message": "Not a well formed URL."}]}}}}}`}, true, 0,
			"discord answers 400 (50035 Invalid Form Body): embeds.0.url: Not a well formed URL.", "", 2},
		{discordtest.Answer{Status: 413}, true, 0, "discord answers 413", "", 2},
		{discordtest.Answer{Status: 400, Body: `{"message": "Token-of_webhook-0-that-nobody-may-see", "errors": [1]}`}, true, 0, "discord answers 400 ([secret])", "", 2},
		{discordtest.Answer{Status: 400, Body: strings.Repeat(`{"errors":`, 2000)}, true, 0, "discord answers 400", "", 2},
	} {
		s := discordtest.New(t)
		s.Before(func(*http.Request) *discordtest.Answer { return &c.answer })
		p := refuse(t, target(t, s, s.Hook()), memory(), due(notice("r1", run.Running)))
		if p.Final != c.final || p.After != c.after || p.Message != c.want || !p.Reached || p.Busy || !strings.Contains(p.Hint, c.hinted) {
			t.Errorf("%d: got %+v, want %s", c.answer.Status, p, c.want)
		}
		if n := s.Requests(); n != c.requests {
			t.Errorf("%d: %d requests, want %d", c.answer.Status, n, c.requests)
		}
	}
}

// Discord may dislike an address that means something only at home. The message counts more than its links.
func TestWhatIsRefusedForItsLinksIsToldWithoutThem(t *testing.T) {
	s := discordtest.New(t)
	first := true
	s.Before(func(*http.Request) *discordtest.Answer {
		if first {
			first = false
			return &discordtest.Answer{Status: 400, Body: `{"message": "Invalid Form Body", "code": 50035}`}
		}
		return nil
	})
	n := notice("r1", run.Failed)
	n.Log = notify.Tail{Text: []byte(strings.Repeat("line\n", 100)), Cut: true}
	send(t, target(t, s, s.Hook(), "@here"), memory(), calling(n))
	got := s.Messages()[0]
	if got.Embeds[0].URL != "" || got.File != "" || strings.Contains(got.Body, "http") || got.Content != "@here" {
		t.Errorf("got %s, file %q", got.Body, got.File)
	}
}

func TestUnreachable(t *testing.T) {
	s := discordtest.New(t)
	tg := target(t, s, s.Hook())
	tg.client.api = "http://127.0.0.1:1/api/v10"
	p := refuse(t, tg, memory(), due(notice("r1", run.Running)))
	if p.Final || p.Reached || p.Message != "discord cannot be reached: dial: connect: connection refused" {
		t.Errorf("got %+v", p)
	}
}

func TestSlow(t *testing.T) {
	s := discordtest.New(t)
	tg := target(t, s, s.Hook())
	tg.client.limit = 50 * time.Millisecond
	s.Before(func(r *http.Request) *discordtest.Answer {
		<-r.Context().Done()
		return &discordtest.Answer{Status: 500}
	})
	p := refuse(t, tg, memory(), due(notice("r1", run.Running)))
	if p.Final || p.Message != "discord cannot be reached: no answer in time" {
		t.Errorf("got %+v", p)
	}
}

// The answer breaks off after "200 OK": the message is there, its id is not known. It is not posted again, and
// the end comes as a message of its own.
func TestCutOff(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook(), "@here"), memory()
	s.CutOff(true)
	send(t, tg, m, due(notice("r1", run.Running)))
	s.CutOff(false)
	send(t, tg, m, calling(notice("r1", run.Failed)))
	if got := s.Messages(); len(got) != 2 || !slices.Equal(s.Called(), []string{"@here"}) {
		t.Errorf("got %+v", got)
	}
}

func TestAFullDiskTellsOnlyOnce(t *testing.T) {
	s := discordtest.New(t)
	tg := target(t, s, s.Hook())
	m := notify.NewMemo("", func(string) error { return errors.New("no space left on device") })
	send(t, tg, m, due(notice("r1", run.Running)))
	send(t, tg, m, due(notice("r1", run.Passed)))
	if got := s.Messages(); len(got) != 1 || got[0].Edits != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestLongLogsComeAsAFile(t *testing.T) {
	s := discordtest.New(t)
	tg, m := target(t, s, s.Hook()), memory()
	send(t, tg, m, due(notice("r1", run.Running)))
	n := notice("r1", run.Failed)
	n.Log = notify.Tail{Text: []byte("\x1b[31m" + strings.Repeat("a line of the log ```\n", 100)), Cut: true}
	send(t, tg, m, due(n))
	send(t, tg, m, due(n))
	got := s.Messages()[0]
	if refused := s.Refused(); refused != nil {
		t.Errorf("refused: %q", refused)
	}
	if got.File != "log-r1.txt" || strings.Count(got.FileText, "a line of the log ```\n") != 100 || !strings.HasPrefix(got.FileText, "[… the end of the log") {
		t.Errorf("file %q: %.100q", got.File, got.FileText)
	}
	if d := got.Embeds[0].Description; strings.Count(d, "a line of the log") != excerptLines {
		t.Errorf("description %q", d)
	}
	send(t, tg, m, due(notice("r1", run.Passed))) // a late result with a short log: the file goes
	if got := s.Messages()[0]; got.File != "" || got.Edits != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTry(t *testing.T) {
	s := discordtest.New(t)
	tg := target(t, s, s.Hook(), "@here")
	said, err := tg.Try(t.Context(), notice("sample", run.Running))
	if err != nil || said != "posted message 2000000000000001 in channel 3000000000000000, and edited it; runs would call @here, this sample called nobody" {
		t.Errorf("said %q, %v", said, err)
	}
	if got := s.Messages(); len(got) != 1 || got[0].Edits != 1 || len(s.Called()) != 0 {
		t.Errorf("got %+v", got)
	}
	s.Before(func(r *http.Request) *discordtest.Answer {
		if r.Method == http.MethodPatch {
			return &discordtest.Answer{Status: 403}
		}
		return nil
	})
	if _, err := tg.Try(t.Context(), notice("sample", run.Running)); err == nil || err.Error() != "posted message 2000000000000002, and could not edit it: discord answers 403" {
		t.Errorf("got %v", err)
	}
	s.Before(nil)
	s.DeleteHooks()
	_, err = tg.Try(t.Context(), notice("sample", run.Running))
	if err == nil || err.Error() != "discord answers 404 (10015 Unknown Webhook)" || problem(t, err).Hint == "" {
		t.Errorf("got %v", err)
	}
}
