package discord

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"lightspeed/notify"
	"lightspeed/secret"
)

// answering answers every call alike.
type answering struct {
	status int
	head   http.Header
	body   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.head, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// Whatever answers in Discord's place: nothing is waited for longer than two hours, what is said of it is one plain line,
// and the webhook's token is not in it.
func FuzzAnswers(f *testing.F) {
	f.Add(429, "1.5", "0", "64.57", `{"message":"You are being rate limited.","retry_after":64.57,"global":true}`)
	f.Add(404, "", "", "", `{"message":"Unknown Webhook","code":10015}`)
	f.Add(400, "", "", "", `{"code":50035,"errors":{"embeds":{"0":{"title":{"_errors":[{"code":"X","message":"too long"}]}}}},"message":"Invalid Form Body"}`)
	f.Add(503, "Wed, 21 Oct 2065 07:28:00 GMT", "0", "NaN", `<html>`)
	f.Add(429, "-1", "0", "1e99", `{"retry_after":1e308}`)
	f.Add(200, "", "0", "Inf", `{"id":"1"}`)
	f.Fuzz(func(t *testing.T, status int, retry, remaining, reset, body string) {
		status = 200 + (status%400+400)%400
		const token = "secret-token"
		tg, err := New(Options{Hook: secret.New("https://discord.com/api/webhooks/100000000000000001/" + token)})
		if err != nil {
			t.Fatal(err)
		}
		head := http.Header{"Retry-After": {retry}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset-After": {reset}}
		tg.client.http.Transport = answering{status, head, strings.ReplaceAll(body, "TOKEN", token)}
		err = tg.Send(t.Context(), due(notice("r1", states[0])), memory())
		var problem *notify.Error
		if !errors.As(err, &problem) {
			return
		}
		if problem.After < 0 || problem.After > 2*time.Hour {
			t.Errorf("it is waited for %v", problem.After)
		}
		if text := problem.Message + problem.Hint; len(text) > 1000 || strings.Contains(text, token) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("it says %q", text)
		}
	})
}
