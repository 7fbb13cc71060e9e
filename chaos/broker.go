package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"lightspeed/api"
	"lightspeed/broker/rabbit/rabbittest"
)

// broker is a RabbitMQ that is hurt like the others. A nil one is a world without a broker.
type broker struct {
	node *rabbittest.Node
	hurt sync.Mutex
}

func startBroker() (*broker, error) {
	node, err := rabbittest.New()
	return &broker{node: node}, err
}

// env is how a process is told of the broker.
func (b *broker) env() []string {
	if b == nil {
		return nil
	}
	return []string{"LIGHTSPEED_RABBIT_URL=" + b.node.URL("guest", "guest", "/")}
}

// suffer kills or freezes the broker, unless it suffers already: its start alone takes many seconds.
func (b *broker) suffer(ctx context.Context, how int, pause time.Duration, progress io.Writer) {
	if !b.hurt.TryLock() {
		return
	}
	defer b.hurt.Unlock()
	harm, heal := b.node.Crash, b.node.Restart
	what := "kill"
	if how <= 1 {
		harm, heal = b.signal(syscall.SIGSTOP), b.signal(syscall.SIGCONT)
		what = "freeze"
	}
	fmt.Fprintf(progress, "chaos: %s the broker for %s and more\n", what, pause)
	err := harm()
	if err == nil {
		wait(ctx, pause)
		err = heal()
	}
	if err != nil {
		fmt.Fprintf(progress, "chaos: %v\n", err)
	}
}

func (b *broker) signal(s syscall.Signal) func() error {
	return func() error { return b.node.Signal(s) }
}

func (b *broker) close() {
	if b != nil && b.node != nil {
		b.node.Close()
	}
}

// backTime bounds how long listeners may take to listen to a broker that is well: the longest wait between two
// tries to connect is half a minute.
const backTime = time.Minute

// toldByBroker waits until admin says that every listener is told of work by the broker.
func (w *world) toldByBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	for {
		apart, err := w.apart(ctx)
		if err == nil && len(apart) == 0 {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("after %s, not told by the broker: %v %v", backTime, apart, err)
		}
	}
}

// apart names the listeners that are not all told of work by the broker.
func (w *world) apart(ctx context.Context) ([]string, error) {
	var names []string
	for _, l := range w.listeners {
		known, err := w.api.Listener(ctx, l.name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(known.Instances, func(i api.Instance) bool { return i.Via != "rabbitmq" }) {
			names = append(names, l.name)
		}
	}
	return names, nil
}
