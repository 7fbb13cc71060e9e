package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tailscale/hujson"

	"lightspeed/match"
)

// key is one line of the table that docs/config.md explains.
type key struct {
	name string
	read func(l *listener, key string, v hujson.Value)
}

// keys are all keys of a listener.
var keys = []key{
	{"name", (*listener).name},
	{"repos", rule(func(r *match.Rules) *[]string { return &r.Repos })},
	{"events", rule(func(r *match.Rules) *[]string { return &r.Events })},
	{"branches", rule(func(r *match.Rules) *[]string { return &r.Branches })},
	{"tags", rule(func(r *match.Rules) *[]string { return &r.Tags })},
	{"files", rule(func(r *match.Rules) *[]string { return &r.Files })},
	{"branch_filter", rule(func(r *match.Rules) *[]string { return &r.BranchFilter })},
	{"files_filter", rule(func(r *match.Rules) *[]string { return &r.FilesFilter })},
	{"message", (*listener).message},
	{"forks", choice(func(c *Config) *string { return &c.Rules.Forks }, "never", "always")},
	{"deletes", yesOrNo(func(c *Config) *bool { return &c.Rules.Deletes })},
	{"exec", (*listener).exec},
	{"cwd", (*listener).cwd},
	{"share_cwd", yesOrNo(func(c *Config) *bool { return &c.ShareCwd })},
	{"checkout", (*listener).checkout},
	{"env", (*listener).env},
	{"pass_env", (*listener).passEnv},
	{"secrets", (*listener).secrets},
	{"fork_secrets", yesOrNo(func(c *Config) *bool { return &c.ForkSecrets })},
	{"timeout", duration(func(c *Config) *time.Duration { return &c.Timeout }, MaxTimeout)},
	{"grace", duration(func(c *Config) *time.Duration { return &c.Grace }, MaxGrace)},
	{"leave_background", yesOrNo(func(c *Config) *bool { return &c.LeaveBackground })},
	{"concurrency", (*listener).concurrency},
	{"when_busy", choice(func(c *Config) *string { return &c.WhenBusy }, Queue, Supersede, Latest)},
	{"lock", (*listener).lock},
	{"lock_file", (*listener).lockFile},
	{"on_lost", choice(func(c *Config) *string { return &c.OnLost }, Fail, Requeue)},
	{"max_wait", duration(func(c *Config) *time.Duration { return &c.MaxWait }, MaxMaxWait)},
	{"max_log", (*listener).maxLog},
	{"poll", (*listener).poll},
	{"artifacts", (*listener).artifacts},
	{"discord_hook", (*listener).discordHook},
	{"discord_notify", (*listener).discordNotify},
	{"notify_on", choice(func(c *Config) *string { return &c.NotifyOn }, Always, Change, Failure)},
	{"github_status_token", (*listener).githubStatusToken},
	{"github_url", (*listener).githubURL},
}

// Limits of values.
const (
	MaxTimeout     = 720 * time.Hour
	MaxGrace       = 24 * time.Hour
	MaxMaxWait     = 8760 * time.Hour
	MaxConcurrency = 1000
	MinLog         = 1 << 10 // bytes
	MaxLog         = 1 << 40 // bytes
)

// listener is a Config while it is read.
type listener struct {
	*decoder
	cfg    Config
	given  map[string]int // offset of each key's value
	passed map[string]int // offset of each name in pass_env
	hidden map[string]int // offset of each name in secrets
}

// readListener reads one listener's object. What is wrong is noted.
func (d *decoder) readListener(v hujson.Value) *listener {
	l := &listener{decoder: d, cfg: d.loader.defaults(d.file), given: map[string]int{}, passed: map[string]int{}, hidden: map[string]int{}}
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		d.wrong(v.StartOffset, `a listener is {"name": …, "exec": …}`, "want a listener, got %s", kinds[v.Value.Kind()])
		return l
	}
	for _, m := range d.members("", object, keyNames()) {
		l.given[m.name] = m.value.StartOffset
		reader(m.name)(l, m.name, m.value)
	}
	l.require(v.StartOffset, "name", `as in "name": "my-repo"`)
	l.require(v.StartOffset, "exec", `as in "exec": ["make test"]`)
	l.checkSources()
	l.considerCheckout()
	l.considerPoll()
	l.consider()
	return l
}

func keyNames() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

func reader(name string) func(*listener, string, hujson.Value) {
	for _, k := range keys {
		if k.name == name {
			return k.read
		}
	}
	return nil
}

func (l *listener) require(offset int, key, hint string) {
	if _, ok := l.given[key]; !ok {
		l.wrong(offset, hint, "%s: required, and not there", key)
	}
}

// member is one key and value of an object.
type member struct {
	name   string
	offset int // of the name
	value  hujson.Value
}

// members reads an object's members and notes keys that are unknown or stand twice. With no known keys any
// may stand there, and their letter case counts.
func (d *decoder) members(where string, object *hujson.Object, known []string) []member {
	if where != "" {
		where += ": "
	}
	var members []member
	first := map[string]member{}
	for _, each := range object.Members {
		m := member{each.Name.Value.(hujson.Literal).String(), each.Name.StartOffset, each.Value}
		fold := m.name
		if known != nil {
			fold = strings.ToLower(fold)
		}
		if before, twice := first[fold]; twice {
			at := d.at(before.offset)
			d.wrong(m.offset, "", "%sduplicate key %s: %s stands in line %d, column %d", where, show(m.name), show(before.name), at.Line, at.Column)
			continue
		}
		first[fold] = m
		if known != nil && !slices.Contains(known, m.name) {
			d.wrong(m.offset, didYouMean(m.name, known), "%sunknown key %s", where, show(m.name))
			continue
		}
		members = append(members, m)
	}
	return members
}

// rule reads a list of patterns into the field that it is given.
func rule(field func(*match.Rules) *[]string) func(*listener, string, hujson.Value) {
	return func(l *listener, key string, v hujson.Value) {
		var texts []string
		var offsets []int
		for _, element := range l.list(key, v, "a list of strings") {
			if text, ok := l.text(key, element, "a pattern"); ok {
				texts = append(texts, text)
				offsets = append(offsets, element.StartOffset)
			}
		}
		alone := match.Rules{Name: anyName}
		*field(&alone) = texts
		if l.compiles(alone, offsets...) {
			*field(&l.cfg.Rules) = texts
		}
	}
}

// anyName lets one rule be compiled alone.
const anyName = "any"

// compiles notes what keeps rules with one key from being used, at the offset of the pattern that is to blame.
func (l *listener) compiles(alone match.Rules, offsets ...int) bool {
	_, err := match.Compile(alone)
	var wrong *match.RuleError
	switch {
	case err == nil:
		return true
	case errors.As(err, &wrong):
		l.wrong(offsets[max(0, wrong.Index)], wrong.Hint, "%s", wrong)
	default:
		l.wrong(offsets[0], "", "%s", err)
	}
	return false
}

func choice(field func(*Config) *string, choices ...string) func(*listener, string, hujson.Value) {
	return func(l *listener, key string, v hujson.Value) {
		if text, ok := l.decoder.choice(key, v, choices...); ok {
			*field(&l.cfg) = text
		}
	}
}

func yesOrNo(field func(*Config) *bool) func(*listener, string, hujson.Value) {
	return func(l *listener, key string, v hujson.Value) {
		if value, ok := l.decoder.flag(key, v); ok {
			*field(&l.cfg) = value
		}
	}
}

func duration(field func(*Config) *time.Duration, most time.Duration) func(*listener, string, hujson.Value) {
	return func(l *listener, key string, v hujson.Value) {
		if value, ok := l.decoder.duration(key, v, most); ok {
			*field(&l.cfg) = value
		}
	}
}

func (l *listener) name(key string, v hujson.Value) {
	text, ok := l.text(key, v, "a name")
	if ok && l.compiles(match.Rules{Name: text}, v.StartOffset) {
		l.cfg.Rules.Name = text
	}
}

func (l *listener) message(key string, v hujson.Value) {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		l.wrongType(key, v, `an object like {"match": "deploy"}`, "")
		return
	}
	if len(object.Members) == 0 {
		l.wrong(v.StartOffset, `it takes "match", "skip" or both`, "%s: empty object", key)
	}
	message := &match.Message{}
	for _, m := range l.members(key, object, []string{"match", "skip"}) {
		text, ok := l.text(key+"."+m.name, m.value, "a regular expression")
		alone := &match.Message{Match: text}
		if m.name == "skip" {
			alone = &match.Message{Skip: text}
		}
		if ok && l.compiles(match.Rules{Name: anyName, Message: alone}, m.value.StartOffset) {
			message.Match += alone.Match
			message.Skip += alone.Skip
		}
	}
	l.cfg.Rules.Message = message
}

func (l *listener) concurrency(key string, v hujson.Value) {
	if n, ok := l.number(key, v, 1, MaxConcurrency); ok {
		l.cfg.Concurrency = int(n)
	}
}

func (l *listener) maxLog(key string, v hujson.Value) {
	if n, ok := l.size(key, v, MinLog, MaxLog); ok {
		l.cfg.MaxLog = n
	}
}

func (l *listener) cwd(key string, v hujson.Value) {
	if text, ok := l.path(key, v, "a folder"); ok {
		l.cfg.Cwd = l.beside(text)
	}
}

// lockName is what a lock may be called: it becomes a part of a file's name.
var lockName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (l *listener) lock(key string, v hujson.Value) {
	text, ok := l.text(key, v, "a name")
	switch {
	case ok && !lockName.MatchString(text):
		l.wrong(v.StartOffset, `letters, digits, ".", "_" and "-", at most 64, the first one a letter or digit; a file of yours goes into lock_file`,
			"%s: %s cannot be a lock's name", key, show(text))
	case ok:
		l.cfg.Lock = text
	}
}

func (l *listener) lockFile(key string, v hujson.Value) {
	if text, ok := l.path(key, v, "a file"); ok {
		l.cfg.LockFile = l.beside(text)
	}
}

// path reads a path, as it stands.
func (l *listener) path(key string, v hujson.Value, want string) (string, bool) {
	text, ok := l.text(key, v, want)
	if ok && strings.HasPrefix(text, "~") {
		l.wrong(v.StartOffset, "write it out, or as a relative one", `%s: "~" stands for nothing here`, key)
		return "", false
	}
	return text, ok
}

// beside is path, taken from the config file's folder.
func (l *listener) beside(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(folder(l.file), path)
}

// consider warns of what loads, and is most likely not what was meant.
func (l *listener) consider() {
	if at, given := l.given["repos"]; len(l.cfg.Rules.Repos) == 0 && l.cfg.Rules.Name != "" && !(given && l.mistaken(at)) {
		repo := "OWNER/REPO"
		if strings.Contains(l.cfg.Rules.Name, "/") {
			repo = l.cfg.Rules.Name
		}
		l.warn(l.given["name"], fmt.Sprintf("say which ones: \"repos\": [%q]", repo), "no repos: the name decides which repositories are meant")
	}
	if l.cfg.Concurrency > l.cfg.AtOnceHere() {
		l.warn(l.given["concurrency"], `"checkout": true gives each a folder of its own; or "share_cwd": true, if they do not get in each other's way`,
			"concurrency: runs on one machine share cwd, so that each machine runs one at a time")
	}
	if l.cfg.ForkSecrets && l.cfg.Rules.Forks != "always" {
		l.warn(l.given["fork_secrets"], "", `fork_secrets: has no effect without "forks": "always"`)
	}
	l.considerTelling()
}
