package rabbit

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// Whatever comes as a hint: it is one for the queue that it came from, as small as one may be, or it is refused.
func FuzzHint(f *testing.F) {
	sent, err := encode(broker.Hint{Queue: "my-repo", Run: "0abc"}, "id")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sent.Type, sent.Body, "my-repo")
	f.Add(sent.Type, sent.Body, "other")
	f.Add("text", []byte(`{"v":1,"queue":"","run":"\u0000"}`), "")
	f.Add(messageType, []byte(`{"v":1,"V":2,"queue":"a","queue":"b"}`), "b")
	f.Fuzz(func(t *testing.T, kind string, text []byte, queue string) {
		hint, err := decode(amqp.Delivery{Type: kind, Body: text}, queue)
		if err != nil {
			return
		}
		if hint.Queue != queue || kind != messageType || len(text) > maxMessage {
			t.Errorf("%q for %q is %+v", text, queue, hint)
		}
		again, err := encode(hint, "id")
		if err != nil {
			return // escapes may make it longer than it came
		}
		if back, err := decode(amqp.Delivery{Type: again.Type, Body: again.Body}, queue); err != nil || back != hint {
			t.Errorf("%+v sent on is %+v, %v", hint, back, err)
		}
	})
}
