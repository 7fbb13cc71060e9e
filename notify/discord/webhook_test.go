package discord

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"lightspeed/notify"
	"lightspeed/secret"
)

func TestParseWebhookReadsEveryForm(t *testing.T) {
	const id, token = "123456789012345678", "abc-DEF_123"
	for _, text := range []string{
		"https://discord.com/api/webhooks/" + id + "/" + token,
		"https://discordapp.com/api/webhooks/" + id + "/" + token,
		"https://ptb.discord.com/api/webhooks/" + id + "/" + token,
		"https://canary.discordapp.com/api/webhooks/" + id + "/" + token,
		"https://Canary.Discord.com/api/v6/webhooks/" + id + "/" + token,
		"https://discord.com:443/api/v10/webhooks/" + id + "/" + token + "/",
		" https://discord.com/api/webhooks/" + id + "/" + token + "?wait=true\n",
		"https://discord.com/api/webhooks/" + id + "/" + token + "/github",
		"https://discord.com/api/webhooks/" + id + "/" + token + "/slack",
	} {
		w, err := ParseWebhook(text)
		if err != nil || w.ID != id || w.Token.Reveal() != token || w.Thread != "" {
			t.Errorf("%q: %q, %v", text, w.ID, err)
		}
	}
	w, err := ParseWebhook("https://discord.com/api/webhooks/" + id + "/" + token + "?thread_id=876543210987654321")
	if err != nil || w.Thread != "876543210987654321" {
		t.Errorf("thread %q, %v", w.Thread, err)
	}
}

func TestParseWebhookRefusesWithoutShowingTheURL(t *testing.T) {
	const tail = "/123456789012345678/Token-of_webhook"
	for text, want := range map[string]string{
		"":                                       "is not a URL",
		"Token-of_webhook":                       "is not a URL",
		"https://%zz Token-of_webhook":           "is not a URL",
		"http://discord.com/api/webhooks" + tail: "must begin with https://",
		"https://discord.com.evil.example/api/webhooks" + tail:         "names a host that is none of Discord's: discord.com, discordapp.com",
		"https://user@discord.com/api/webhooks" + tail:                 "names a host that is none of Discord's: discord.com, discordapp.com",
		"https://xdiscord.com/api/webhooks" + tail:                     "names a host that is none of Discord's: discord.com, discordapp.com",
		"https://discord.com:8443/api/webhooks" + tail:                 "names a host that is none of Discord's: discord.com, discordapp.com",
		"https://discord.com/api/channels" + tail:                      "must end in /api/webhooks/ID/TOKEN",
		"https://discord.com/api/webhooks/someid/Token-of_webhook":     "must end in /api/webhooks/ID/TOKEN",
		"https://discord.com/api/webhooks" + tail + "/messages/1":      "must end in /api/webhooks/ID/TOKEN",
		"https://discord.com/api/webhooks" + tail + "%2F..%2F..%2Fx":   "must end in /api/webhooks/ID/TOKEN",
		"https://discord.com/api/webhooks" + tail + "?thread_id=1%2F2": "in the webhook's URL must have 15 to 20 digits",
	} {
		_, err := ParseWebhook(text)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
			continue
		}
		checkHidden(t, err.Error())
	}
}

func TestParseCall(t *testing.T) {
	for _, c := range []struct {
		who  []string
		want call
	}{
		{nil, call{"", nobody()}},
		{[]string{"@here"}, call{"@here", mentions{Parse: []string{"everyone"}}}},
		{[]string{"<@1>", "<@&2> @everyone", "<@1>"}, call{"<@&2> <@1> @everyone", mentions{[]string{"everyone"}, []string{"1"}, []string{"2"}}}},
		{[]string{"<@3>", "<@1>"}, call{"<@1> <@3>", mentions{[]string{}, []string{"1", "3"}, nil}}},
	} {
		got, err := parseCall(c.who)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v", c.who, got, err)
		}
	}
	for _, who := range []string{"here", "@Here", "<@abc>", "<@&>", "<@123456789012345678901>", "<#1>", "@everyone!"} {
		if _, err := parseCall([]string{who}); err == nil {
			t.Errorf("%q was taken", who)
		}
	}
	var many []string
	for i := range 81 {
		many = append(many, fmt.Sprintf("<@&%020d>", i))
	}
	if _, err := parseCall(many); err == nil || err.Error() != "discord_notify names 81, at most 80 can be called" {
		t.Errorf("got %v", err)
	}
	if c, err := parseCall(many[:80]); err != nil || units(c.content) > 2000 {
		t.Errorf("%d units, %v", units(c.content), err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	const hook = "https://discord.com/api/webhooks/123456789012345678/Token-of_webhook"
	for want, o := range map[string]Options{
		"the webhook's URL is not a URL":                                      {},
		`discord_notify takes "@here", "@everyone", "<@USER>" and "<@&ROLE>"`: {Hook: secret.New(hook), Call: []string{"x"}},
		"LIGHTSPEED_DISCORD_API is not an address like " + DefaultAPI:         {Hook: secret.New(hook), API: "ftp://x"},
	} {
		if _, err := New(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, api := range []string{"", "x", "https://", "https://u:p@x", "https://x?y", "https://x#y"} {
		if CheckAPI(api) == nil {
			t.Errorf("%q was taken", api)
		}
	}
	tg, err := New(Options{Hook: secret.New(hook)})
	if err != nil || tg.client.api != "https://discord.com/api/v10" {
		t.Errorf("calls go to %s, %v", tg.client.api, err)
	}
	if text := fmt.Sprintf("%+v %#v", *tg.client, tg.client.hook); strings.Contains(text, "Token") && !strings.Contains(text, "[secret]") {
		t.Errorf("the token is in %s", text)
	}
}

func TestTargetsOfOneWebhookShareALane(t *testing.T) {
	lanes := &notify.Lanes{}
	lane := func(url string) *notify.Lane {
		tg, err := New(Options{Hook: secret.New(url), Lanes: lanes})
		if err != nil {
			t.Fatal(err)
		}
		return tg.client.own
	}
	one := lane("https://discord.com/api/webhooks/123456789012345678/aaa")
	if one != lane("https://discordapp.com/api/v9/webhooks/123456789012345678/aaa") {
		t.Error("one webhook has two lanes")
	}
	if one == lane("https://discord.com/api/webhooks/123456789012345679/bbb") {
		t.Error("two webhooks share a lane")
	}
}
