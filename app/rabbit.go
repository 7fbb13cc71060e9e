package app

import (
	"log/slog"

	"lightspeed/broker"
	"lightspeed/broker/rabbit"
	"lightspeed/secret"
)

// startAnnouncer starts admin's side of the broker; nil when there is none.
func startAnnouncer(life *lifecycle, o AdminOptions, out Output) (broker.Announcer, error) {
	if len(o.RabbitURLs) == 0 {
		return nil, nil
	}
	options, err := rabbitOptions("lightspeed admin", o.RabbitURLs, o.TLS, out.Log.With("role", "admin"))
	options.Connected = countBroker(life, "admin")
	if err != nil {
		return nil, err
	}
	announcer, err := rabbit.NewAnnouncer(options)
	if err != nil {
		return nil, rabbitError(err)
	}
	life.closes("broker", announcer.Close)
	return announcer, nil
}

// startConsumer starts the listeners' side of the broker: one connection for all of a process; nil when there
// is no broker.
func startConsumer(life *lifecycle, o ListenOptions, log *slog.Logger) (broker.Consumer, error) {
	if len(o.RabbitURLs) == 0 {
		return nil, nil
	}
	options, err := rabbitOptions("lightspeed listen", o.RabbitURLs, o.Client.TLS, log.With("role", "listener"))
	options.Connected = countBroker(life, "listener")
	if err != nil {
		return nil, err
	}
	consumer, err := rabbit.NewConsumer(options)
	if err != nil {
		return nil, rabbitError(err)
	}
	life.closes("broker", consumer.Close)
	return consumer, nil
}

// rabbitOptions checks brokers with the same certificates as admin's clients do.
func rabbitOptions(name string, urls []secret.Value, files TLSFiles, log *slog.Logger) (rabbit.Options, error) {
	trust, err := files.trust(log)
	return rabbit.Options{URLs: urls, TLS: trust.current, Name: name, Log: log}, err
}

// countBroker counts how often a role's connection to the broker was lost and made anew.
func countBroker(life *lifecycle, role string) func(again bool) {
	lost := life.metrics.Counter("lightspeed_"+role+"_broker_reconnects_total", "How often the connection to RabbitMQ was lost and came back.")
	return func(again bool) {
		if again {
			lost.Inc()
		}
	}
}

func rabbitError(err error) error {
	return Usagef("an address looks like amqp://user:password@host:5672/vhost", "--rabbit-url: %w", err)
}
