package checkout

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"lightspeed/listener/process"
)

// throughKeys are the machine's settings that git gets here: how remotes are reached, and who one is there. All
// else could run something, or make a tree another than the commit says.
var throughKeys = regexp.MustCompile(`(?s)^(credential|http|https|url|ssh)\..|^core\.(sshcommand|askpass|gitproxy)$|^safe\.directory$`)

// letThrough writes the machine's settings that are let through into a file, for git and what git starts.
func (m *mirror) letThrough(ctx context.Context) error {
	settings, err := machineSettings(ctx)
	if err != nil {
		return err
	}
	m.machine = m.conf
	if known, err := os.ReadFile(m.conf); err == nil && bytes.Equal(known, settings) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(m.conf), "gitconfig.*.tmp") // has mode 0600: a header may be a credential
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(settings); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), m.conf)
}

// sshCommand is how remotes are reached by ssh where the machine does not say how: nobody is asked anything, and a
// remote that says nothing is given up after a minute as it is reached, and after two later on.
const sshCommand = "ssh -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=30 -o ServerAliveCountMax=4"

// machineSettings asks git for the settings of the user and of the machine, and for those in our own environment.
func machineSettings(ctx context.Context) ([]byte, error) {
	env := []string{"GIT_DIR=" + os.DevNull}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name == "PATH" || name == "HOME" || name == "XDG_CONFIG_HOME" || strings.HasPrefix(name, "GIT_CONFIG") {
			env = append(env, entry)
		}
	}
	list := &limited{left: maxAnswer}
	err := process.Tool{Argv: []string{"git", "config", "--list", "-z", "--includes"}, Dir: "/", Env: env, Output: list}.Run(ctx)
	if err != nil {
		return nil, failed("git cannot read this machine's settings")
	}
	file := []byte(setting("core.sshCommand", sshCommand)) // the machine's own, behind it, takes its place
	for entry := range strings.SplitSeq(list.text.String(), "\x00") {
		key, value, given := strings.Cut(entry, "\n")
		if !given {
			value = "true" // a key that stands alone
		}
		if throughKeys.MatchString(key) {
			file = append(file, setting(key, value)...)
		}
	}
	return file, nil
}

var (
	quoteName  = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoteValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`)
)

// setting is one of git's settings as its files have it (https://git-scm.com/docs/git-config#_syntax). What stands
// between the first dot of the key and the last is anyone's text.
func setting(key, value string) string {
	section, rest, _ := strings.Cut(key, ".")
	name := rest
	if last := strings.LastIndexByte(rest, '.'); last >= 0 {
		section += ` "` + quoteName.Replace(rest[:last]) + `"`
		name = rest[last+1:]
	}
	return "[" + section + "]\n\t" + name + ` = "` + quoteValue.Replace(value) + "\"\n"
}
