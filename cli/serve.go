package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

// output is where a server says what it is doing.
func (p *program) output(c *urfave.Context, level setting) (app.Output, error) {
	log, err := app.NewLogger(p.Stderr, app.LogOptions{Format: p.value(c, logFormat), Level: p.value(c, level)})
	return app.Output{Ready: p.Stdout, Notes: p.Stderr, Log: log}, err
}

// serve runs a server until it ends. The first SIGINT or SIGTERM lets it finish what is under way, the second
// cuts that short, and the third leaves at once, with the signal's exit code.
func (p *program) serve(work func(app.Stop) error) error {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	soon, finish := context.WithCancel(context.Background())
	defer finish()
	now, cut := context.WithCancel(context.Background())
	defer cut()

	done := make(chan error, 1)
	go func() { done <- work(app.Stop{Soon: soon, Now: now}) }()
	for count := 1; ; count++ {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			switch count {
			case 1:
				finish()
			case 2:
				cut()
			default:
				p.note("leaves at once; the next start reports what was cut off")
				return exit(128 + int(s.(syscall.Signal)))
			}
		}
	}
}
