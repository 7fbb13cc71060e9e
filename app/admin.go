package app

import (
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"lightspeed/admin"
	"lightspeed/admin/store"
	"lightspeed/secret"
)

// AdminOptions are admin's settings.
type AdminOptions struct {
	Addr  string // "127.0.0.1:8080"
	State string // the process's state folder; admin's own is in it

	// Tokens by the kind of caller. Without any, admin serves loopback only, unless InsecureNoAuth.
	AdminTokens, HooksTokens, ListenerTokens []secret.Value
	InsecureNoAuth                           bool
	ownHooksToken, ownListenerToken          secret.Value // of roles in this process

	Lease                time.Duration // 0: admin's default
	AllowIdenticalBodies bool
	Keep                 Retention
	Recover              RecoverOptions
	PublicURL            string         // where people find the page, for links to it; empty: there are none
	RabbitURLs           []secret.Value // of one broker, tried in turn; none: claims wait
	TLS                  TLSFiles
	Proxies              Proxies
}

// LeaseBounds are the default and the least value of AdminOptions.Lease.
const (
	DefaultLease = admin.DefaultLease
	MinLease     = admin.MinLease
)

// Retention says how much admin keeps.
type Retention = store.Retention

// Limits bound how much is kept of one kind of thing.
type Limits = store.Limits

// Admin runs the private server until stop says so.
func Admin(stop Stop, out Output, o AdminOptions) error {
	v, life := newVoice(out), newLifecycle(out.Log)
	socket, err := startAdmin(life, o, out)
	if err == nil {
		v.ready("admin", socket.url())
		err = life.wait(stop.Soon)
	}
	return errors.Join(err, life.stop())
}

// maxAdminConnections bounds those that admin has open at once: each listener has one that waits. Further ones drive out
// those that have shown no token.
const maxAdminConnections = 16 << 10

// startAdmin opens admin's socket and state and serves.
func startAdmin(life *lifecycle, o AdminOptions, out Output) (*socket, error) {
	if o.Lease != 0 && (o.Lease < MinLease || o.Lease%time.Second != 0) {
		return nil, Usagef("", "--lease is %v, and must be whole seconds, at least %v", o.Lease, MinLease)
	}
	tls, err := o.TLS.serverTLS(out.Log)
	if err != nil {
		return nil, err
	}
	page, err := publicURL(o.PublicURL)
	if err != nil {
		return nil, err
	}
	socket, err := life.openSocket("admin", "addr", o.Addr, tls)
	if err != nil {
		return nil, err
	}
	announcer, err := startAnnouncer(life, o, out)
	if err != nil {
		return nil, err
	}
	socket.proxies = o.Proxies
	senders, err := o.Recover.senders()
	if err != nil {
		return nil, err
	}
	server, err := admin.New(admin.Options{
		Announcer: announcer,
		State:     filepath.Join(o.State, "admin"), AdminTokens: o.AdminTokens, HooksTokens: o.HooksTokens, ListenerTokens: o.ListenerTokens,
		InsecureNoAuth: o.InsecureNoAuth, OwnHooksToken: o.ownHooksToken, OwnListenerToken: o.ownListenerToken, Lease: o.Lease, AllowIdenticalBodies: o.AllowIdenticalBodies,
		Keep: o.Keep, Metrics: life.metrics, Senders: senders, RecoverEvery: o.Recover.Every, PublicURL: page, Log: out.Log.With("role", "admin"),
		Known: knownSender,
	})
	if err != nil {
		return nil, stateError(err)
	}
	life.closes("admin", server.Close)
	if err := o.checkAccess(socket, server.Guarded()); err != nil {
		return nil, err
	}
	socket.listener = limitConnections(socket.listener, maxAdminConnections, out.Log.With("role", "admin"))
	life.serve(socket, &http.Server{Handler: patient(withPage(server, out), writeLimit)})
	life.run("admin's clock", server.Run) // ends before the server does: calls that wait are answered then
	return socket, nil
}

// checkAccess refuses to let everyone in.
func (o AdminOptions) checkAccess(s *socket, guarded bool) error {
	switch {
	case guarded && o.InsecureNoAuth:
		return Usagef("leave one of them out", "--insecure-no-auth and tokens contradict each other")
	case !guarded && !o.InsecureNoAuth && !s.loopbackOnly():
		return Usagef("set --admin-token, --hooks-token and --listener-token, or listen on 127.0.0.1",
			"admin on %s is open to other machines and has no tokens: anyone who reaches it could start runs", o.Addr)
	}
	return nil
}
