package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// session is one connection, from login to its end.
type session struct {
	target target
	broker string // its name, see broker.State
	conn   *amqp.Connection
	wire   *wire
	pace   pace
	closed chan *amqp.Error // why the connection ended; then closed
}

// wire is the connection's socket. The library sets no deadline on writes, so that a broker which takes
// nothing (blocked by its memory alarm, frozen) would hold Publish and Close for ever.
type wire struct {
	net.Conn
	limit    time.Duration
	timedOut atomic.Bool // a read or an answer took too long
}

func (w *wire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		w.timedOut.Store(true)
	}
	return n, err
}

// noAnswerError says that the broker is silent, and for how long that was borne.
type noAnswerError struct{ after time.Duration }

func (e *noAnswerError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

// dial connects and logs in. It is bounded by pace and by ctx.
func dial(ctx context.Context, t target, o Options, p pace) (*session, error) {
	var w *wire
	stop := func() bool { return true }
	defer func() { stop() }()
	config := amqp.Config{
		Heartbeat:  p.heartbeat,
		Properties: amqp.Table{"product": "lightspeed", "connection_name": o.Name},
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: p.dial}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			w = &wire{Conn: conn, limit: p.write}
			stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the library's login knows no context
			return w, w.SetDeadline(time.Now().Add(p.handshake))
		},
	}
	if o.TLS != nil && !t.files {
		config.TLSClientConfig = ownTLS(o.TLS())
	}
	conn, err := amqp.DialConfig(t.url.Reveal(), config)
	if err != nil {
		if w != nil {
			_ = w.Close() // the library leaves it open, with a goroutine that reads
			if w.timedOut.Load() {
				err = &noAnswerError{after: p.handshake}
			}
		}
		return nil, err
	}
	s := &session{target: t, broker: brokerName(conn, t), conn: conn, wire: w, pace: p}
	s.closed = conn.NotifyClose(make(chan *amqp.Error, 1))
	return s, s.probe()
}

// ownTLS is a copy, since the library writes the server's name into it.
func ownTLS(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

// brokerName is what two sides compare: the cluster's name, which all its nodes tell, and the vhost.
func brokerName(conn *amqp.Connection, t target) string {
	cluster, _ := conn.Properties["cluster_name"].(string)
	if cluster == "" {
		cluster = "a broker without a cluster name"
	}
	return fmt.Sprintf("%s, vhost %s", cluster, t.vhost)
}

// probe opens a channel and closes it: the library watches the link only from the first answer after login on.
func (s *session) probe() error {
	err := s.within(s.pace.handshake, func() error {
		ch, err := s.conn.Channel()
		if err != nil {
			return err
		}
		return ch.Close()
	})
	if err != nil {
		s.close()
	}
	return err
}

// within makes a call that waits for the broker's answer. When none comes in time it ends the connection:
// the library has no other way to end such a wait.
func (s *session) within(limit time.Duration, call func() error) error {
	timer := time.AfterFunc(limit, func() {
		s.wire.timedOut.Store(true)
		_ = s.wire.Close()
	})
	defer timer.Stop()
	err := call()
	if err != nil && !timer.Stop() {
		return &noAnswerError{after: limit}
	}
	return err
}

// why says how the connection ended.
func (s *session) why(err *amqp.Error) error {
	if s.wire.timedOut.Load() {
		return &noAnswerError{after: s.pace.heartbeat * 3 / 2}
	}
	if err == nil {
		return amqp.ErrClosed
	}
	return err
}

// closeSoon ends the connection after pace.goodbye, whoever waits for it.
func (s *session) closeSoon() {
	time.AfterFunc(s.pace.goodbye, func() { _ = s.wire.Close() })
}

// close says goodbye, and ends the connection in any case within pace.goodbye.
func (s *session) close() {
	timer := time.AfterFunc(s.pace.goodbye, func() { _ = s.wire.Close() })
	defer timer.Stop()
	_ = s.conn.CloseDeadline(time.Now().Add(s.pace.goodbye))
	_ = s.wire.Close()
}
