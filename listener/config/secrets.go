package config

import (
	"strings"

	"github.com/tailscale/hujson"

	"lightspeed/secret"
)

const wantSecret = `{"file": …} or {"env": …}`

// secrets reads variables whose values are masked. They never stand in the config itself.
func (l *listener) secrets(key string, v hujson.Value) {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		l.wrongType(key, v, `an object like {"NAME": {"file": "token"}}`, "")
		return
	}
	l.cfg.Secrets = map[string]secret.Value{}
	for _, m := range l.members(key, object, nil) {
		if !l.checkEnvName(key, m.name, m.offset) {
			continue
		}
		l.hidden[m.name] = m.offset
		if value, ok := l.hiddenValue(key+"."+m.name, m.value); ok {
			l.cfg.Secrets[m.name] = value
		}
	}
}

// hiddenValue reads one of the secrets. What could not be given to a command, or not be masked, is a mistake.
func (l *listener) hiddenValue(key string, v hujson.Value) (secret.Value, bool) {
	if v.Value.Kind() != '{' {
		l.wrongType(key, v, wantSecret, "keep the value itself out of this file")
		return secret.Value{}, false
	}
	value, ok := l.source(key, v)
	if !ok {
		return value, false
	}
	switch text := value.Reveal(); {
	case len(text) < secret.ShortestMasked:
		l.wrong(v.StartOffset, "take a longer one, or put it into env", "%s: a value of %d bytes cannot be masked, it would be found everywhere: the least is %d",
			key, len(text), secret.ShortestMasked)
	case strings.ContainsRune(text, 0):
		l.wrong(v.StartOffset, "", "%s: the value holds a NUL byte, which no variable can", key)
	case len(key)+len(text) > MaxArgument:
		l.wrong(v.StartOffset, "let the command read the file itself", "%s: a value of %d bytes is too long for a variable", key, len(text))
	default:
		return value, true
	}
	return secret.Value{}, false
}
