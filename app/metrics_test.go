package app

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lightspeed/metric"
	"lightspeed/secret"
)

// Every metric that an alert rule reads is documented, and a process serves it: a rule about a name that nobody has never fires.
func TestAlertsReadMetricsThatThereAre(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join("..", "deploy", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	served, set := servedNames(t)
	read := regexp.MustCompile(`\blightspeed_[a-z_]+`).FindAllString(string(rules), -1)
	if len(read) < 8 {
		t.Fatalf("the rules read %q", read)
	}
	for _, name := range read {
		family := strings.TrimSuffix(name, "_bucket")
		if !strings.Contains(served, "# HELP "+family+" ") && !taken(set, family) {
			t.Errorf("an alert reads %s, which nobody serves", name)
		}
	}
	for _, name := range []string{"lightspeed_admin_broker_reconnects_total", "lightspeed_listener_broker_reconnects_total", "lightspeed_listener_reconnects_total"} {
		if !strings.Contains(served, "\n"+name+" 0\n") || !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("%s is not served from the beginning, or not documented", name)
		}
	}
}

// taken reports whether there is a metric of this name, which may have nothing to say yet.
func taken(set *metric.Set, name string) (there bool) {
	defer func() { there = recover() != nil }()
	set.Counter(name, "")
	return false
}

// servedNames is what all roles of one process serve, with a broker that is away.
func servedNames(t *testing.T) (string, *metric.Set) {
	t.Helper()
	life := newLifecycle(slog.New(slog.DiscardHandler))
	out := Output{Ready: io.Discard, Notes: io.Discard, Log: life.log}
	away := []secret.Value{secret.New("amqp://127.0.0.1:1/")}
	admin := testAdmin(t.TempDir())
	admin.RabbitURLs = away
	socket, err := startAdmin(life, admin, out)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(ClientOptions{Admin: socket.url()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startHooks(life, HooksOptions{Addr: "127.0.0.1:0", State: t.TempDir(), Secrets: []secret.Value{secret.New("s")}}, client, "addr", out); err != nil {
		t.Fatal(err)
	}
	if _, err := startListeners(life, Stop{t.Context(), t.Context()}, newVoice(out), ListenOptions{State: t.TempDir(), RabbitURLs: away}, client); err != nil {
		t.Fatal(err)
	}
	text, err := life.metrics.Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := life.stop(); err != nil {
		t.Error(err)
	}
	return string(text), life.metrics
}
