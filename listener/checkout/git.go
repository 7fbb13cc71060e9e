package checkout

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lightspeed/listener/process"
	"lightspeed/secret"
)

// inherited are the variables that git gets from the listener's environment: where programs and the machine's own
// credentials are, and how to reach the network.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS",
	"SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS",
	"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
	"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// firm are settings that hold whatever the machine's and a repository's own say.
var firm = [][2]string{
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"protocol.allow", "never"},
	{"protocol.https.allow", "always"},
	{"protocol.http.allow", "always"},
	{"protocol.ssh.allow", "always"},
	{"protocol.git.allow", "always"},
	{"safe.directory", "*"},
	// Objects always come as packs: those are there whole or not at all, and can be linked.
	{"fetch.unpackLimit", "1"},
	{"transfer.unpackLimit", "1"},
	{"fetch.recurseSubmodules", "false"},
	{"submodule.recurse", "false"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"checkout.workers", "0"}, // as many as there are processors
	{"advice.detachedHead", "false"},
	// A remote that says nothing for two minutes is given up. sshCommand says so of ssh.
	{"http.lowSpeedLimit", "1"},
	{"http.lowSpeedTime", "120"},
}

// tokenVariable carries a token to the credential helper below: no argument and no file ever holds it.
const tokenVariable = "LIGHTSPEED_GIT_TOKEN"

// tokenHelper is a credential helper (https://git-scm.com/docs/gitcredentials). The user's name does not count where
// a token is the password.
const tokenHelper = `!f() { test "$1" = get && printf 'username=x-access-token\npassword=%s\n' "$` + tokenVariable + `"; }; f`

// git runs git for one request.
type git struct {
	url      string
	token    secret.Value
	extra    []string // variables
	say      func(string)
	machine  string // file of the machine's own settings that are let through; empty: none
	fileToo  string // value of protocol.file.allow
	noTokens bool
	oneByOne bool // writes files one after the other
}

func newGit(r Request) git {
	g := git{url: r.URL, token: r.Token, extra: r.Env, say: r.Say, fileToo: "user"}
	if g.say == nil {
		g.say = func(string) {}
	}
	if local(r.URL) {
		g.fileToo = "always" // whoever takes from local repositories means their submodules, too
	}
	return g
}

// local reports whether a URL is a path of this machine.
func local(address string) bool {
	return strings.HasPrefix(address, "/") || strings.HasPrefix(address, "file://")
}

// environment is git's whole environment.
func (g git) environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(inherited, name) {
			env = append(env, entry)
		}
	}
	machine := g.machine
	if machine == "" {
		machine = os.DevNull
	}
	env = append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+machine)
	env = append(env, g.extra...)
	settings := append(slices.Clone(firm), [2]string{"protocol.file.allow", g.fileToo})
	if g.oneByOne {
		settings = append(settings, [2]string{"checkout.workers", "1"})
	}
	if origin := webOrigin(g.url); origin != "" && !g.token.IsZero() && !g.noTokens {
		env = append(env, tokenVariable+"="+g.token.Reveal())
		key := "credential." + origin + ".helper"
		settings = append(settings, [2]string{key, ""}, [2]string{key, tokenHelper}) // the empty one takes back all before
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, s := range settings {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s[0], "GIT_CONFIG_VALUE_"+n+"="+s[1])
	}
	return env
}

// webOrigin is scheme and host of a URL that a token can be sent to; empty when there is none.
func webOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// run runs git in a folder, and says what it says.
func (g git) run(ctx context.Context, dir string, args ...string) error {
	said := &reporter{say: g.say, clean: g.clean}
	err := process.Tool{
		Argv: append([]string{"git"}, args...), Dir: dir, Env: g.environment(), Output: said, Errors: said,
	}.Run(ctx)
	said.flush()
	return g.explain(ctx, dir, args[0], err, said.worst)
}

// ask runs git in a folder, and returns what it prints, at most maxAnswer bytes. What it says else is part of the
// error only.
func (g git) ask(ctx context.Context, dir, input string, args ...string) (string, error) {
	answer, said := &limited{left: maxAnswer}, &reporter{say: func(string) {}, clean: g.clean}
	err := process.Tool{
		Argv: append([]string{"git"}, args...), Dir: dir, Env: g.environment(), Input: strings.NewReader(input), Output: answer, Errors: said,
	}.Run(ctx)
	said.flush()
	if err == nil && answer.cut {
		err = failed("git %s says more than %d bytes", args[0], maxAnswer)
	}
	return answer.text.String(), g.explain(ctx, dir, args[0], err, said.worst)
}

// maxAnswer bounds what git may answer with: a list of a million refs, about.
const maxAnswer = 128 << 20

// limited keeps what is written, up to a limit.
type limited struct {
	text bytes.Buffer
	left int
	cut  bool
}

func (l *limited) Write(b []byte) (int, error) {
	keep := min(len(b), l.left)
	l.left -= keep
	l.cut = l.cut || keep < len(b)
	l.text.Write(b[:keep])
	return len(b), nil
}

// toolError is that git did not do what it was asked.
type toolError struct {
	reason string
	full   bool // the disk is
}

func (e *toolError) Error() string { return e.reason }

// explain turns the end of git in a folder into an error in plain words.
func (g git) explain(ctx context.Context, dir, command string, err error, worst string) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.As(err, &exit):
		return err
	}
	reason := "git " + command + " failed"
	if worst != "" {
		reason += ": " + worst
	}
	full := diskFull(worst)
	if !full && noRoom(dir) {
		full, reason = true, reason+": no space left on device"
	}
	return &toolError{reason, full}
}

// diskFull reports whether git says so. It has no other way to, and does not always: the text is the C locale's.
func diskFull(line string) bool {
	return strings.Contains(line, "No space left on device") || strings.Contains(line, "Disk quota exceeded")
}

// noRoom reports whether hardly anything can be written where a folder is.
func noRoom(dir string) bool {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return false
	}
	free := disk.Bavail
	if os.Geteuid() == 0 {
		free = disk.Bfree
	}
	return free < fewBlocks || disk.Files > 0 && disk.Ffree == 0
}

// fewBlocks are as good as none.
const fewBlocks = 4

// userInfo is what may stand before the host of a URL.
var userInfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s'"]*@`)

// clean takes credentials out of a line, and what a terminal would act upon.
func (g git) clean(line string) string {
	if token := g.token.Reveal(); token != "" {
		line = strings.ReplaceAll(line, token, "[secret]")
	}
	line = userInfo.ReplaceAllString(line, "$1")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, line)
}
