// Package rabbit carries hints over RabbitMQ, 3.10 and newer, 4.x included.
//
// Topology: the durable direct exchange ls.jobs, and for each listener the durable quorum queue
// ls.job.<listener>, bound by the listener's name. Only the Announcer (admin's side) declares. A Consumer (a
// listener process) needs to read its own queues, and nothing else.
//
// Each side keeps one connection. One goroutine owns it (link): it dials, serves, and at any fault drops the
// whole connection with all that belongs to it, and dials again, for ever. Nothing of one connection is ever
// used on the next one.
package rabbit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/secret"
)

// Options say which broker to use and how. URLs and Log are required.
type Options struct {
	// URLs are amqp:// or amqps:// addresses of one broker or of one cluster's nodes, tried in turn:
	// amqp://user:password@host:5672/vhost. Reserved characters in user, password and vhost are
	// percent-encoded. Without a user: guest; without a vhost: "/". The query parameters cacertfile,
	// certfile and keyfile name PEM files (https://www.rabbitmq.com/docs/uri-query-parameters).
	URLs []secret.Value

	// TLS is used for amqps:// URLs that name no files themselves: own CA, client certificate. Nil: the
	// system's CAs and no client certificate. TLS 1.2 is the least in any case. It is asked for each connection.
	TLS func() *tls.Config

	// Connected is called with each new connection, and whether there was one before; nil: nobody counts. It must not wait.
	Connected func(again bool)

	Name string // of the connection, as the broker's own tools show it: "lightspeed admin"
	Log  *slog.Logger
}

// pace holds every time that the package waits for.
type pace struct {
	dial      time.Duration // until the TCP connection stands
	handshake time.Duration // from there until the broker has let us in
	heartbeat time.Duration // wish; a dead link is noticed after one and a half
	write     time.Duration // a write that takes longer ends the connection: a blocked broker takes nothing
	answer    time.Duration // a queue that gives no answer for so long is silent
	confirm   time.Duration // the same for a hint that was sent, while the broker is not blocked
	patience  time.Duration // how long Next waits for a connection that was lost or is being made
	goodbye   time.Duration // for closing politely
	retryMin  time.Duration // between two rounds through the URLs, doubled each time …
	retryMax  time.Duration // … up to this, less up to half at random
	steady    time.Duration // a connection that stood so long makes the next wait retryMin again
}

// A heartbeat of 5 to 20 s is what RabbitMQ recommends (https://www.rabbitmq.com/docs/heartbeats).
var normal = pace{
	dial: 5 * time.Second, handshake: 10 * time.Second, heartbeat: 6 * time.Second,
	write: 5 * time.Second, answer: 5 * time.Second, confirm: 10 * time.Second,
	patience: 2 * time.Second, goodbye: time.Second,
	retryMin: 500 * time.Millisecond, retryMax: 30 * time.Second, steady: 10 * time.Second,
}

// target is one URL, taken apart. Only url holds the password.
type target struct {
	url   secret.Value
	shown string // "amqp://user@host:5672/vhost"
	user  string
	vhost string
	files bool // the URL names certificate files: Options.TLS is not for it
}

// targets checks the URLs. No error repeats one: it would show the password.
func (o Options) targets() ([]target, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("no RabbitMQ URL")
	}
	var all []target
	for i, u := range o.URLs {
		t, err := parse(u)
		if err != nil {
			return nil, fmt.Errorf("RabbitMQ URL %d: %w", i+1, err)
		}
		all = append(all, t)
	}
	return all, nil
}

var errEncoding = errors.New("cannot be read as amqp://user:password@host:port/vhost; reserved characters in user, " +
	"password and vhost are percent-encoded: / is %2F, @ is %40, : is %3A, % is %25")

func parse(raw secret.Value) (target, error) {
	text := raw.Reveal()
	u, err := url.Parse(text)
	if err != nil || u.User == nil && strings.Contains(text, "@") {
		return target{}, errEncoding
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" {
		return target{}, errors.New("must begin with amqp:// or amqps://")
	}
	uri, err := amqp.ParseURI(text)
	if err != nil {
		return target{}, errEncoding
	}
	shown := url.URL{Scheme: uri.Scheme, User: url.User(uri.Username), Path: "/" + uri.Vhost,
		RawPath: "/" + url.PathEscape(uri.Vhost), Host: net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))}
	files := uri.CACertFile != "" || uri.CertFile != "" || uri.KeyFile != ""
	return target{url: raw, shown: shown.String(), user: uri.Username, vhost: uri.Vhost, files: files}, nil
}
