package listener

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
)

// inherited are the variables of the listener's environment that every command gets, beside LC_*. The rest
// stays: it holds tokens.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"}

// facts are what a script is told, beside its config's own variables.
type facts struct {
	run      string
	attempt  int
	listener string
	delivery api.DeliveryHead
	event    event.Event
	payload  string // file that holds the delivery
	files    string // file that lists what changed; empty when that is not known
}

// marks are the variables by which a run's processes are found, wherever they went.
func (f facts) marks() []string {
	return []string{"LIGHTSPEED_RUN_ID=" + f.run, "LIGHTSPEED_ATTEMPT=" + strconv.Itoa(f.attempt)}
}

// variables are what the facts look like in the environment. All of them are always there: a script under
// `set -u` may ask for any.
func (f facts) variables() []variable {
	e := f.event
	pr := ""
	if e.PR != 0 {
		pr = strconv.Itoa(e.PR)
	}
	return []variable{
		{"branch", e.Branch}, // as the first Lightspeed passed it
		{"LIGHTSPEED_RUN_ID", f.run},
		{"LIGHTSPEED_ATTEMPT", strconv.Itoa(f.attempt)},
		{"LIGHTSPEED_LISTENER", f.listener},
		{"LIGHTSPEED_EVENT", f.delivery.Event},
		{"LIGHTSPEED_ACTION", e.Action},
		{"LIGHTSPEED_DELIVERY", f.delivery.ID},
		{"LIGHTSPEED_REPO", e.Repo},
		{"LIGHTSPEED_REF", e.Ref},
		{"LIGHTSPEED_BRANCH", e.Branch},
		{"LIGHTSPEED_BASE", e.Base},
		{"LIGHTSPEED_TAG", e.Tag},
		{"LIGHTSPEED_SHA", e.SHA},
		{"LIGHTSPEED_BEFORE", e.Before},
		{"LIGHTSPEED_PR", pr},
		{"LIGHTSPEED_PUSHER", e.Pusher},
		{"LIGHTSPEED_URL", e.URL},
		{"LIGHTSPEED_FILES_FILE", f.files},
		{"LIGHTSPEED_PAYLOAD_FILE", f.payload},
	}
}

type variable struct{ name, value string }

// environment builds a command's whole environment, anew, and says which variables had to be left out: the
// system passes none that holds a NUL byte or is too long, and a part of one could be taken for all of it.
func environment(c config.Config, f facts) (env, leftOut []string) {
	stranger := f.event.Fork && !c.ForkSecrets
	vars := passed(c, stranger)
	vars = append(vars, variable{"CI", "true"})
	if !stranger {
		for name, value := range c.Secrets {
			vars = append(vars, variable{name, value.Reveal()})
		}
	}
	for name, value := range c.Env {
		vars = append(vars, variable{name, value})
	}
	own := f.variables()
	if _, set := c.Env["branch"]; set {
		own = own[1:]
	}
	vars = append(append(vars, own...), variable{"LIGHTSPEED_WORKSPACE", c.Cwd})

	last := map[string]string{}
	for _, v := range vars {
		last[v.name] = v.value
	}
	for name, value := range last {
		entry := name + "=" + value
		switch {
		case strings.ContainsRune(entry, 0):
			leftOut = append(leftOut, name+" is left out: it holds a NUL byte")
		case len(entry) > config.MaxArgument:
			leftOut = append(leftOut, fmt.Sprintf("%s is left out: it is longer than %d bytes", name, config.MaxArgument))
		default:
			env = append(env, entry)
		}
	}
	slices.Sort(env)
	slices.Sort(leftOut)
	return env, leftOut
}

// passed are the variables taken over from the listener's environment. What pass_env names is not for code of
// strangers.
func passed(c config.Config, stranger bool) []variable {
	names := slices.Clone(inherited)
	if !stranger {
		names = append(names, c.PassEnv...)
	}
	var vars []variable
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "LC_") || slices.Contains(names, name) {
			vars = append(vars, variable{name, value})
		}
	}
	return vars
}

// filesList is the content of LIGHTSPEED_FILES_FILE: the changed files, one a line; nil when they are not known.
// A name that holds a line break, or that begins with a quote, stands in quotes with escapes, as git writes it,
// so that one line is always one file.
func filesList(e event.Event) []byte {
	if !e.FilesKnown {
		return nil
	}
	list := []byte{}
	for _, name := range e.Files {
		if strings.ContainsAny(name, "\n\r") || strings.HasPrefix(name, `"`) {
			name = quoted(name)
		}
		list = append(append(list, name...), '\n')
	}
	return list
}

func quoted(name string) string {
	var b bytes.Buffer
	b.WriteByte('"')
	for _, c := range []byte(name) {
		switch c {
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '"', '\\':
			b.Write([]byte{'\\', c})
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
