package app

import (
	"io"
	"path/filepath"

	"lightspeed/event"
	"lightspeed/listener"
	"lightspeed/listener/config"
)

// RunOptions say what is run here and now.
type RunOptions struct {
	Config   config.Config
	Delivery event.Delivery
	Log      io.Writer // gets the run's output as it comes
	State    string    // the state folder, where a checkout has its repositories and its tree

	Artifacts string // folder for the files that the run keeps; empty: it is only found out which these are
}

// Outcome is how a run ended.
type Outcome = listener.Outcome

// RunHere runs a config's commands for a delivery, as a listener would, without any server. When stop says so
// the run is cancelled.
func RunHere(stop Stop, out Output, o RunOptions) (Outcome, error) {
	if err := checkConfigs([]config.Config{o.Config}); err != nil {
		return Outcome{}, err
	}
	return listener.Here(stop.Soon, listener.HereOptions{
		Config: o.Config, Delivery: o.Delivery, Out: o.Log, Log: out.Log, Artifacts: o.Artifacts,
		State: filepath.Join(o.State, "run"), Mirrors: mirrors(o.State),
	})
}
