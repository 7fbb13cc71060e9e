package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
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
	trust, err := o.Client.TLS.clientTLS()
	if err != nil {
		return err
	}
	if err := checkConfigs(o.Configs); err != nil {
		return err
	}
	v, life := newVoice(out), newLifecycle(out.Log)
	client, err := life.client(o.Client, trust)
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
		if c.Checkout == nil {
			continue
		}
		if err := checkout.Available(); err != nil {
			return &Error{Err: fmt.Errorf("listener %q has a checkout: %w", c.Rules.Name, err), Hint: "install git", Usage: true}
		}
	}
	return nil
}

// listeners are those of one process. They start and end together.
type listeners struct {
	all      []*listener.Listener
	running  sync.WaitGroup
	patience time.Duration // ListenOptions.DrainTimeout
}

// startListeners builds and starts listeners. The channel is closed when all of them listen.
func startListeners(life *lifecycle, stop Stop, v *voice, o ListenOptions, client *api.Client) (<-chan struct{}, error) {
	consumer, err := startConsumer(life, o, v.Log)
	if err != nil {
		return nil, err
	}
	if err := checkDiscordAPI(o.DiscordAPI); err != nil {
		return nil, err
	}
	numbers, err := listener.NewMetrics(life.registry)
	if err != nil {
		return nil, err
	}
	common := listener.Options{Admin: client, Metrics: numbers, Mirrors: mirrors(o.State), Broker: consumer, Lanes: &notify.Lanes{}, DiscordAPI: o.DiscordAPI}
	group := &listeners{patience: o.DrainTimeout}
	listening, ready := countdown(len(o.Configs))
	for _, c := range o.Configs {
		one, err := newListener(life, v, o.State, common, c, ready)
		if err != nil {
			return nil, errors.Join(stateError(err), group.close())
		}
		group.all = append(group.all, one)
	}
	group.start(life, stop, v)
	return listening, nil
}

// newListener builds one listener out of what all of a process have in common.
func newListener(life *lifecycle, v *voice, state string, o listener.Options, c config.Config, ready func()) (*listener.Listener, error) {
	name := c.Rules.Name
	o.Config, o.Temporary, o.Log = c, c.Temporary, v.Log.With("role", "listener", "listener", name)
	o.Ready = func() {
		v.ready("listen", name)
		ready()
	}
	var err error
	if o.State, err = stateOf(life, state, c); err != nil {
		return nil, err
	}
	return listener.New(o)
}

// close frees what listeners hold that are not started after all.
func (g *listeners) close() error {
	var failures []error
	for _, one := range g.all {
		failures = append(failures, one.Close())
	}
	return errors.Join(failures...)
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

// start runs the listeners, and registers that they drain.
func (g *listeners) start(life *lifecycle, stop Stop, v *voice) {
	ctx, drain := context.WithCancel(context.Background())
	for _, one := range g.all {
		g.running.Go(func() {
			if err := one.Run(ctx); err != nil && ctx.Err() == nil {
				life.fail(err)
			}
		})
	}
	life.onStop("listeners", 0, func(context.Context) error {
		drain()
		g.drain(stop.Now, v)
		return nil
	})
}

// drain waits for the runs to end: a run may take as long as its timeout, until patience is over or now ends, and
// the last signal leaves the process.
func (g *listeners) drain(now context.Context, v *voice) {
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	if n := g.busy(); n > 0 {
		v.note("takes nothing new and finishes what runs: %s%s (a second signal cancels, a third leaves at once)", runs(n), atMost(g.patience))
	}
	why := "the listener was told to stop"
	select {
	case <-done:
		return
	case <-now.Done():
	case <-after(g.patience):
		v.note("the drain timeout of %v is over", g.patience)
		why += fmt.Sprintf(", and its drain timeout of %v was over", g.patience)
	}
	if n := g.busy(); n > 0 {
		v.note("cancels what runs: %s (one more signal leaves at once)", runs(n))
	}
	for _, one := range g.all {
		one.CancelRuns(why)
	}
	<-done
}

// after is time.After, but for 0 never.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

func atMost(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(", for at most %v", d)
}

func (g *listeners) busy() int {
	n := 0
	for _, one := range g.all {
		n += one.Running()
	}
	return n
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}
