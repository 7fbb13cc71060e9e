package fanout

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/fleet"
)

// RABBIT_HOST and --host name a broker at RabbitMQ's own port, with its account for guests, as they always did.
func TestRabbitHost(t *testing.T) {
	t.Parallel()
	host := atOwnPort(t, rabbittest.Start(t).Addr())
	w := newWorld(t, "30s")
	w.admin.command.Env = []string{"RABBIT_HOST=" + host}
	w.start("")
	l := w.listener("a", 1, "by-host")
	l.command.Args = append(l.command.Args, "--host", host)
	l.start("")
	w.awaitVia("by-host", 1, "rabbitmq")
	w.push("main")
	w.settle(1)
	if broker := w.readyz(); broker != "ok" {
		t.Errorf("admin says of its broker: %q", broker)
	}
}

// atOwnPort makes a broker answer at port 5672 of a loopback address, which it returns.
func atOwnPort(t *testing.T, broker string) string {
	t.Helper()
	var failed error
	for range 20 {
		host := fmt.Sprintf("127.0.%d.%d", 1+rand.IntN(254), 1+rand.IntN(254))
		proxy, err := fleet.NewProxyAt(host+":5672", broker)
		if err == nil {
			t.Cleanup(proxy.Close)
			return host
		}
		failed = err
	}
	t.Fatalf("port 5672 is free nowhere on loopback: %v", failed)
	return ""
}
