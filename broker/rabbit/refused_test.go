package rabbit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
)

// TestRefused: every reason for which a broker does not let one in, in words, with what to do. Who then does
// that is let in, without a restart.
func TestRefused(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	tests := []struct {
		name      string
		url       func(t *testing.T) string
		why, hint string
		cure      func(t *testing.T, url string)
	}{
		{
			name: "password",
			url:  func(t *testing.T) string { return at(node, node.Vhost(t), "anna", "geheim/wrong") },
			why:  "it refuses user anna: wrong user or password",
			hint: "check user and password in the RabbitMQ URL (percent-encoded); rabbitmqctl authenticate_user anna tries them",
			cure: func(t *testing.T, url string) {
				node.User(t, "anna", "geheim/wrong")
				node.Grant(t, "anna", rabbittest.VhostOf(url), ".*", ".*", ".*")
			},
		},
		{
			name: "way of logging in", // the library leaves the socket open then
			url:  func(t *testing.T) string { return node.Vhost(t) + "?auth_mechanism=external" },
			why:  "it does not offer the auth_mechanism of the RabbitMQ URL",
			hint: "plain, or enable the plugin rabbitmq_auth_mechanism_ssl",
		},
		{
			name: "vhost",
			url:  func(t *testing.T) string { return at(node, "amqp://x/no%2Fsuch", "guest", "guest") },
			why:  "there is no vhost no/such",
			hint: "rabbitmqctl add_vhost no/such, or check the end of the RabbitMQ URL",
			cure: func(t *testing.T, _ string) {
				node.Eval(t, `rabbit_vhost:add(<<"no/such">>, <<"test">>)`)
				t.Cleanup(func() { node.Eval(t, `rabbit_vhost:delete(<<"no/such">>, <<"test">>)`) })
				node.Grant(t, "guest", "no/such", ".*", ".*", ".*")
			},
		},
		{
			name: "no permission in the vhost",
			url: func(t *testing.T) string {
				node.User(t, "bert", password)
				return at(node, node.Vhost(t), "bert", password)
			},
			why:  "refused for user 'bert'",
			hint: "rabbitmqctl set_permissions -p ",
			cure: func(t *testing.T, url string) { node.Grant(t, "bert", rabbittest.VhostOf(url), ".*", ".*", ".*") },
		},
		{
			name: "permission on the exchange",
			url: func(t *testing.T) string {
				node.User(t, "carl", password)
				url := at(node, node.Vhost(t), "carl", password)
				node.Grant(t, "carl", rabbittest.VhostOf(url), "", "", "")
				return url
			},
			why:  "access to exchange 'ls.jobs' in vhost",
			hint: `'^ls\.' '^ls\.' '^ls\.'`,
			cure: func(t *testing.T, url string) {
				node.Grant(t, "carl", rabbittest.VhostOf(url), `^ls\.`, `^ls\.`, `^ls\.`)
			},
		},
		{
			name: "exchange with other arguments",
			url: func(t *testing.T) string {
				url := node.Vhost(t)
				onChannel(t, url, func(ch *amqp.Channel) error {
					return ch.ExchangeDeclare(exchange, "fanout", true, false, false, false, nil)
				})
				return url
			},
			why:  "exchange ls.jobs was made with other arguments",
			hint: "delete that exchange",
			cure: func(t *testing.T, url string) {
				onChannel(t, url, func(ch *amqp.Channel) error { return ch.ExchangeDelete(exchange, false, false) })
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := tt.url(t)
			p := connect(t, quick, url)
			state := awaitWhy(t, p.a.link, tt.why)
			if !strings.Contains(state.Hint, tt.hint) {
				t.Errorf("hint %q, want %q", state.Hint, tt.hint)
			}
			if strings.Contains(state.Why+state.Hint, "geheim") {
				t.Errorf("state %+v shows a password", state)
			}
			if tt.cure == nil {
				return
			}
			tt.cure(t, url)
			p.flows(t, "q", "1")
			p.logA.wantOnce("level=WARN", tt.why)
			if p.logA.count("level=INFO", "is connected", "after=") == 0 {
				t.Error("nobody said that the broker works again")
			}
		})
	}
}

// at is a vhost's URL for another user.
func at(node *rabbittest.Node, vhostURL, user, password string) string {
	return node.URL(user, password, rabbittest.VhostOf(vhostURL))
}

// onChannel does something as an operator.
func onChannel(t *testing.T, url string, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := do(ch); err != nil {
		t.Fatal(err)
	}
}

// TestQueuePermission: a listener's account that may not read its queue.
func TestQueuePermission(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	node.User(t, "dora", password)
	node.Grant(t, "dora", rabbittest.VhostOf(url), "", "", `^ls\.job\.other$`)
	admin, listener := connect(t, quick, url), connect(t, quick, at(node, url, "dora", password))
	brokertest.Declare(t, admin.a, "q")
	slot := listener.c.Slot("q")
	awaitUp(t, listener.c.link)
	for range 3 {
		var down *broker.DownError
		_, err := slot.Next(t.Context())
		if !errors.As(err, &down) || !strings.Contains(down.State.Why, "access to queue 'ls.job.q' in vhost") {
			t.Fatalf("Next: %v, want a DownError that names the queue", err)
		}
		if want := "rabbitmqctl set_permissions -p " + rabbittest.VhostOf(url) + ` dora '' '' '^ls\.job\.q$'`; !strings.Contains(down.State.Hint, want) {
			t.Fatalf("hint %q, want %q", down.State.Hint, want)
		}
	}
	listener.logC.wantOnce("level=WARN", "ls.job.q", "hint=")
	node.Grant(t, "dora", rabbittest.VhostOf(url), "", "", `^ls\.job\.q$`)
	admin.a.Announce(broker.Hint{Queue: "q", Run: "1"})
	brokertest.Next(t, slot).Done()
	listener.logC.wantOnce("level=INFO", "queue works again")
}

// TestOtherArguments: a queue that something else made. What the hint says helps.
func TestOtherArguments(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	onChannel(t, url, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("ls.job.q", true, false, false, false, amqp.Table{amqp.QueueMaxLenArg: 5})
		return err
	})
	p := connect(t, quick, url)
	awaitUp(t, p.a.link)
	var down *broker.DownError
	for range 2 {
		if _, err := p.a.Declare(t.Context(), "q"); !errors.As(err, &down) || !strings.Contains(down.State.Why, "queue ls.job.q was made with other arguments") {
			t.Fatalf("Declare: %v, want a DownError that names queue and argument", err)
		}
	}
	_, command, _ := strings.Cut(down.State.Hint, ": ")
	if want := "rabbitmqctl delete_queue -p " + rabbittest.VhostOf(url) + " ls.job.q"; command != want {
		t.Fatalf("hint %q, want %q", command, want)
	}
	node.Shell(t, command)
	p.flows(t, "q", "1")
	p.logA.wantOnce("level=WARN", "other arguments", "hint=")
	p.logA.wantOnce("level=INFO", "queue works again")
}

// TestTLS: own CA and client certificate, and each way to get it wrong.
func TestTLS(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	vhost := rabbittest.VhostOf(node.Vhost(t))
	good := node.TLSURL("guest", "guest", vhost)
	noCertificate, noCA := node.TLS(t), node.TLS(t)
	noCertificate.Certificates, noCA.RootCAs = nil, x509.NewCertPool()
	tests := []struct {
		name, url, why, hint string
		config               *tls.Config
	}{
		{name: "good", url: good, config: node.TLS(t)},
		{name: "good, by files", url: good + "?" + node.TLSFiles(), config: noCA},
		{name: "unknown CA", url: good, config: noCA, why: "authority that is not trusted", hint: "--tls-ca"},
		{name: "the system's CAs", url: good, why: "authority that is not trusted", hint: "--tls-ca"},
		{name: "no client certificate", url: good, config: noCertificate, why: "does not take our certificate", hint: "certfile="},
		{name: "other name", url: strings.Replace(good, "localhost", "127.0.0.1", 1), config: node.TLS(t), why: "certificate", hint: "name in the RabbitMQ URL"},
		{name: "not a TLS port", url: strings.Replace(node.URL("guest", "guest", vhost), "amqp:", "amqps:", 1), config: node.TLS(t), why: "does not speak TLS", hint: "amqp://"},
		{name: "a TLS port", url: strings.Replace(good, "amqps:", "amqp:", 1), why: "not RabbitMQ's AMQP port", hint: "amqps://"},
		{name: "a file that is not there", url: good + "?cacertfile=/no/ca.pem", why: "/no/ca.pem", hint: "file names"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := &journal{t: t}
			o := j.options(tt.url)
			o.TLS = func() *tls.Config { return tt.config }
			a, err := newAnnouncer(o, quick)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if tt.why == "" {
				awaitUp(t, a.link)
				brokertest.Declare(t, a, "q")
				return
			}
			if state := awaitWhy(t, a.link, tt.why); !strings.Contains(state.Hint, tt.hint) {
				t.Errorf("state %+v, want a hint with %q", state, tt.hint)
			}
			j.wantOnce("level=WARN", tt.why)
		})
	}
}

// TestTLSNames: each URL's certificate is checked against its own host.
func TestTLSNames(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	good := node.TLSURL("guest", "guest", rabbittest.VhostOf(node.Vhost(t)))
	o := (&journal{t: t}).options(strings.Replace(good, "localhost", "127.0.0.1", 1), good)
	own := node.TLS(t)
	o.TLS = func() *tls.Config { return own }
	a, err := newAnnouncer(o, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	awaitUp(t, a.link)
}
