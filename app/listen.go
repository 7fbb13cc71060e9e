package app

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"lightspeed/api"
	"lightspeed/listener"
	"lightspeed/listener/checkout"
	"lightspeed/listener/config"
	"lightspeed/notify"
	"lightspeed/secret"
)

// ListenOptions are the settings of listeners in one process.
type ListenOptions struct {
	Configs []config.Config // each with another name
	Source  *Source         // where they can be read anew; nil: nowhere
	State   string          // the process's state folder; each listener's own is in it

	// DrainTimeout is how long a stop waits for what runs, before it is cancelled; 0: until it ends.
	DrainTimeout time.Duration

	Client ClientOptions

	MetricsAddr string         // of GET /metrics, "127.0.0.1:9101"; empty: it is not served
	RabbitURLs  []secret.Value // of admin's broker, tried in turn; none: claims wait at admin
	DiscordAPI  string         // in place of discord.DefaultAPI; empty: it is that
}

// Listen runs listeners until stop says so: they take nothing new and finish their runs. When stop.Now ends,
// too, they cancel them.
func Listen(stop Stop, out Output, o ListenOptions) error {
	trust, err := o.Client.TLS.trust(out.Log)
	if err != nil {
		return err
	}
	if err := checkConfigs(o.Configs); err != nil {
		return err
	}
	v, life := newVoice(out), newLifecycle(out.Log)
	client, err := life.client(o.Client, trust.current)
	if err == nil {
		err = serveMetrics(life, v, o.MetricsAddr)
	}
	if err == nil {
		_, err = startListeners(life, stop, v, o, client)
	}
	if err == nil {
		err = life.wait(stop.Soon)
	}
	return errors.Join(err, life.stop())
}

// checkConfigs asks what loading does not: whether this machine has what the configs name. The first that
// lacks something is the error.
func checkConfigs(configs []config.Config) error {
	for _, c := range configs {
		if err := c.CheckSecrets(); err != nil {
			return err // config.Mistakes
		}
		if err := c.CheckCwd(); err != nil {
			return &Error{Err: err, Usage: true}
		}
		if c.Checkout == nil && c.Poll == 0 {
			continue
		}
		if err := checkout.Available(); err != nil {
			return &Error{Err: fmt.Errorf("listener %q needs git: %w", c.Rules.Name, err), Hint: "install git", Usage: true}
		}
	}
	return nil
}

// startListeners builds and starts listeners. The channel is closed when all of them listen.
func startListeners(life *lifecycle, stop Stop, v *voice, o ListenOptions, client *api.Client) (<-chan struct{}, error) {
	way, detail := listener.EndsBy()
	v.Log.Info("ends the processes of runs by "+way, "detail", detail)
	consumer, err := startConsumer(life, o, v.Log)
	if err != nil {
		return nil, err
	}
	if err := checkDiscordAPI(o.DiscordAPI); err != nil {
		return nil, err
	}
	g := newListeners(life, v, o)
	g.common = listener.Options{Admin: client, Metrics: listener.NewMetrics(life.metrics), Mirrors: mirrors(o.State), Broker: consumer, Lanes: &notify.Lanes{}, DiscordAPI: o.DiscordAPI}
	listening, ready := countdown(len(o.Configs))
	for _, c := range o.Configs {
		if err := g.add(c, ready); err != nil {
			return nil, errors.Join(stateError(err), g.close())
		}
	}
	g.start(stop)
	return listening, nil
}

// build makes one listener out of what all of a process have in common.
func (g *listeners) build(c config.Config, ready func()) (*listener.Listener, error) {
	o := g.common
	o.Config, o.Temporary, o.Log = c, c.Temporary, g.v.Log.With("role", "listener", "listener", c.Rules.Name)
	o.Ready, o.Changed = ready, func(err error) { g.swapped(c.Rules.Name, err) }
	var err error
	if o.State, err = stateOf(g.life, g.state, c); err != nil {
		return nil, err
	}
	return listener.New(o)
}

// countdown returns a channel that is closed at the nth call.
func countdown(n int) (<-chan struct{}, func()) {
	done := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(n))
	return done, func() {
		if left.Add(-1) == 0 {
			close(done)
		}
	}
}

// stateOf is the folder of one listener. A listener that is forgotten when it leaves has one that is removed then.
func stateOf(life *lifecycle, state string, c config.Config) (string, error) {
	if !c.Temporary {
		return listenerState(state, c.Rules.Name), nil
	}
	folder, err := os.MkdirTemp("", "lightspeed-"+c.Rules.Name+"-")
	if err != nil {
		return "", err
	}
	life.closes("temporary folder", func() error { return os.RemoveAll(folder) })
	return folder, nil
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}
