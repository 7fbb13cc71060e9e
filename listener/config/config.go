// Package config loads the files that say what a listener listens for and what it then runs. Loading is
// strict: whatever is not understood is a mistake with its file, line and column, never ignored.
package config

import (
	"fmt"
	"os"
	"time"

	"lightspeed/match"
	"lightspeed/secret"
)

// Config is one listener's config, checked and with its defaults filled in.
type Config struct {
	File string // the file as it was named to Load; empty for a built-in config

	Rules match.Rules // what it listens for; Rules.Name is the listener's name
	Exec  []Step      // what it runs, in order; at least one
	Cwd   string      // folder that the steps run in, absolute; CheckCwd says whether it is there

	// ShareCwd lets runs on one machine use Cwd at the same time; otherwise one machine runs one at a time.
	ShareCwd bool

	// Poll is how often the listener looks at its repositories itself; 0: never.
	Poll time.Duration

	Artifacts []string // patterns of files that are kept after the run, as doublestar has them; "!" takes back

	Checkout *Checkout // nil: the steps run in Cwd, else in a tree of the commit

	Env     map[string]string // variables set for the steps
	PassEnv []string          // names of variables that the steps get from the listener's environment

	Secrets     map[string]secret.Value // variables set for the steps, masked in all that they print
	ForkSecrets bool                    // pull requests from forks get Secrets and PassEnv, too
	SecretFiles []string                // paths of what {"file": …} names anywhere, relative where File is

	// LeaveBackground lets processes go on that the steps leave running when they are done.
	LeaveBackground bool

	Timeout     time.Duration // of one attempt; then SIGTERM …
	Grace       time.Duration // … and after this SIGKILL
	Concurrency int           // runs at once over all machines that share the name, from 1
	WhenBusy    string        // Queue, Supersede or Latest
	OnLost      string        // Fail or Requeue
	MaxWait     time.Duration // a run that no listener took for so long is cancelled
	MaxLog      int64         // bytes of output kept of one attempt

	Lock     string // name of a lock of this machine that each run holds; empty: none
	LockFile string // file that each run holds locked, absolute; empty: none

	// Who is told of runs.
	DiscordHook       secret.Value // webhook URL; none when it is absent or a placeholder
	DiscordNotify     []string     // who is called: "@here", "@everyone", "<@id>", "<@&id>"
	NotifyOn          string       // Always, Change or Failure
	GithubStatusToken secret.Value // sets commit statuses
	GithubURL         string       // another server than github.com: Enterprise Server, Gitea, Forgejo

	// Temporary says that admin forgets the listener when it leaves. Only a built-in config is.
	Temporary bool

	missing []Mistake // secrets named by {"file": …} or {"env": …} that were not there at load
}

// Step is one command. Exactly one of Run and Argv is set.
type Step struct {
	Name string   // shown to people and told to admin: as given, or "step 2"; never the command
	Run  string   // text for /bin/sh -c
	Argv []string // program and arguments, with no shell between

	Cwd     string            // folder that it runs in, relative to the run's own; empty: that one
	Env     map[string]string // variables set for it alone, over Config.Env
	Timeout time.Duration     // 0: only the run's own
	If      string            // when it runs: IfPassed, IfFailure or Always
}

// Values of Step.If, beside Always.
const (
	IfPassed  = ""        // all steps before it have passed
	IfFailure = "failure" // one before it has not
)

// Values of Config.WhenBusy.
const (
	Queue     = "queue"     // runs keep their order
	Supersede = "supersede" // a newer push cancels older runs
	Latest    = "latest"    // the running one finishes, only the newest waiting one is kept
)

// Values of Config.OnLost: what becomes of a started run whose listener died.
const (
	Fail    = "fail"
	Requeue = "requeue"
)

// Values of Config.NotifyOn: when people are told.
const (
	Always  = "always"  // also of Step.If: whatever the steps before it did
	Change  = "change"  // when the result is another than the last one
	Failure = "failure" // when it did not pass
)

// Defaults of keys that a config leaves out.
const (
	DefaultTimeout     = time.Hour
	DefaultGrace       = 10 * time.Second
	DefaultConcurrency = 1
	DefaultMaxWait     = 168 * time.Hour
	DefaultMaxLog      = 64 << 20 // bytes
)

// Tells reports whether the config names someone to tell: Discord, or a commit's status.
func (c Config) Tells() bool { return !c.DiscordHook.IsZero() || !c.GithubStatusToken.IsZero() }

// CheckCwd says whether the folder is there. A listener asks before it listens; checking a config does not,
// for that may be done on another machine.
func (c Config) CheckCwd() error {
	if c.Checkout != nil {
		return nil
	}
	info, err := os.Stat(c.Cwd)
	switch {
	case err != nil:
		return fmt.Errorf("%s: cwd of listener %q: %w", c.File, c.Rules.Name, err)
	case !info.IsDir():
		return fmt.Errorf("%s: cwd of listener %q: %s is not a folder", c.File, c.Rules.Name, c.Cwd)
	}
	return nil
}

// CheckSecrets says whether every secret that the config names by {"file": …} or {"env": …} was there when it
// was loaded; the error is a Mistakes. A listener asks before it listens.
func (c Config) CheckSecrets() error {
	if len(c.missing) == 0 {
		return nil
	}
	return Mistakes(c.missing)
}

// Masked are the values that must not be seen in what the steps print: those that they are given, and those of
// the config itself, which they could read.
func (c Config) Masked() []secret.Value {
	values := []secret.Value{c.DiscordHook, c.GithubStatusToken}
	if c.Checkout != nil {
		values = append(values, c.Checkout.Token)
	}
	for _, v := range c.Secrets {
		values = append(values, v)
	}
	return values
}

// AtOnceHere is how many runs one machine may have at work at once.
func (c Config) AtOnceHere() int {
	if c.ShareCwd || c.Checkout != nil {
		return max(c.Concurrency, 1)
	}
	return 1
}
