package rabbit

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/secret"
)

var (
	_ broker.Announcer = (*Announcer)(nil)
	_ broker.Consumer  = (*Consumer)(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		rabbittest.Stop()
		os.Exit(code)
	}))
}

// quick is normal, but for what a test would wait for.
var quick = pace{
	dial: 2 * time.Second, handshake: 10 * time.Second, heartbeat: 2 * time.Second,
	write: time.Second, answer: 5 * time.Second, confirm: 3 * time.Second,
	patience: 2 * time.Second, goodbye: time.Second,
	retryMin: 50 * time.Millisecond, retryMax: time.Second, steady: time.Second,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	brokertest.Run(t, func(t *testing.T) brokertest.Sides {
		return sides(t, node.Vhost(t))
	})
}

// sides are both ends, as a program makes them.
func sides(t *testing.T, url string) brokertest.Sides {
	a, err := NewAnnouncer(options(t, url))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConsumer(options(t, url))
	if err != nil {
		t.Fatal(err)
	}
	end := func() error {
		_ = c.Close()
		return a.Close()
	}
	t.Cleanup(func() { _ = end() })
	return brokertest.Sides{Announcer: a, Consumer: c, Close: end}
}

func options(t *testing.T, urls ...string) Options {
	o := Options{Name: t.Name(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, url := range urls {
		o.URLs = append(o.URLs, secret.New(url))
	}
	return o
}
