package admin

import (
	"fmt"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
)

// However many runs have waited for too long all at once, a tick ends so many of them and no more; the next goes on.
func TestManyWaitsEndOverSeveralTicks(t *testing.T) {
	f := start(t)
	const listeners, pushes = 70, 30
	for i := range listeners {
		f.listener(fmt.Sprintf("l%02d", i), func(r *api.Registration) {
			r.Settings.MaxWaitS, r.Settings.Rules = 2, match.Rules{Name: fmt.Sprintf("l%02d", i), Repos: []string{"**"}}
		})
	}
	for i := range pushes {
		f.deliver(fmt.Sprint("d", i), event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha(fmt.Sprint(i)), Before: sha("b"), Nonce: fmt.Sprint(i)})
	}
	const most, all = expiries * 200, listeners * pushes
	f.tick(1)
	for _, want := range []string{fmt.Sprint(most), fmt.Sprint(all)} {
		f.tick(1)
		if got := f.numbers()[`lightspeed_admin_runs_total{status="`+string(run.Cancelled)+`"}`]; got != want {
			t.Errorf("%s runs are cancelled, want %s", got, want)
		}
	}
}
