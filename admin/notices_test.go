package admin

import (
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// The call that asks for what is to be told waits, and comes back when a run is lost. Who had it is told in the answer
// to its finish that it was told.
func TestLostRunIsHandedOutToBeTold(t *testing.T) {
	f := start(t, func(o *Options) { o.PublicURL = "https://ci.example.com" })
	l := f.listener("web")
	f.listener("web", func(r *api.Registration) { r.Instance = "i2" })
	if got := l.register(); got.Page != "https://ci.example.com" {
		t.Errorf("page %q", got.Page)
	}
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	if c.Memos != nil {
		t.Errorf("memos of a first attempt: %v", c.Memos)
	}
	if err := f.client.Notified(t.Context(), refOf(c), api.Notified{Target: "discord", Status: run.Told, Memo: "m1", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	handed := make(chan *api.Telling, 1)
	go func() {
		told, err := f.client.NextTelling(t.Context(), "web", "i2", time.Minute)
		if err != nil {
			t.Error(err)
		}
		handed <- told
	}()
	f.tick(31)
	told := <-handed
	if told == nil || told.Run.ID != id || told.Run.Status != run.Lost || told.Memos["discord"] != "m1" || told.Delivery.ID != "d1" || len(told.Payload) == 0 {
		t.Fatalf("handed out: %+v", told)
	}
	if again, err := f.client.NextTelling(t.Context(), "web", "i2", 0); again != nil || err != nil {
		t.Errorf("handed out again: %+v, %v", again, err)
	}
	if err := f.client.Told(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	done, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Lost})
	if err != nil || !done.Told || done.ID != id || done.Status != run.Lost {
		t.Errorf("finished: %+v, %v", done, err)
	}
}

func TestNoticesThatAreRefused(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	f.push("d1", "main")
	ref := refOf(l.mustClaim())
	good := api.Notified{Target: "discord", Status: run.Told, At: time.Now()}
	for what, change := range map[string]func(*api.Notified){
		"target": func(n *api.Notified) { n.Target = "../x" },
		"status": func(n *api.Notified) { n.Status = "perhaps" },
		"memo":   func(n *api.Notified) { n.Memo = strings.Repeat("m", api.MaxMemo+1) },
		"at":     func(n *api.Notified) { n.At = time.Time{} },
	} {
		n := good
		change(&n)
		if err := f.client.Notified(t.Context(), ref, n); !api.IsCode(err, api.BadRequest) || !strings.HasPrefix(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	good.Error = strings.Repeat("é", api.MaxNoticeText)
	if err := f.client.Notified(t.Context(), ref, good); err != nil {
		t.Error(err)
	}
	if got := *f.run(ref.Run).Notices[0].Error; len(got) > api.MaxNoticeText+len("…") {
		t.Errorf("an error of %d bytes is kept", len(got))
	}
	err := f.client.Notified(t.Context(), run.Ref{Run: "none", Attempt: 1}, api.Notified{Target: "discord", Status: run.Told, At: time.Now()})
	f.wantCode(err, 404, api.NotFound)
	f.wantCode(f.client.Told(t.Context(), "none"), 404, api.NotFound)
}
