package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lightspeed/fleet"
)

// TestMain puts the binary, built as it is shipped, before everything else in PATH.
func TestMain(m *testing.M) { os.Exit(withProgram(m.Run)) }

func withProgram(tests func() int) (code int) {
	dir, err := os.MkdirTemp("", "lightspeed-script-")
	if err == nil {
		defer os.RemoveAll(dir)
		_, err = fleet.Build(context.Background(), ".", dir)
	}
	if err == nil {
		err = os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	var release func() error
	if err == nil {
		release, err = fleet.Enclose()
	}
	if err == nil {
		code = tests()
		err = release()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScript runs the whole binary as people do: testdata/script/*.txtar, each headed by what it guards.
//
// Beside testscript's own commands there are:
//
//	exits CODE ARGS...       runs `lightspeed ARGS...` and checks its exit code; its output can be compared
//	serve NAME ARGS...       starts `lightspeed ARGS...` in the background
//	ready NAME WHAT [VAR]    waits for its line "ready WHAT …"; VAR is set to what follows
//	says NAME REGEXP [VAR]   waits for a line of it, on stdout or stderr; VAR is set to the first group
//	end NAME SIGNAL CODE     sends SIGTERM, SIGINT or SIGKILL (or none, by -), and checks the exit code (killed: by SIGKILL)
//	silent NAME REGEXP       checks that an ended server wrote no such line
//	port VAR                 sets VAR to 127.0.0.1 with a port that is free
//	until 'REGEXP' ARGS...   runs `lightspeed ARGS...` until its output has a match
//	discord N REGEXP         waits until Discord has N messages with a match; the script's webhook there is $DISCORD_HOOK
//
// Whatever a script starts is killed when it ends.
func TestScript(t *testing.T) {
	deliveries, err := filepath.Abs(filepath.Join("testdata", "deliveries"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			all := &servers{all: map[string]*server{}}
			env.Values[serversKey{}] = all
			env.Defer(all.kill)
			env.Setenv("DELIVERIES", deliveries)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("USER", "tester")
			giveDiscord(t, env)
			return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "serve": cmdServe, "ready": cmdReady, "says": cmdSays, "end": cmdEnd, "silent": cmdSilent, "port": cmdPort, "until": cmdUntil, "discord": cmdDiscord,
		},
	})
}
