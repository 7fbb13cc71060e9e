package rabbit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/secret"
)

func TestParse(t *testing.T) {
	tests := []struct {
		url, shown, vhost string
		wrong             string
	}{
		{url: "amqp://rabbit", shown: "amqp://guest@rabbit:5672/%2F", vhost: "/"},
		{url: "amqp://rabbit/", shown: "amqp://guest@rabbit:5672/%2F", vhost: "/"},
		{url: "amqps://a:geheim@[::1]/x", shown: "amqps://a@[::1]:5671/x", vhost: "x"},
		{url: "amqp://a%40b:gehe%2Fim%40@h:1/a%2Fb", shown: "amqp://a%40b@h:1/a%2Fb", vhost: "a/b"},
		{url: "http://rabbit", wrong: "RabbitMQ URL 1: must begin with amqp:// or amqps://"},
		{url: "amqp://a:geheim/x@h/", wrong: "RabbitMQ URL 1: " + errEncoding.Error()},
		{url: "amqp://a:12/geheim@h/", wrong: "RabbitMQ URL 1: " + errEncoding.Error()},
		{url: "amqp://a:geheim#x@h/", wrong: "RabbitMQ URL 1: " + errEncoding.Error()},
		{url: "amqp://a:ge%zzheim@h/", wrong: "RabbitMQ URL 1: " + errEncoding.Error()},
		{url: "amqp://a:b@h/?heartbeat=geheim", wrong: "RabbitMQ URL 1: " + errEncoding.Error()},
		{url: "", wrong: "RabbitMQ URL 1: must begin with amqp:// or amqps://"},
	}
	for _, tt := range tests {
		got, err := Options{URLs: []secret.Value{secret.New(tt.url)}}.targets()
		if tt.wrong != "" {
			if err == nil || err.Error() != tt.wrong {
				t.Errorf("%s: error %v, want %s", tt.url, err, tt.wrong)
			}
			continue
		}
		if err != nil || got[0].shown != tt.shown || got[0].vhost != tt.vhost {
			t.Errorf("%s: %q, vhost %q, %v, want %q, vhost %q", tt.url, got[0].shown, got[0].vhost, err, tt.shown, tt.vhost)
		}
	}
	if _, err := NewAnnouncer(Options{}); err == nil {
		t.Error("no URL is no error")
	}
	if _, err := NewConsumer(Options{}); err == nil {
		t.Error("no URL is no error")
	}
}

// TestExplain is about what a test cannot easily bring about: other versions, other networks.
func TestExplain(t *testing.T) {
	at := place{target: target{shown: "amqp://u@h:5672/v", user: "u", vhost: "v"}}
	queue := at
	queue.queue = "a.b/c"
	tests := []struct {
		err  error
		at   place
		want string
		hint string
	}{
		{&net.DNSError{Name: "h", Err: "no such host"}, at, "RabbitMQ at amqp://u@h:5672/v: there is no host h", "check the host"},
		{&net.OpError{Op: "dial", Err: timeout{}}, at, "RabbitMQ at amqp://u@h:5672/v: no connection within 5s", "firewalls"},
		{
			&amqp.Error{Code: 403, Server: true, Reason: "ACCESS_REFUSED - read access to queue 'ls.job.a.b/c' in vhost 'v' refused for user 'u'"}, queue, // 4.x
			"RabbitMQ at amqp://u@h:5672/v: ACCESS_REFUSED - read access to queue 'ls.job.a.b/c' in vhost 'v' refused for user 'u'",
			`rabbitmqctl set_permissions -p v u '' '' '^ls\.job\.a\.b/c$'`,
		},
		{
			&amqp.Error{Code: 403, Server: true, Reason: "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"}, at,
			"RabbitMQ at amqp://u@h:5672/v: it refuses user u: wrong user or password", "rabbitmqctl authenticate_user u",
		},
		{
			&amqp.Error{Code: 530, Server: true, Reason: "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (3) is reached"}, at,
			"RabbitMQ at amqp://u@h:5672/v: NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (3) is reached", "rabbitmqctl set_vhost_limits",
		},
		{fmt.Errorf("odd"), at, "RabbitMQ at amqp://u@h:5672/v: odd", ""},
	}
	for _, tt := range tests {
		got := explain(tt.err, tt.at)
		if got.why != tt.want || !strings.Contains(got.hint, tt.hint) {
			t.Errorf("%v: %q, hint %q, want %q with %q", tt.err, got.why, got.hint, tt.want, tt.hint)
		}
	}
	guest := place{target: target{user: "guest"}}
	if got := explain(amqp.ErrCredentials, guest); !strings.Contains(got.hint, "broker's own machine only") {
		t.Errorf("guest: hint %q", got.hint)
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// TestPeriod: each kind of trouble once, however often it comes and goes, and the end once.
func TestPeriod(t *testing.T) {
	j := &journal{t: t}
	log := slog.New(slog.NewTextHandler(j, nil))
	var p period
	lost, refused := &trouble{"lost", "lost it", ""}, &trouble{"refused", "refused it", "start it"}
	for range 3 {
		p.begin(log, lost)
		p.begin(log, refused)
	}
	p.end(log, "well")
	p.begin(log, lost)
	if lost, refused, well := j.count("lost it"), j.count("refused it", "hint="), j.count("well", "after="); lost != 2 || refused != 1 || well != 1 {
		t.Errorf("lost %d, refused %d, well %d times, want 2, 1, 1", lost, refused, well)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"a.b/c-d": "a.b/c-d", "a b": "'a b'", "$(id)": "'$(id)'", "a'b": `'a'\''b'`, "": "''"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backoff{min: normal.retryMin, max: normal.retryMax}
		most := normal.retryMin
		for range 12 {
			began := time.Now()
			b.wait(t.Context())
			if took := time.Since(began); took < most/2 || took > most {
				t.Errorf("waited %s, want %s to %s", took, most/2, most)
			}
			most = min(2*most, normal.retryMax)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		b.wait(ctx)
		if time.Since(began) != 0 {
			t.Error("waits after the end")
		}
	})
}

// TestTroubleSurvivesWrapping: what a serve explained is not explained again.
func TestTroubleSurvivesWrapping(t *testing.T) {
	told := &trouble{"kind", "why", "hint"}
	if got := explain(fmt.Errorf("wrapped: %w", told), place{}); !errors.Is(got, told) {
		t.Errorf("explained again: %v", got)
	}
}
