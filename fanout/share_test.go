package fanout

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/run"
)

// fellBack begins the line of a listener that is not told of work by the broker.
const fellBack = "asks admin itself for work: "

// Two hundred short jobs on four machines, four at once: each runs once, every machine has its share, and the places are
// hardly ever empty while jobs wait.
func TestWorkIsShared(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "30s")
	w.start(url)
	machines := []string{"a", "b", "c", "d"}
	for _, machine := range machines {
		w.listener(machine, 4, "job").start(url)
	}
	w.awaitVia("job", len(machines), "rabbitmq")
	for i := range 200 {
		w.push(fmt.Sprintf("nap-%d", i))
	}
	runs := w.settle(1)
	share := map[string]int{}
	for _, machine := range w.marked("started") {
		share[machine]++
	}
	took, full := occupied(runs, 4)
	t.Logf("200 jobs of 0.1 s on %d machines, 4 at once: %v, places full for %.0f %%, by machine %v",
		len(machines), took.Round(time.Millisecond), 100*full, share)
	for _, machine := range machines {
		if share[machine] < 20 {
			t.Errorf("machine %s ran %d of 200 jobs", machine, share[machine])
		}
	}
	if full < 0.5 {
		t.Errorf("the places were full for %.0f %% of the time", 100*full)
	}
	if broker := w.readyz(); broker != "ok" {
		t.Errorf("admin says of its broker: %s", broker)
	}
	for _, l := range w.listeners {
		if n := l.said("level=WARN"); n != 0 {
			t.Errorf("%s gave %d warnings where all was well", l.command.Name, n)
		}
	}
}

// occupied says how long runs took from the first claim to the last end, and which part of that time, over so many places,
// some run was there.
func occupied(runs []run.Run, places int) (took time.Duration, full float64) {
	first, last, busy := *runs[0].StartedAt, *runs[0].FinishedAt, time.Duration(0)
	for _, r := range runs {
		busy += r.FinishedAt.Sub(*r.StartedAt)
		if r.StartedAt.Before(first) {
			first = *r.StartedAt
		}
		if r.FinishedAt.After(last) {
			last = *r.FinishedAt
		}
	}
	took = last.Sub(first)
	return took, float64(busy) / float64(took) / float64(places)
}

// A listener that is on another broker than admin runs what there is all the same, and says so once.
func TestAnotherBroker(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url, other := node.Vhost(t), node.Vhost(t)
	w := newWorld(t, "3s")
	w.start(url)
	l := w.listener("a", 1, "job")
	l.start(other)
	l.saysOnce(fellBack, rabbittest.VhostOf(other), rabbittest.VhostOf(url), "give both the same --rabbit-url")
	w.awaitVia("job", 1, "claim")
	for range 3 {
		w.push("main")
	}
	w.settle(1)
	l.saysOnce(fellBack)
}

// Admin has no broker, and a listener has one.
func TestAdminHasNoBroker(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "3s")
	w.start("")
	l := w.listener("a", 1, "job")
	l.start(url)
	l.saysOnce(fellBack, "admin announces through no broker now")
	w.awaitVia("job", 1, "claim")
	w.push("main")
	w.settle(1)
	if broker := w.readyz(); broker != "" {
		t.Errorf("an admin without a broker says of it: %s", broker)
	}
}

// The accounts of docs/rabbitmq.md are all that the roles need. A listener whose queue its account may not
// read says so, and works by asking admin.
func TestDocumentedAccounts(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	page, err := os.ReadFile("../docs/rabbitmq.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	if commands == nil {
		t.Fatal("docs/rabbitmq.md has no commands")
	}
	node.Shell(t, string(commands[1]))
	t.Cleanup(func() { node.Eval(t, `rabbit_vhost:delete(<<"lightspeed">>, <<"test">>)`) })
	site := node.URL("lightspeed-site", "change-me-2", "lightspeed")
	w := newWorld(t, "30s")
	w.start(node.URL("lightspeed-admin", "change-me-1", "lightspeed"))
	allowed := w.listener("a", 1, "site", "acme/shop")
	allowed.start(site)
	w.awaitVia("site", 1, "rabbitmq")
	w.awaitVia("acme/shop", 1, "rabbitmq")
	refused := w.listener("b", 1, "other")
	refused.start(site)
	refused.saysOnce(fellBack, "access to queue", "ls.job.other", "set_permissions")
	w.awaitVia("other", 1, "claim")
	w.push("main")
	w.settle(3)
	if n := allowed.said("level=WARN"); n != 0 {
		t.Errorf("%d warnings where all was well", n)
	}
}
