package app

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/secret"
)

// UpOptions are the settings of admin, hooks and listeners in one process. They talk over loopback, as they
// do apart.
type UpOptions struct {
	Addr      string // admin's
	HooksAddr string
	State     string
	Configs   []config.Config
	Source    *Source // as of ListenOptions

	DrainTimeout time.Duration // as of ListenOptions

	Secrets          []secret.Value // none: one is made, and kept in State
	InsecureNoSecret bool
	SpoolMax         int64

	// Tokens for callers from outside this process; hooks and listeners in it have their own.
	AdminTokens, HooksTokens, ListenerTokens []secret.Value
	InsecureNoAuth                           bool
	Lease                                    time.Duration
	AllowIdenticalBodies                     bool
	Keep                                     Retention
	Recover                                  RecoverOptions
	PublicURL                                string // as in AdminOptions

	TLS        TLSFiles // for both servers
	Proxies    Proxies  // before both
	DiscordAPI string   // as in ListenOptions
}

// Up runs the three roles until stop says so: then the listeners finish their runs, and the servers end after
// them.
func Up(stop Stop, out Output, o UpOptions) error {
	v, life := newVoice(out), newLifecycle(out.Log)
	_, err := startUp(life, stop, v, &o)
	if err == nil {
		err = life.wait(stop.Soon)
	}
	return errors.Join(err, life.stop())
}

// upPlace is where a started `up` can be reached on this machine.
type upPlace struct {
	admin, hooks *socket
	client       *api.Client
	listening    <-chan struct{} // closed when every listener listens
}

func startUp(life *lifecycle, stop Stop, v *voice, o *UpOptions) (*upPlace, error) {
	if err := checkConfigs(o.Configs); err != nil {
		return nil, err
	}
	made, err := o.chooseSecret()
	if err != nil {
		return nil, err
	}
	hooksToken, listenerToken := secret.New(rand.Text()), secret.New(rand.Text())
	place := &upPlace{}
	place.admin, err = startAdmin(life, AdminOptions{
		Addr: o.Addr, State: o.State, AdminTokens: o.AdminTokens, HooksTokens: o.HooksTokens, ListenerTokens: o.ListenerTokens,
		InsecureNoAuth: o.InsecureNoAuth, ownHooksToken: hooksToken, ownListenerToken: listenerToken, Lease: o.Lease, AllowIdenticalBodies: o.AllowIdenticalBodies, Keep: o.Keep, Recover: o.Recover, PublicURL: o.PublicURL, TLS: o.TLS, Proxies: o.Proxies,
	}, v.Output)
	if err != nil {
		return nil, err
	}
	client := func(token secret.Value) (*api.Client, error) { return loopbackClient(life, place.admin, token) }
	v.ready("admin", place.admin.url())

	forHooks, err := client(hooksToken)
	if err != nil {
		return nil, err
	}
	place.hooks, err = startHooks(life, HooksOptions{
		Addr: o.HooksAddr, State: o.State, Secrets: o.Secrets, InsecureNoSecret: o.InsecureNoSecret, SpoolMax: o.SpoolMax, TLS: o.TLS, Proxies: o.Proxies,
	}, forHooks, "hooks-addr", v.Output)
	if err != nil {
		return nil, err
	}
	v.ready("hooks", place.hooks.url())
	if made != "" {
		v.note("made a webhook secret; GitHub needs it, and it is printed only now. It is kept in %s\n\n    %s\n", made, o.Secrets[0].Reveal())
	}
	if place.client, err = client(listenerToken); err != nil {
		return nil, err
	}
	place.listening, err = startListeners(life, stop, v, ListenOptions{Configs: o.Configs, Source: o.Source, DrainTimeout: o.DrainTimeout, State: o.State, DiscordAPI: o.DiscordAPI}, place.client)
	return place, err
}

// loopbackClient talks to a server of this very process.
func loopbackClient(life *lifecycle, s *socket, token secret.Value) (*api.Client, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.tls != nil {
		trust = pinned(s.tls)
	}
	return life.client(ClientOptions{Admin: s.loopbackURL(), Token: token}, func() *tls.Config { return trust })
}

// SecretFile is where `up` keeps the webhook secret that it made, in its state folder.
const SecretFile = "secret"

// chooseSecret uses the secret that an earlier `up` made, or makes one, unless others are set. It returns the
// new file's path when it made one.
func (o *UpOptions) chooseSecret() (made string, err error) {
	if len(o.Secrets) > 0 || o.InsecureNoSecret {
		return "", nil
	}
	path := filepath.Join(o.State, SecretFile)
	kept, err := secret.FromFile(path)
	if err == nil {
		o.Secrets = []secret.Value{kept}
		return "", nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	value := rand.Text()
	if err := writeSecret(path, value); err != nil {
		return "", stateError(err)
	}
	o.Secrets = []secret.Value{secret.New(value)}
	return path, nil
}

// writeSecret makes the file appear whole, or not at all.
func writeSecret(path, value string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), SecretFile+".new-*") // has mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, value)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
