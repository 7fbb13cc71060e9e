package app

import (
	"os"
	"strings"
	"time"

	"lightspeed/admin"
	"lightspeed/redelivery"
	"lightspeed/secret"
)

// RecoverOptions say whose missed deliveries admin asks GitHub for.
type RecoverOptions struct {
	Hooks      string        // by commas; empty: none
	Every      time.Duration // 0: only when asked to
	Token      secret.Value
	AppID      string
	AppKeyFile string
	URL        string // empty: github.com
}

// senders makes the hooks that the options name.
func (o RecoverOptions) senders() ([]admin.Sender, error) {
	if o.Hooks == "" {
		return nil, nil
	}
	var key secret.Value
	if o.AppKeyFile != "" {
		text, err := os.ReadFile(o.AppKeyFile)
		if err != nil {
			return nil, Usagef("", "--github-app-key: %w", err)
		}
		key = secret.New(string(text))
	}
	var list []admin.Sender
	for name := range strings.SplitSeq(o.Hooks, ",") {
		hook, err := redelivery.New(redelivery.Options{Hook: strings.TrimSpace(name), Token: o.Token, AppID: o.AppID, Key: key, URL: o.URL})
		if err != nil {
			return nil, Usagef("docs/recover.md says what is needed", "--recover: %w", err)
		}
		list = append(list, hook)
	}
	return list, nil
}
