package app

import (
	"context"
	"os"

	"lightspeed/listener"
	"lightspeed/listener/config"
	"lightspeed/notify"
	"lightspeed/notify/discord"
)

// checkDiscordAPI refuses an address that Discord's calls cannot go to. Empty: they go to Discord.
func checkDiscordAPI(address string) error {
	if address == "" {
		return nil
	}
	if err := discord.CheckAPI(address); err != nil {
		return Usagef("leave it out to call Discord itself", "%w", err)
	}
	return nil
}

// SampleOptions say what is told by SampleNotices.
type SampleOptions struct {
	DiscordAPI string // as in ListenOptions
	Repo, SHA  string // the commit whose status is set; both may be empty
}

// SampleNotices sends a sample to each of those whom a config tells, and returns what came back: one Answer a target,
// none when it tells nobody. Nothing runs.
func SampleNotices(ctx context.Context, c config.Config, o SampleOptions) ([]notify.Answer, error) {
	if err := checkDiscordAPI(o.DiscordAPI); err != nil {
		return nil, err
	}
	if err := c.CheckSecrets(); err != nil {
		return nil, err
	}
	routes, err := listener.Targets(c, &notify.Lanes{}, o.DiscordAPI)
	if err != nil {
		return nil, &Error{Err: err, Usage: true}
	}
	targets := make([]notify.Target, 0, len(routes))
	for _, route := range routes {
		targets = append(targets, route.Target)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return notify.Try(ctx, targets, notify.Sample(c.Rules.Name, host, o.Repo, o.SHA)), nil
}
