package config

import (
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/tailscale/hujson"
)

func (l *listener) artifacts(key string, v hujson.Value) {
	for i, element := range l.list(key, v, "a list of patterns") {
		text, ok := l.text(key, element, "a pattern")
		if !ok {
			continue
		}
		pattern := strings.TrimPrefix(text, "!")
		switch {
		case i == 0 && pattern != text:
			l.wrong(element.StartOffset, "begin with what is kept", "%s: %s takes nothing back", key, show(text))
		case !doublestar.ValidatePattern(pattern):
			l.wrong(element.StartOffset, "", "%s: %s is not a pattern", key, show(text))
		case strings.HasPrefix(pattern, "/") || path.Clean(pattern) != pattern || strings.HasPrefix(pattern, ".."):
			l.wrong(element.StartOffset, `as in "dist/**" or "report.xml"`, "%s: %s must be relative to where the commands run, and stay below it", key, show(text))
		default:
			l.cfg.Artifacts = append(l.cfg.Artifacts, text)
		}
	}
}
