package cli

import (
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
	"lightspeed/secret"
)

// setting is a flag of a server or a connection, and its twin in the environment. The flag counts before
// LIGHTSPEED_*, that before an older name, and that before the default.
type setting struct {
	flag   string // "admin"
	env    string // "LIGHTSPEED_ADMIN"
	usage  string // with the value's name in backquotes
	secret bool   // it also has the flag --…-file and the variable LIGHTSPEED_…_FILE
	def    string
	older  string                                       // names the older names in the help
	old    func(get func(string) (string, bool)) string // the older names' value, or ""
}

// Settings that several commands share.
var (
	adminURL = setting{
		flag: "admin", env: "LIGHTSPEED_ADMIN", def: "http://127.0.0.1:8080", usage: "`URL` where admin is",
		older: "ADMIN_DOMAIN and ADMIN_PORT", old: olderAdminURL,
	}
	adminAddr = setting{
		flag: "addr", env: "LIGHTSPEED_ADDR", def: "127.0.0.1:8080", usage: "`HOST:PORT` where admin listens; port 0 takes any",
		older: "ADMIN_PORT", old: olderAdminAddr,
	}
	hooksAddr = setting{
		flag: "hooks-addr", env: "LIGHTSPEED_HOOKS_ADDR", def: ":8000", usage: "`HOST:PORT` where hooks listens; port 0 takes any",
	}
	token = setting{
		flag: "token", env: "LIGHTSPEED_TOKEN", secret: true, usage: "`TOKEN` by which admin knows this caller",
	}
	adminToken = setting{
		flag: "admin-token", env: "LIGHTSPEED_ADMIN_TOKEN", secret: true, usage: "`TOKEN` for people and the command line (repeatable)",
	}
	hooksToken = setting{
		flag: "hooks-token", env: "LIGHTSPEED_HOOKS_TOKEN", secret: true, usage: "`TOKEN` for hooks: hands in deliveries and nothing else (repeatable)",
	}
	listenerToken = setting{
		flag: "listener-token", env: "LIGHTSPEED_LISTENER_TOKEN", secret: true, usage: "`TOKEN` for listeners (repeatable)",
	}
	publicURL = setting{
		flag: "public-url", env: "LIGHTSPEED_PUBLIC_URL", usage: "`URL` under which people find the page; messages and commit statuses link to it",
	}
	webhookSecret = setting{
		flag: "secret", env: "LIGHTSPEED_SECRET", secret: true, usage: "`SECRET` that GitHub signs with (repeatable, to change it)",
	}
	rabbitURL = setting{
		flag: "rabbit-url", env: "LIGHTSPEED_RABBIT_URL", secret: true,
		usage: "`URL` of a RabbitMQ that tells listeners of work, amqp or amqps (repeatable: tried in turn)",
		older: "--host and RABBIT_HOST",
	}
	stateFolder = setting{
		flag: "state", env: "LIGHTSPEED_STATE", usage: "`FOLDER` where everything is kept that must be",
		older: "$STATE_DIRECTORY, else $XDG_STATE_HOME/lightspeed, else ~/.local/state/lightspeed",
	}
	tlsCert      = setting{flag: "tls-cert", env: "LIGHTSPEED_TLS_CERT", usage: "`FILE` with the certificate to serve TLS with, PEM"}
	tlsKey       = setting{flag: "tls-key", env: "LIGHTSPEED_TLS_KEY", usage: "`FILE` with its key, PEM"}
	trustedProxy = setting{
		flag: "trusted-proxy", env: "LIGHTSPEED_TRUSTED_PROXY",
		usage: "`ADDRESSES` of proxies, as 10.0.0.1,10.1.0.0/16, whose X-Forwarded-For says where a request is from",
	}
	metricsAddr = setting{
		flag: "metrics-addr", env: "LIGHTSPEED_METRICS_ADDR",
		usage: "`HOST:PORT` where GET /metrics is served, for Prometheus, to whoever reaches it\ndefault nowhere",
	}
	tlsCA     = setting{flag: "tls-ca", env: "LIGHTSPEED_TLS_CA", usage: "`FILE` with certificates to trust beside the system's, PEM"}
	logFormat = setting{flag: "log-format", env: "LIGHTSPEED_LOG_FORMAT", def: "text", usage: "`FORMAT` of the log on stderr: text or json"}
	logLevel  = setting{flag: "log-level", env: "LIGHTSPEED_LOG_LEVEL", def: "info", usage: "`LEVEL` from which on it is logged: debug, info, warn or error"}
)

// Groups of settings that go together.
var (
	connection = []setting{adminURL, token, tlsCA}
	logging    = []setting{logFormat, logLevel}
	tlsServer  = []setting{tlsCert, tlsKey, trustedProxy}
)

// olderAdminURL reads ADMIN_DOMAIN and ADMIN_PORT, the names that earlier versions knew.
func olderAdminURL(get func(string) (string, bool)) string {
	domain, _ := get("ADMIN_DOMAIN")
	port, _ := get("ADMIN_PORT")
	if domain == "" && port == "" {
		return ""
	}
	if domain == "" {
		domain = "127.0.0.1"
	}
	if port == "" {
		port = "8080"
	}
	return "http://" + domain + ":" + port
}

func olderAdminAddr(get func(string) (string, bool)) string {
	if port, _ := get("ADMIN_PORT"); port != "" {
		return "127.0.0.1:" + port
	}
	return ""
}

// plain makes the flag of a setting that has one value.
func (s setting) plain() urfave.Flag {
	return &urfave.StringFlag{Name: s.flag, Usage: s.usage + s.notes(s.env)}
}

// secrets makes the flags of a secret: itself, and the twin that names a file.
func (s setting) secrets() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: s.flag, Usage: s.usage + s.notes("--"+s.flag+"-file", s.env, s.env+secret.FileSuffix)},
		&urfave.StringSliceFlag{Name: s.flag + "-file", Usage: "`FILE` with such values, one a line", Hidden: true},
	}
}

// notes are the lines under a flag's help: what else sets it, and its default.
func (s setting) notes(also ...string) string {
	text := "\nalso " + strings.Join(also, ", ")
	switch {
	case s.older != "" && s.def == "":
		return text + "\ndefault " + s.older
	case s.older != "":
		text += "; older: " + s.older
	}
	if s.def != "" {
		text += "\ndefault " + s.def
	}
	return text
}

// flags makes the flags of settings, and adds a command's own.
func flags(own []urfave.Flag, groups ...[]setting) []urfave.Flag {
	all := own
	for _, group := range groups {
		for _, s := range group {
			if s.secret {
				all = append(all, s.secrets()...)
				continue
			}
			all = append(all, s.plain())
		}
	}
	return all
}

// value reads a setting that has one value.
func (p *program) value(c *urfave.Context, s setting) string {
	if c.IsSet(s.flag) {
		return c.String(s.flag)
	}
	if text, _ := p.Env(s.env); text != "" {
		return text
	}
	if s.old != nil {
		if text := s.old(p.Env); text != "" {
			return text
		}
	}
	return s.def
}

// secrets reads a setting that has any number of secret values.
func (p *program) secrets(c *urfave.Context, s setting) ([]secret.Value, error) {
	var values []secret.Value
	for _, text := range c.StringSlice(s.flag) {
		if text == "" {
			return nil, app.Usagef("", "--%s is empty", s.flag)
		}
		values = append(values, secret.New(text))
	}
	for _, path := range c.StringSlice(s.flag + "-file") {
		more, err := secret.FileValues(path)
		if err != nil {
			return nil, app.Usagef("", "--%s-file: %w", s.flag, err)
		}
		values = append(values, more...)
	}
	if len(values) > 0 {
		return values, nil
	}
	values, err := secret.Lookup(s.env, p.Env)
	if err != nil {
		return nil, &app.Error{Err: err, Usage: true}
	}
	return values, nil
}

// rabbitHost is the older way to name the broker: a host, with RabbitMQ's own account for guests.
var rabbitHost = &urfave.StringFlag{Name: "host", Usage: "`HOST` of a RabbitMQ, for --rabbit-url amqp://guest:guest@HOST:5672/\nalso RABBIT_HOST"}

// rabbitURLs reads where the broker is; none: there is no broker.
func (p *program) rabbitURLs(c *urfave.Context) ([]secret.Value, error) {
	if c.IsSet(rabbitURL.flag) && c.IsSet(rabbitHost.Name) {
		return nil, app.Usagef("leave one of them out", "--rabbit-url and --host both name a broker")
	}
	host := c.String(rabbitHost.Name)
	if host == "" {
		urls, err := p.secrets(c, rabbitURL)
		if err != nil || len(urls) > 0 {
			return urls, err
		}
		if host = p.getenv("RABBIT_HOST"); host == "" {
			return nil, nil
		}
	}
	return []secret.Value{secret.New("amqp://guest:guest@" + host + ":5672/")}, nil
}

// secret reads a secret setting that has one value at most.
func (p *program) secret(c *urfave.Context, s setting) (secret.Value, error) {
	values, err := p.secrets(c, s)
	switch {
	case err != nil || len(values) == 0:
		return secret.Value{}, err
	case len(values) > 1:
		return secret.Value{}, app.Usagef("", "--%s takes one value, and %d are set", s.flag, len(values))
	}
	return values[0], nil
}

// state decides where state is kept.
func (p *program) state(c *urfave.Context) (string, error) {
	return app.StateFolder(p.value(c, stateFolder), p.getenv)
}

func (p *program) getenv(name string) string {
	text, _ := p.Env(name)
	return text
}

// clientOptions reads the settings of the connection to admin.
func (p *program) clientOptions(c *urfave.Context) (app.ClientOptions, error) {
	own, err := p.secret(c, token)
	return app.ClientOptions{Admin: p.value(c, adminURL), Token: own, TLS: p.tls(c)}, err
}

func (p *program) tls(c *urfave.Context) app.TLSFiles {
	return app.TLSFiles{Cert: p.value(c, tlsCert), Key: p.value(c, tlsKey), CA: p.value(c, tlsCA)}
}

// proxies reads which proxies are believed.
func (p *program) proxies(c *urfave.Context) (app.Proxies, error) {
	return app.ParseProxies(p.value(c, trustedProxy))
}

// want takes a command's arguments: exactly those that are named.
func want(c *urfave.Context, names ...string) ([]string, error) {
	args := c.Args().Slice()
	if len(args) < len(names) {
		return nil, app.Usagef(usageHint(c), "%s needs %s", called(c), strings.Join(names[len(args):], " and "))
	}
	if len(args) > len(names) {
		return nil, app.Usagef(usageHint(c), "%s takes no argument %q", called(c), args[len(names)])
	}
	return args, nil
}

// called is a command's name without the program's: "runs show".
func called(c *urfave.Context) string { return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ") }

func usageHint(c *urfave.Context) string {
	return fmt.Sprintf("`%s --help` shows how", c.Command.HelpName)
}

// discordAPI names the variable with the address that stands in for Discord's own. It has no flag: it is for
// proxies and tests.
const discordAPI = "LIGHTSPEED_DISCORD_API"
