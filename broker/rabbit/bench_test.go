package rabbit

import (
	"slices"
	"testing"
	"time"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
)

// BenchmarkHint measures what a hint takes from Announce until an idle slot has it, and what a slot takes
// from there until it consumes again.
func BenchmarkHint(b *testing.B) {
	url := rabbittest.Start(b).Vhost(b)
	a, err := NewAnnouncer((&journal{t: b}).options(url))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	c, err := NewConsumer((&journal{t: b}).options(url))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	brokertest.Declare(b, a, brokertest.Queue)
	slot := c.Slot(brokertest.Queue)
	var there []time.Duration
	began := make(chan time.Time, 1)
	for b.Loop() {
		go func() {
			time.Sleep(20 * time.Millisecond) // the slot is idle by then
			began <- time.Now()
			a.Announce(broker.Hint{Queue: brokertest.Queue, Run: "r"})
		}()
		held := brokertest.Next(b, slot)
		there = append(there, time.Since(<-began))
		held.Done()
	}
	slices.Sort(there)
	b.ReportMetric(float64(there[len(there)/2].Microseconds())/1000, "ms-to-slot(median)")
	b.ReportMetric(float64(there[len(there)*95/100].Microseconds())/1000, "ms-to-slot(p95)")
}
