package discord

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxCalled is how many can be called: their mentions must fit into one message, 24 characters each.
const maxCalled = 80

// everyone is what both @here and @everyone are allowed by.
const everyone = "everyone"

// mentions is Discord's allowed_mentions: who may be called by what the content says. It is never left out, and
// Parse is never null: Discord would then call whom it likes
// (https://discord.com/developers/docs/resources/message#allowed-mentions-object).
type mentions struct {
	Parse []string `json:"parse"`
	Users []string `json:"users,omitempty"`
	Roles []string `json:"roles,omitempty"`
}

func nobody() mentions { return mentions{Parse: []string{}} }

// call is who is called: the content that does it, and what allows exactly that.
type call struct {
	content string
	allowed mentions
}

var called = regexp.MustCompile(`^(?:@here|@everyone|<@(&?)([0-9]{1,20})>)$`)

// parseCall reads "@here", "@everyone", "<@USER>" and "<@&ROLE>"; several may stand in one text.
func parseCall(who []string) (call, error) {
	c := call{allowed: nobody()}
	names := strings.Fields(strings.Join(who, " "))
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxCalled {
		return call{}, fmt.Errorf("discord_notify names %d, at most %d can be called", len(names), maxCalled)
	}
	for _, name := range names {
		parts := called.FindStringSubmatch(name)
		switch {
		case parts == nil:
			return call{}, errors.New(`discord_notify takes "@here", "@everyone", "<@USER>" and "<@&ROLE>"`)
		case parts[2] == "":
			c.allowed.Parse = []string{everyone}
		case parts[1] == "&":
			c.allowed.Roles = append(c.allowed.Roles, parts[2])
		default:
			c.allowed.Users = append(c.allowed.Users, parts[2])
		}
	}
	c.content = strings.Join(names, " ")
	return c, nil
}
