// Package discord tells of runs in a Discord channel, through a webhook: one message a run, posted when it
// starts and edited when it ends (https://discord.com/developers/docs/resources/webhook).
package discord

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"lightspeed/secret"
)

// DefaultAPI is where Discord's calls go. A webhook's URL as it is copied names no version, which would be v6.
const DefaultAPI = "https://discord.com/api/v10"

// Webhook is a channel's address. Who has ID and Token can post there.
type Webhook struct {
	ID     string
	Token  secret.Value
	Thread string // the thread in the channel; may be empty
}

var (
	hosts    = regexp.MustCompile(`^(?:(?:ptb|canary)\.)?(?:discord|discordapp)\.com$`)
	hookPath = regexp.MustCompile(`^/api(?:/v[0-9]{1,3})?/webhooks/([0-9]{15,20})/([A-Za-z0-9_-]{1,200})(?:/slack|/github)?/?$`)
	threadID = regexp.MustCompile(`^[0-9]{15,20}$`)
)

// ParseWebhook reads a webhook's URL in any of its forms: either of Discord's domains, ptb and canary, with a
// version or without, with a thread_id. An error says what is wrong without showing the URL.
func ParseWebhook(text string) (Webhook, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" {
		return Webhook{}, errors.New("the webhook's URL is not a URL")
	}
	parts := hookPath.FindStringSubmatch(u.EscapedPath())
	thread := u.Query().Get("thread_id")
	switch {
	case u.Scheme != "https":
		return Webhook{}, errors.New("the webhook's URL must begin with https://")
	case u.User != nil || !hosts.MatchString(strings.ToLower(strings.TrimSuffix(u.Host, ":443"))):
		return Webhook{}, errors.New("the webhook's URL names a host that is none of Discord's: discord.com, discordapp.com")
	case parts == nil:
		return Webhook{}, errors.New("the webhook's URL must end in /api/webhooks/ID/TOKEN")
	case thread != "" && !threadID.MatchString(thread):
		return Webhook{}, errors.New("the thread_id in the webhook's URL must have 15 to 20 digits")
	}
	return Webhook{ID: parts[1], Token: secret.New(parts[2]), Thread: thread}, nil
}

// CheckAPI reports an address that cannot stand in for DefaultAPI.
func CheckAPI(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("LIGHTSPEED_DISCORD_API is not an address like " + DefaultAPI)
	}
	return nil
}
