package embedded_test

import (
	"testing"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/embedded"
)

var (
	_ broker.Announcer = (*embedded.Broker)(nil)
	_ broker.Consumer  = (*embedded.Broker)(nil)
)

func TestConformance(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.Sides {
		b := embedded.New()
		t.Cleanup(func() { _ = b.Close() })
		return brokertest.Sides{Announcer: b, Consumer: b, Close: b.Close}
	})
}
