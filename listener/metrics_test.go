package listener

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/metric"
	"lightspeed/secret"
)

// Each time that admin was away and came back counts once, however many calls have failed meanwhile.
func TestReconnectsAreCounted(t *testing.T) {
	client, err := api.NewClient("http://127.0.0.1:1", secret.Value{}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	var set metric.Set
	l := newLink(client, slog.New(slog.DiscardHandler), NewMetrics(&set))
	gone := &api.UnreachableError{Base: "http://127.0.0.1:1", Err: errors.New("connection refused")}
	for i, err := range []error{nil, gone, gone, nil, nil, gone, api.Errorf(503, api.Unavailable, "not now"), gone} {
		l.heard(err)
		want := []string{"0", "0", "0", "1", "1", "1", "2", "2"}[i]
		text, err := set.Text(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nlightspeed_listener_reconnects_total "+want+"\n") {
			t.Errorf("after call %d there are not %s reconnects:\n%s", i+1, want, text)
		}
	}
}
