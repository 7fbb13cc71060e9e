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
	config, err := files.clientTLS()
	return rabbit.Options{URLs: urls, TLS: config, Name: name, Log: log}, err
}

func rabbitError(err error) error {
	return Usagef("an address looks like amqp://user:password@host:5672/vhost", "--rabbit-url: %w", err)
}
