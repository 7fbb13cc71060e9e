package config

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tailscale/hujson"

	"lightspeed/secret"
)

// credential is a value that must not be seen, as it was read.
type credential struct {
	value   secret.Value
	literal bool // stands in the config itself
}

// credential reads a string, {"file": …} or {"env": …}. What is not there is kept for CheckSecrets, for a
// config may be checked on another machine than the one that listens; it is then not ok.
func (l *listener) credential(key string, v hujson.Value) (c credential, ok bool) {
	const want = `a string, {"file": …} or {"env": …}`
	switch v.Value.Kind() {
	case '"':
		text, ok := l.text(key, v, want)
		return credential{secret.New(text), true}, ok
	case '{':
		value, ok := l.source(key, v)
		return credential{value, false}, ok
	}
	l.wrongType(key, v, want, "")
	return credential{}, false
}

// source reads the value that {"file": …} or {"env": …} names.
func (l *listener) source(key string, v hujson.Value) (secret.Value, bool) {
	object := v.Value.(*hujson.Object)
	if len(object.Members) != 1 {
		l.wrong(v.StartOffset, "", `%s: want either "file" or "env" in it`, key)
		return secret.Value{}, false
	}
	for _, m := range l.members(key, object, []string{"file", "env"}) {
		text, ok := l.text(key+"."+m.name, m.value, "a "+map[string]string{"file": "file", "env": "variable name"}[m.name])
		switch {
		case !ok:
		case m.name == "file":
			return l.secretFile(key, text, m.value.StartOffset)
		default:
			return l.secretVariable(key, text, m.value.StartOffset)
		}
	}
	return secret.Value{}, false
}

func (l *listener) secretFile(key, path string, offset int) (secret.Value, bool) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.file), path)
	}
	l.cfg.SecretFiles = append(l.cfg.SecretFiles, path)
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		l.wrong(offset, "", "%s: %s is not a regular file", key, path)
		return secret.Value{}, false
	}
	value, err := secret.FromFile(path)
	if err != nil {
		l.lacks(offset, key+": "+err.Error())
		return secret.Value{}, false
	}
	if info.Mode().Perm()&othersRead != 0 {
		l.warn(offset, "chmod o-r "+path, "%s: every user of this machine can read %s", key, path)
	}
	return value, true
}

func (l *listener) secretVariable(key, name string, offset int) (secret.Value, bool) {
	if !envName.MatchString(name) {
		l.wrong(offset, `letters, digits and "_", and no digit first`, "%s: %s is not a variable name", key, show(name))
		return secret.Value{}, false
	}
	text := os.Getenv(name)
	if text == "" {
		l.lacks(offset, key+": variable "+name+" is not set")
		return secret.Value{}, false
	}
	return secret.New(text), true
}

// lacks notes a secret that is not there.
func (l *listener) lacks(offset int, message string) {
	l.cfg.missing = append(l.cfg.missing, Mistake{Position: l.at(offset), Message: message})
	l.warn(offset, "it must be there when the listener starts", "%s", message)
}

func (l *listener) warnOfReaders(key string, c credential, offset int) {
	if c.literal && l.worldReadable {
		l.warn(offset, `chmod o-r the file, or keep the value elsewhere: {"file": …} or {"env": …}`,
			"%s: every user of this machine can read it here", key)
	}
}

func (l *listener) discordHook(key string, v hujson.Value) {
	c, ok := l.credential(key, v)
	if !ok {
		return
	}
	problem := checkDiscordURL(c.value.Reveal())
	switch {
	case problem == placeholder:
		l.warn(v.StartOffset, "put your webhook's URL in, or take the key out", "%s: a placeholder, so nobody is told", key)
	case problem != "":
		l.wrong(v.StartOffset, "copy the URL from Discord: Channel settings, Integrations, Webhooks", "%s: %s", key, problem)
	default:
		l.cfg.DiscordHook = c.value
		l.warnOfReaders(key, c, v.StartOffset)
	}
}

var (
	// discordHosts serve webhooks (https://discord.com/developers/docs/resources/webhook).
	discordHosts = regexp.MustCompile(`^((ptb|canary)\.)?(discord|discordapp)\.com$`)
	discordPath  = regexp.MustCompile(`^/api(?:/v[0-9]+)?/webhooks/([^/]+)/([^/]+)$`)
	discordID    = regexp.MustCompile(`^[0-9]{15,20}$`)
	discordToken = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	threadQuery  = regexp.MustCompile(`^(thread_id=[0-9]{15,20})?$`)
)

// placeholder is checkDiscordURL's word for a URL as examples have it.
const placeholder = "a placeholder"

// checkDiscordURL says what is wrong with a webhook's URL, without showing it: who has it can post.
func checkDiscordURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "not a URL"
	}
	parts := discordPath.FindStringSubmatch(u.EscapedPath())
	switch {
	case u.Scheme != "https":
		return "the URL must begin with https://"
	case u.User != nil || !discordHosts.MatchString(strings.ToLower(u.Host)):
		return "the URL's host is none of Discord's: discord.com, discordapp.com"
	case parts == nil:
		return "the URL must end in /api/webhooks/ID/TOKEN"
	case strings.ContainsFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' }):
		return placeholder
	case !discordID.MatchString(parts[1]):
		return "the webhook's id in the URL must have 15 to 20 digits"
	case !discordToken.MatchString(parts[2]):
		return `the webhook's token in the URL must be letters, digits, "_" and "-"`
	case !threadQuery.MatchString(u.RawQuery) || u.Fragment != "":
		return "nothing but ?thread_id=ID may follow in the URL"
	}
	return ""
}

// mention is one who may be called: everyone, or a user or role by its id.
var mention = regexp.MustCompile(`^(@here|@everyone|<@[0-9]{1,20}>|<@&[0-9]{1,20}>)$`)

const wantMention = `"@here", "@everyone", "<@USER>" or "<@&ROLE>"`

func (l *listener) discordNotify(key string, v hujson.Value) {
	if v.Value.Kind() != '"' && v.Value.Kind() != '[' {
		l.wrongType(key, v, "a string or a list of strings", "")
		return
	}
	elements := []hujson.Value{v}
	if v.Value.Kind() == '[' {
		elements = l.mayBeEmpty(key, v, "a list of strings")
	}
	for _, element := range elements {
		text, _ := l.text(key, element, wantMention)
		for _, who := range strings.Fields(text) {
			l.mention(key, who, element.StartOffset)
		}
	}
	if n := len(l.cfg.DiscordNotify); n > maxCalled {
		l.wrong(v.StartOffset, "a role calls many at once", "%s: names %d, and at most %d can be called", key, n, maxCalled)
	}
}

// maxCalled is how many can be called: their mentions must fit into one message of Discord's.
const maxCalled = 80

func (l *listener) mention(key, who string, offset int) {
	if mention.MatchString(who) {
		l.cfg.DiscordNotify = append(l.cfg.DiscordNotify, who)
		return
	}
	hint := didYouMean(who, []string{"@here", "@everyone"})
	if hint == "" {
		hint = "USER and ROLE are numbers; Discord's developer mode copies them"
	}
	l.wrong(offset, hint, "%s: want %s, got %s", key, wantMention, show(who))
}

// header is what an HTTP header can carry as a token.
var header = regexp.MustCompile(`^[!-~]+$`)

func (l *listener) githubStatusToken(key string, v hujson.Value) {
	c, ok := l.credential(key, v)
	if !ok {
		return
	}
	if !header.MatchString(c.value.Reveal()) {
		l.wrong(v.StartOffset, "", "%s: the token holds a space, a line break or a letter that no token has", key)
		return
	}
	l.cfg.GithubStatusToken = c.value
	l.warnOfReaders(key, c, v.StartOffset)
}

func (l *listener) githubURL(key string, v hujson.Value) {
	const want = `a URL like "https://github.example.com"`
	text, ok := l.text(key, v, want)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"): // nothing of it is shown: it may be no URL at all, and hold a password all the same
		l.wrong(v.StartOffset, "the token goes into github_status_token", "%s: the URL must not hold a user or password", key)
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		l.wrong(v.StartOffset, "", "%s: want %s, got %s", key, want, show(text))
	case u.RawQuery != "" || u.Fragment != "":
		l.wrong(v.StartOffset, "", `%s: the URL must not hold "?" or "#"`, key)
	default:
		l.cfg.GithubURL = text
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			l.warn(v.StartOffset, "take https, if the server has it", "%s: the token goes over the network unencrypted", key)
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// considerTelling warns of keys that say how to tell, where nobody is told.
func (l *listener) considerTelling() {
	for _, pair := range [][2]string{{"discord_notify", "discord_hook"}, {"github_url", "github_status_token"}} {
		offset, given := l.given[pair[0]]
		if pair[0] == "github_url" && l.cfg.Checkout != nil {
			continue // that is where repositories are fetched from
		}
		if _, has := l.given[pair[1]]; given && !has {
			l.warn(offset, "", "%s: has no effect without %s", pair[0], pair[1])
		}
	}
}
