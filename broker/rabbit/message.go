package rabbit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

const (
	exchange    = "ls.jobs"
	queuePrefix = "ls.job."
	messageType = "lightspeed.hint.v1"
	maxMessage  = 1 << 10 // bytes
)

func queueName(queue string) string { return queuePrefix + queue }

// body is what a message carries: no payload, no secret.
type body struct {
	V     int    `json:"v"`
	Queue string `json:"queue"`
	Run   string `json:"run"`
}

func encode(h broker.Hint, id string) (amqp.Publishing, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body{V: 1, Queue: h.Queue, Run: h.Run}); err != nil {
		return amqp.Publishing{}, err
	}
	if text.Len() > maxMessage {
		return amqp.Publishing{}, fmt.Errorf("hint for queue %.64q has %d bytes, more than %d", h.Queue, text.Len(), maxMessage)
	}
	return amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Type: messageType,
		MessageId: id, Timestamp: time.Now().UTC(), Body: bytes.TrimSpace(text.Bytes()),
	}, nil
}

// decode reads a message of a queue. Anyone who may write to the queue can have made it.
func decode(d amqp.Delivery, queue string) (broker.Hint, error) {
	switch {
	case d.Type != messageType:
		return broker.Hint{}, fmt.Errorf("type is %.64q, not %s", d.Type, messageType)
	case len(d.Body) > maxMessage:
		return broker.Hint{}, fmt.Errorf("%d bytes, more than %d", len(d.Body), maxMessage)
	}
	var b body
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return broker.Hint{}, err
	}
	if b.V != 1 || b.Queue != queue {
		return broker.Hint{}, fmt.Errorf("version %d for queue %.64q, not 1 for %q", b.V, b.Queue, queue)
	}
	return broker.Hint{Queue: b.Queue, Run: b.Run}, nil
}

// declareExchange makes sure that the exchange exists.
func declareExchange(ch *amqp.Channel) error {
	return ch.ExchangeDeclare(exchange, amqp.ExchangeDirect, true, false, false, false, nil)
}

// declareQueue makes sure that a queue exists and gets its hints, and counts those that wait.
func declareQueue(ch *amqp.Channel, queue string) (int, error) {
	q, err := ch.QueueDeclare(queueName(queue), true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	if err != nil {
		return 0, err
	}
	return q.Messages, ch.QueueBind(queueName(queue), queue, exchange, false, nil)
}
