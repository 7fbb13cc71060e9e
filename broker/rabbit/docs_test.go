package rabbit

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
)

// TestDocumentedAccounts runs the commands of docs/rabbitmq.md as they stand there. What they allow is all
// that the two sides need, and all that a listener can do.
func TestDocumentedAccounts(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	page, err := os.ReadFile("../../docs/rabbitmq.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	if script == nil {
		t.Fatal("docs/rabbitmq.md has no commands")
	}
	node.Shell(t, string(script[1]))
	t.Cleanup(func() { node.Eval(t, `rabbit_vhost:delete(<<"lightspeed">>, <<"test">>)`) })
	admin := connect(t, quick, node.URL("lightspeed-admin", "change-me-1", "lightspeed"))
	listenerURL := node.URL("lightspeed-site", "change-me-2", "lightspeed")
	listener := connect(t, quick, listenerURL)
	for _, queue := range []string{"site", "acme/shop"} {
		p := both{a: admin.a, c: listener.c}
		p.flows(t, queue, "1")
		if err := admin.a.Forget(t.Context(), queue); err != nil {
			t.Errorf("admin's account may not remove a queue: %v", err)
		}
		brokertest.Declare(t, admin.a, queue)
	}
	var down *broker.DownError
	for _, queue := range []string{"other", "site2"} {
		brokertest.Declare(t, admin.a, queue)
		if _, err := listener.c.Slot(queue).Next(t.Context()); !errors.As(err, &down) || !strings.Contains(down.State.Why, "refused") {
			t.Errorf("a listener's account reads queue %s: %v", queue, err)
		}
	}
	refusedTo(t, listenerURL)
}

// refusedTo tries what an account that may only read its queues must not do.
func refusedTo(t *testing.T, url string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, try := range map[string]func(*amqp.Channel) error{
		"declare a queue": func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("ls.job.mine", true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
			return err
		},
		"delete its queue": func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete("ls.job.site", false, false, false)
			return err
		},
		"bind its queue": func(ch *amqp.Channel) error { return ch.QueueBind("ls.job.site", "other", exchange, false, nil) },
		"declare an exchange": func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("mine", "direct", true, false, false, false, nil)
		},
		"publish":               func(ch *amqp.Channel) error { return publish(t, ch, exchange, "other") },
		"publish to its queue":  func(ch *amqp.Channel) error { return publish(t, ch, "", "ls.job.site") },
		"publish to an amq one": func(ch *amqp.Channel) error { return publish(t, ch, "amq.direct", "ls.job.site") },
	} {
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		var reply *amqp.Error
		if err := try(ch); !errors.As(err, &reply) || reply.Code != amqp.AccessRefused {
			t.Errorf("a listener's account may %s: %v", name, err)
		}
	}
}

// publish sends a message and waits for what the broker says to it.
func publish(t *testing.T, ch *amqp.Channel, exchange, key string) error {
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), exchange, key, false, false, amqp.Publishing{Body: []byte("x")})
	if err != nil {
		return err
	}
	if confirm.Wait() {
		return nil
	}
	if reply := <-closed; reply != nil {
		return reply
	}
	return nil
}
