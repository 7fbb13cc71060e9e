package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

// Limits of asking a server how it is.
const (
	healthTimeout = 5 * time.Second
	healthBody    = 64 << 10 // bytes
)

func (p *program) health() *urfave.Command {
	return &urfave.Command{
		Name: "health", Category: groupWatch,
		Usage:     "ask a server whether it is ready, for scripts and containers",
		UsageText: "lightspeed health [URL]",
		Description: `Asks /readyz of the server at URL, or what URL names besides; without URL, admin. Exit code 0 says that it is ready;
1 that it is not, or does not answer within 5 seconds.

Examples:
  lightspeed health
  lightspeed health http://127.0.0.1:8000
  lightspeed health https://ci.example.com:8080/healthz --tls-ca ca.pem`,
		Flags: flags(nil, []setting{adminURL, tlsCA}),
		Action: func(c *urfave.Context) error {
			if c.NArg() > 1 {
				_, err := want(c, "a URL at most")
				return err
			}
			address := p.value(c, adminURL)
			if c.NArg() == 1 {
				address = c.Args().First()
			}
			return p.askHealth(c.Context, address, p.tls(c))
		},
	}
}

// askHealth prints what a server answers, and fails unless it is ready.
func (p *program) askHealth(ctx context.Context, address string, files app.TLSFiles) error {
	at, err := url.Parse(address)
	if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
		return app.Usagef("an address looks like http://127.0.0.1:8000", "%q is no address of a server", address)
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/readyz"
	}
	client, err := app.NewHTTPClient(files)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return app.Usagef("", "%q is no address of a server: %w", address, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return app.Failf("see that it runs, and that host and port are right", "%w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthBody))
	if err != nil {
		return err
	}
	fmt.Fprint(p.Stdout, healthLines(body))
	if resp.StatusCode != http.StatusOK {
		return app.Failf("", "%s answers %s", at, resp.Status)
	}
	return nil
}

// healthLines are the checks in a /readyz, one a line; any other answer is shown as it is.
func healthLines(body []byte) string {
	var ready struct{ Checks map[string]string }
	if json.Unmarshal(body, &ready) != nil {
		return visibleLines(strings.TrimSpace(string(body))) + "\n"
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(ready.Checks)) {
		fmt.Fprintf(&b, "%s: %s\n", visibleLines(name), visibleLines(ready.Checks[name]))
	}
	return b.String()
}
