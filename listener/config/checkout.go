package config

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/tailscale/hujson"

	"lightspeed/secret"
)

// Checkout is how each run gets a fresh tree of its commit.
type Checkout struct {
	URL        string       // where the repository is; repoPlace stands for owner/repo. Empty: on github.com, or GithubURL
	Depth      int          // commits of history; 0: all
	Submodules bool         // check these out, too
	Keep       bool         // leave the tree when the run is done
	Token      secret.Value // the password for an http(s) URL; none: the machine's own credentials

	secret string // name of the secret that Token is
}

// repoPlace stands for owner/repo in Checkout.URL.
const repoPlace = "{repo}"

// maxDepth bounds Checkout.Depth.
const maxDepth = 1_000_000

// CloneURL is where a repository is fetched from. repo is owner/repo, as event.Parse lets it through: nothing else of
// an event has a say in it.
func (c Config) CloneURL(repo string) string {
	if c.Checkout != nil && c.Checkout.URL != "" {
		return strings.ReplaceAll(c.Checkout.URL, repoPlace, repo)
	}
	server := c.GithubURL
	if server == "" {
		server = "https://github.com"
	}
	return strings.TrimSuffix(server, "/") + "/" + repo + ".git"
}

const wantCheckout = `true, or an object like {"depth": 1}`

func (l *listener) checkout(key string, v hujson.Value) {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		l.plainCheckout(key, v)
		return
	}
	c := &Checkout{}
	l.cfg.Checkout = c
	for _, m := range l.members(key, object, []string{"url", "depth", "submodules", "keep", "token"}) {
		inner := key + "." + m.name
		switch m.name {
		case "url":
			l.cloneURL(inner, m.value, c)
		case "depth":
			n, _ := l.number(inner, m.value, 1, maxDepth)
			c.Depth = int(n)
		case "submodules":
			c.Submodules, _ = l.flag(inner, m.value)
		case "keep":
			c.Keep, _ = l.flag(inner, m.value)
		case "token":
			l.cloneToken(inner, m.value, c)
		}
	}
}

func (l *listener) plainCheckout(key string, v hujson.Value) {
	switch v.Value.Kind() {
	case 't':
		l.cfg.Checkout = &Checkout{}
	case 'f':
	default:
		l.wrongType(key, v, wantCheckout, "")
	}
}

var (
	// cloneSchemes are the protocols that git may use here.
	cloneSchemes = regexp.MustCompile(`^(https?|ssh|git|file)$`)
	// shortSSH is git's short form for ssh: user@host:path.
	shortSSH = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:]+$`)
)

func (l *listener) cloneURL(key string, v hujson.Value, c *Checkout) {
	const want = `a URL like "https://git.example.com/{repo}.git" or "git@github.com:{repo}.git"`
	text, ok := l.text(key, v, want)
	if !ok {
		return
	}
	if problem, hint := checkCloneURL(text); problem != "" {
		l.wrong(v.StartOffset, hint, "%s: %s", key, problem)
		return
	}
	c.URL = text
}

// checkCloneURL says what is wrong with a URL, without showing it: it may hold a password.
func checkCloneURL(text string) (problem, hint string) {
	plain := strings.ReplaceAll(text, repoPlace, "owner/repo")
	switch {
	case strings.ContainsAny(plain, "{}"):
		return "the only thing in braces can be " + repoPlace, repoPlace + " stands for owner/repo"
	case strings.ContainsFunc(plain, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "the URL holds a space or a control character", ""
	case strings.HasPrefix(plain, "/") || shortSSH.MatchString(plain) && !strings.Contains(plain, "://"):
		return "", ""
	}
	u, err := url.Parse(plain)
	switch {
	case err != nil || !cloneSchemes.MatchString(u.Scheme) || u.Host == "" && u.Scheme != "file" || u.Path == "":
		return "want a URL with https, http, ssh, git or file, user@host:path, or an absolute path", ""
	case strings.HasPrefix(u.Host, "-"):
		return "the URL's host begins with a dash", ""
	}
	if _, has := u.User.Password(); has || u.User != nil && strings.HasPrefix(u.Scheme, "http") {
		return "the URL must not hold a user or password", `a token goes into "token"; without one the machine's own credentials are used`
	}
	return "", ""
}

func (l *listener) cloneToken(key string, v hujson.Value, c *Checkout) {
	if name, ok := l.namesSecret(key, v); ok {
		c.secret = name
		return
	}
	token, ok := l.credential(key, v)
	if !ok {
		return
	}
	if !header.MatchString(token.value.Reveal()) {
		l.wrong(v.StartOffset, "", "%s: the token holds a space, a line break or a letter that no token has", key)
		return
	}
	c.Token = token.value
	l.warnOfReaders(key, token, v.StartOffset)
}

// namesSecret reads {"secret": "NAME"}.
func (l *listener) namesSecret(key string, v hujson.Value) (string, bool) {
	object, ok := v.Value.(*hujson.Object)
	if !ok || len(object.Members) != 1 || object.Members[0].Name.Value.(hujson.Literal).String() != "secret" {
		return "", false
	}
	return l.text(key+".secret", object.Members[0].Value, "the name of one of the secrets")
}

// considerCheckout looks at what a checkout means together with other keys.
func (l *listener) considerCheckout() {
	c := l.cfg.Checkout
	if c == nil {
		return
	}
	offset := l.given["checkout"]
	if at, both := l.given["cwd"]; both {
		l.warn(at, "take it out: commands run in the tree", "cwd: has no effect with checkout")
	}
	if c.secret != "" {
		value, known := l.cfg.Secrets[c.secret]
		if _, stands := l.hidden[c.secret]; !stands {
			l.wrong(offset, `as in "secrets": {"NAME": {"file": "token"}}`, "checkout.token: there is no secret %s", show(c.secret))
		}
		if known {
			c.Token = value
		}
	}
	address := l.cfg.CloneURL("owner/repo")
	u, err := url.Parse(address)
	web := err == nil && (u.Scheme == "https" || u.Scheme == "http")
	switch {
	case c.Token.IsZero():
	case !web:
		l.wrong(offset, "", "checkout.token: it can only be sent to an http or https URL")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		l.warn(offset, "take https, if the server has it", "checkout.token: it goes over the network unencrypted")
	}
	if c.URL != "" && !strings.Contains(c.URL, repoPlace) && l.severalRepos() {
		l.warn(offset, "write "+repoPlace+" where owner/repo stands", "checkout.url: every repository that matches is taken from this one URL")
	}
}

// severalRepos reports whether the listener may be about more than one repository.
func (l *listener) severalRepos() bool {
	repos := l.cfg.Rules.Repos
	return len(repos) != 1 || strings.ContainsAny(repos[0], "*?[")
}
