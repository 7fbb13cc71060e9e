package app

import (
	"io"
	"log/slog"
	"strings"
)

// LogOptions say how a process logs.
type LogOptions struct {
	Format string // "text" (default) or "json"
	Level  string // "debug", "info" (default), "warn" or "error"
}

// NewLogger makes the process's logger, which writes to w.
func NewLogger(w io.Writer, o LogOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(orElse(o.Level, "info"))); err != nil || strings.ContainsAny(o.Level, "+-") {
		return nil, Usagef("", "--log-level is %q, and must be debug, info, warn or error", o.Level)
	}
	settings := &slog.HandlerOptions{Level: level}
	switch orElse(o.Format, "text") {
	case "text":
		return slog.New(slog.NewTextHandler(w, settings)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, settings)), nil
	}
	return nil, Usagef("", "--log-format is %q, and must be text or json", o.Format)
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
