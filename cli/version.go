package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
)

func (p *program) version() *urfave.Command {
	return &urfave.Command{
		Name: "version", Category: groupWatch,
		Usage:     "say which version this is",
		UsageText: "lightspeed version",
		Description: `The version of admin's API, the commit that it was built from, the Go version and the platform.

Examples:
  lightspeed version`,
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.Stdout, "lightspeed %s%s %s %s/%s\n", api.Version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// commit is " (abc1234)" as the Go tool noted it when it built the program, or "".
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = shortSHA(s.Value)
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", changed"
		}
	}
	if revision == "" {
		return ""
	}
	return " (" + revision + changed + ")"
}
