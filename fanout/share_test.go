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

// A hundred short jobs on four machines: each runs once, and every machine has its share.
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
	began := time.Now()
	for i := range 100 {
		w.push(fmt.Sprintf("nap-%d", i))
	}
	w.settle(1)
	share := map[string]int{}
	for _, machine := range w.marked("started") {
		share[machine]++
	}
	t.Logf("100 jobs of 0.1 s on %d machines, 4 at once: %v, by machine %v", len(machines), time.Since(began).Round(time.Millisecond), share)
	for _, machine := range machines {
		if share[machine] < 10 {
			t.Errorf("machine %s ran %d of 100 jobs", machine, share[machine])
		}
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

// An idle listener takes a job as soon as it is queued. The lease is a long one: what comes without a hint
// comes ten seconds late.
func TestIdleListenerIsPrompt(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "30s")
	w.start(url)
	w.listener("a", 1, "job").start(url)
	w.awaitVia("job", 1, "rabbitmq")
	var waits []time.Duration
	for i := range 20 {
		r := w.awaitStatus(w.push(fmt.Sprintf("main-%d", i)), run.Passed)
		waits = append(waits, r.StartedAt.Sub(r.QueuedAt))
	}
	w.settle(1)
	t.Logf("queued → claimed by an idle listener: median %v, most %v", median(waits), waits[len(waits)-1])
	if median(waits) > time.Second {
		t.Errorf("an idle listener takes a job %v after it was queued", median(waits))
	}
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
