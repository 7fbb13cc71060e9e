package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tailscale/hujson"

	"lightspeed/run"
)

// MaxArgument is the longest argument, command text or NAME=value that a process can be given, in bytes:
// Linux's MAX_ARG_STRLEN without its closing NUL (https://man7.org/linux/man-pages/man2/execve.2.html).
const MaxArgument = 128<<10 - 1

const wantExec = "a command, or a list of commands"

func (l *listener) exec(key string, v hujson.Value) {
	switch v.Value.Kind() {
	case '"', '{':
		l.step(key, v)
	case '[':
		for _, element := range l.list(key, v, wantExec) {
			l.step(key, element)
		}
	default:
		l.wrongType(key, v, wantExec, "")
	}
	if len(l.cfg.Exec) > run.MaxSteps {
		l.wrong(v.StartOffset, "put some into a script and run that", "%s: %d commands, the most is %d", key, len(l.cfg.Exec), run.MaxSteps)
	}
}

// step reads one command: text for the shell, a list that is a program and its arguments, or an object that has
// one of these in it.
func (l *listener) step(key string, v hujson.Value) {
	step := Step{Name: "step " + strconv.Itoa(len(l.cfg.Exec)+1)}
	if object, ok := v.Value.(*hujson.Object); ok {
		l.stepObject(key, v, object, &step)
	} else {
		l.command(key, v, &step, "a command")
	}
	l.cfg.Exec = append(l.cfg.Exec, step)
}

// command reads what a step runs.
func (l *listener) command(key string, v hujson.Value, step *Step, want string) {
	switch v.Value.Kind() {
	case '"':
		step.Run, _ = l.argument(key, v, false)
	case '[':
		for i, element := range l.list(key, v, "a command") {
			if text, ok := l.argument(key, element, i > 0); ok {
				step.Argv = append(step.Argv, text)
			}
		}
	default:
		l.wrongType(key, v, want, "")
	}
}

// stepKeys are the keys of a step that is an object.
var stepKeys = []string{"run", "name", "cwd", "env", "timeout", "if"}

func (l *listener) stepObject(key string, v hujson.Value, object *hujson.Object, step *Step) {
	has := false
	for _, m := range l.members(key, object, stepKeys) {
		inner := key + "." + m.name
		switch m.name {
		case "run":
			has = true
			l.command(inner, m.value, step, "a command as text or as a list of arguments")
		case "name":
			l.stepName(inner, m.value, step)
		case "cwd":
			step.Cwd, _ = l.path(inner, m.value, "a folder")
		case "env":
			step.Env = l.variables(inner, m.value)
		case "timeout":
			step.Timeout, _ = l.duration(inner, m.value, MaxTimeout)
		case "if":
			step.If, _ = l.choice(inner, m.value, Always, IfFailure)
		}
	}
	if !has {
		l.wrong(v.StartOffset, `as in {"run": "make test"}`, "%s: a step without run", key)
	}
}

// stepName reads a name that people see in lists, on one line.
func (l *listener) stepName(key string, v hujson.Value, step *Step) {
	text, ok := l.text(key, v, "a name")
	switch {
	case !ok:
	case len(text) > run.MaxStepName:
		l.wrong(v.StartOffset, "", "%s: a name of %d bytes, the most is %d", key, len(text), run.MaxStepName)
	case strings.ContainsFunc(text, unicode.IsControl):
		l.wrong(v.StartOffset, "", "%s: a name holds a line break or another control character", key)
	default:
		step.Name = strings.TrimSpace(text)
	}
}

// argument reads a command's text or one of its arguments. Only the latter may be empty.
func (l *listener) argument(key string, v hujson.Value, mayBeEmpty bool) (string, bool) {
	if v.Value.Kind() != '"' {
		l.wrongType(key, v, "a string", inQuotes(v))
		return "", false
	}
	text, ok := l.anyText(key, v)
	switch {
	case ok && !mayBeEmpty && strings.TrimSpace(text) == "":
		l.wrong(v.StartOffset, "", "%s: empty command", key)
		return "", false
	case len(text) > MaxArgument:
		l.wrong(v.StartOffset, "put it into a script and run that", "%s: a command or argument of %d bytes, the most is %d", key, len(text), MaxArgument)
		return "", false
	}
	return text, ok
}

// inQuotes is a hint for a number, true or false that should be a string.
func inQuotes(v hujson.Value) string {
	switch v.Value.Kind() {
	case '0', 't', 'f':
		return fmt.Sprintf("write it in quotes: %q", shorten(string(v.Value.(hujson.Literal))))
	}
	return ""
}

// envName is what a variable may be called.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ownEnv begins the names of the variables that Lightspeed itself sets, or takes settings and tokens from.
const ownEnv = "LIGHTSPEED_"

func (l *listener) env(key string, v hujson.Value) { l.cfg.Env = l.variables(key, v) }

// variables reads names and their values.
func (l *listener) variables(key string, v hujson.Value) map[string]string {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		l.wrongType(key, v, `an object like {"NAME": "value"}`, "")
		return nil
	}
	values := map[string]string{}
	for _, m := range l.members(key, object, nil) {
		if !l.checkEnvName(key, m.name, m.offset) {
			continue
		}
		if text, ok := l.variable(key+"."+m.name, m.name, m.value); ok {
			values[m.name] = text
		}
	}
	return values
}

func (l *listener) variable(key, name string, v hujson.Value) (string, bool) {
	if v.Value.Kind() != '"' {
		l.wrongType(key, v, "a string", inQuotes(v))
		return "", false
	}
	text, ok := l.anyText(key, v)
	if size := len(name) + len("=") + len(text); size > MaxArgument {
		l.wrong(v.StartOffset, "put it into a file", "%s: a variable of %d bytes, the most is %d", key, size, MaxArgument)
		return "", false
	}
	return text, ok
}

func (l *listener) passEnv(key string, v hujson.Value) {
	for _, element := range l.mayBeEmpty(key, v, "a list of variable names") {
		name, ok := l.text(key, element, "a variable name")
		if ok && l.checkEnvName(key, name, element.StartOffset) {
			l.cfg.PassEnv = append(l.cfg.PassEnv, name)
			l.passed[name] = element.StartOffset
		}
	}
}

func (l *listener) checkEnvName(key, name string, offset int) bool {
	switch {
	case !envName.MatchString(name):
		l.wrong(offset, `letters, digits and "_", and no digit first`, "%s: %s is not a variable name", key, show(name))
	case strings.HasPrefix(name, ownEnv):
		l.wrong(offset, "take another name", "%s: %s is reserved: names with %s belong to lightspeed", key, shorten(name), ownEnv)
	default:
		return true
	}
	return false
}

// checkSources refuses a variable that has two sources.
func (l *listener) checkSources() {
	for _, name := range l.cfg.PassEnv {
		if _, both := l.cfg.Env[name]; both {
			l.wrong(l.passed[name], "keep one of the two", "pass_env: %s is set in env already", shorten(name))
		}
	}
	for name, offset := range l.hidden {
		if _, both := l.cfg.Env[name]; both {
			l.wrong(offset, "keep one of the two", "secrets: %s is set in env already", shorten(name))
		}
		if _, both := l.passed[name]; both {
			l.wrong(offset, "keep one of the two", "secrets: %s is in pass_env already", shorten(name))
		}
	}
}
