package app

import (
	"context"
	"os"
	"slices"
	"time"

	"lightspeed/listener/config"
)

// Source is where the configs of a process come from.
type Source struct {
	Files []string                        // that are looked at
	Load  func() ([]config.Config, error) // reads them all
	Asked <-chan os.Signal                // gets SIGHUP: read them now
}

// lookPeriod is how often the files are looked at. Looking, and not being told by the kernel, works wherever they are:
// what an editor, git or a mounted ConfigMap puts in a file's place is another file behind the same path, and network
// file systems tell nobody.
const lookPeriod = time.Second

// follow reads the configs anew when a file has changed and is then left alone for a period, or when that is
// asked for, until ctx ends.
func (g *listeners) follow(ctx context.Context) {
	ticks := time.NewTicker(lookPeriod)
	defer ticks.Stop()
	known := look(g.source.Files)
	last := known
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.source.Asked:
			known = look(g.source.Files)
			last = known
			if g.reload() && ctx.Err() == nil {
				continue
			}
			g.v.note("SIGHUP: the listeners stay as they are")
		case <-ticks.C:
			now := look(g.source.Files)
			if !slices.EqualFunc(now, known, sameLook) && slices.EqualFunc(now, last, sameLook) {
				known = now
				g.reload()
			}
			last = now
		}
	}
}

// look is what stands behind the paths now; nil for what is not there.
func look(files []string) []os.FileInfo {
	found := make([]os.FileInfo, len(files))
	for i, file := range files {
		found[i], _ = os.Stat(file)
	}
	return found
}

func sameLook(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// reload reads, checks and swaps the configs, and reports whether anything has changed. When something is wrong with
// them nothing has: that is said, and all listeners go on as they are.
func (g *listeners) reload() bool {
	configs, err := g.source.Load()
	if err == nil {
		err = checkConfigs(configs)
	}
	if err != nil {
		g.v.note("the configs have changed and are refused; the listeners go on as they are:\n%v", err)
		g.v.Log.Error("configs are refused; the listeners go on as they are", "err", err)
		return false
	}
	return g.change(configs)
}
