package app

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"

	"lightspeed/api"
	"lightspeed/hooks"
	"lightspeed/secret"
)

// HooksOptions are the settings of hooks.
type HooksOptions struct {
	Addr             string // ":8000"
	State            string // the process's state folder; hooks' own is in it
	Secrets          []secret.Value
	InsecureNoSecret bool
	SpoolMax         int64 // bytes; 0: DefaultSpoolMax
	Client           ClientOptions
	TLS              TLSFiles
	Proxies          Proxies
	MetricsAddr      string // of GET /metrics, "127.0.0.1:9100"; empty: it is not served
}

// DefaultSpoolMax is how much hooks keeps on disk while admin is away, in bytes.
const DefaultSpoolMax = hooks.DefaultSpoolMax

// Limits of hooks beside those of every server: what anyone on the internet may take.
const (
	maxConnections   = 1024      // open at once; further ones drive out those that wait longest
	maxHooksHead     = 16 << 10  // bytes of a request's head, GitHub's have about 1,000
	hooksMemory      = 100 << 20 // from here on the garbage collector works harder, in bytes
	memoryLimitByEnv = "GOMEMLIMIT"
)

// Hooks runs the public server until stop says so.
func Hooks(stop Stop, out Output, o HooksOptions) error {
	trust, err := o.Client.TLS.trust(out.Log)
	if err != nil {
		return err
	}
	if os.Getenv(memoryLimitByEnv) == "" {
		debug.SetMemoryLimit(hooksMemory)
	}
	v, life := newVoice(out), newLifecycle(out.Log)
	client, err := life.client(o.Client, trust.current)
	var socket *socket
	if err == nil {
		socket, err = startHooks(life, o, client, "addr", out)
	}
	if err == nil {
		err = serveMetrics(life, v, o.MetricsAddr)
	}
	if err == nil {
		v.ready("hooks", socket.url())
		err = life.wait(stop.Soon)
	}
	return errors.Join(err, life.stop())
}

// startHooks opens hooks' socket and state and serves. flag is the one that sets its address.
func startHooks(life *lifecycle, o HooksOptions, client *api.Client, flag string, out Output) (*socket, error) {
	tls, err := o.TLS.serverTLS(out.Log)
	if err != nil {
		return nil, err
	}
	socket, err := life.openSocket("hooks", flag, o.Addr, tls)
	if err != nil {
		return nil, err
	}
	socket.proxies = o.Proxies
	server, err := hooks.New(hooks.Options{
		Secrets: o.Secrets, InsecureNoSecret: o.InsecureNoSecret, Admin: client,
		State: filepath.Join(o.State, "hooks"), SpoolMax: o.SpoolMax, Metrics: life.metrics, Log: out.Log.With("role", "hooks"),
		Signed: knownSender,
	})
	if err != nil {
		return nil, secretError(err)
	}
	life.closes("hooks", server.Close)
	life.run("hooks' forwarding", server.Run)
	socket.listener = limitConnections(socket.listener, maxConnections, out.Log.With("role", "hooks"))
	life.serve(socket, &http.Server{Handler: server.Handler(), WriteTimeout: bodyLimit + writeLimit, MaxHeaderBytes: maxHooksHead, Protocols: oneAtATime()})
	return socket, nil
}

// oneAtATime is HTTP/1.1 alone: with HTTP/2 each connection could have hundreds of requests open.
func oneAtATime() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

func secretError(err error) error {
	switch {
	case errors.Is(err, hooks.ErrNoSecret):
		return Usagef("set the secret that GitHub signs with: --secret, LIGHTSPEED_SECRET or LIGHTSPEED_SECRET_FILE", "%w", err)
	case errors.Is(err, hooks.ErrTwoMinds), errors.Is(err, hooks.ErrEmptyValue):
		return Usagef("", "%w", err)
	}
	return stateError(err)
}
