// Lightspeed is a self-hosted CI/CD runner: a push comes in, the scripts that you chose run on machines that
// you own, and you are told what happened.
package main

import (
	"os"

	"lightspeed/cli"
	"lightspeed/secret"
)

func main() {
	secret.Conceal()
	os.Exit(cli.Main(os.Args, cli.OS()))
}
