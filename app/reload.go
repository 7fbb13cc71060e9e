package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"lightspeed/listener"
	"lightspeed/listener/config"
)

// Source is where the configs of a process come from, so that they can be read anew.
type Source struct {
	files   []string
	secrets []string // files that the secrets of the configs in force stand in
	load    func() ([]config.Config, error)
	asked   <-chan os.Signal
	seen    content // of the files, before they were loaded first
}

// NewSource returns the source of what load reads from files. Asked gets SIGHUP, that they be read at once. It is to
// be made before they are loaded first: what changes from then on is seen.
func NewSource(files []string, load func() ([]config.Config, error), asked <-chan os.Signal) *Source {
	return &Source{files: files, load: load, asked: asked, seen: look(files)}
}

// inForce has the files watched, too, that the secrets of these configs stand in. What they held when they were read is
// not known: those that are new here count as changed, and are read once more.
func (s *Source) inForce(configs []config.Config) {
	s.secrets = nil
	for _, c := range configs {
		s.secrets = append(s.secrets, c.SecretFiles...)
	}
}

func (s *Source) look() content { return look(slices.Concat(s.files, s.secrets)) }

// lookPeriod is how often the files are looked at. Looking, and not being told by the kernel, works wherever they are:
// what an editor, git or a mounted ConfigMap puts in a file's place is another file behind the same path, and network
// file systems tell nobody. What they hold is compared, and not their times: a file that is written twice within one
// tick of the file system's clock looks the same by its times.
const lookPeriod = time.Second

// follow calls reload when what the files hold has changed and is then left alone for a period, or at once when that
// is asked for, until ctx ends.
func (s *Source) follow(ctx context.Context, reload func(asked bool)) {
	ticks := time.NewTicker(lookPeriod)
	defer ticks.Stop()
	known := s.seen
	last := known
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
			known = s.look()
			last = known
			reload(true)
		case <-ticks.C:
			now := s.look()
			if now != known && now == last {
				known = now
				reload(false)
			}
			last = now
		}
	}
}

// content is a sum over what stands behind some paths.
type content [sha256.Size]byte

// look reads what the files hold now, or why they cannot be read.
func look(files []string) content {
	all := sha256.New()
	for _, file := range files {
		sum, err := sumOf(file)
		fmt.Fprintf(all, "%x %v\n", sum, err)
	}
	return content(all.Sum(nil))
}

// sumOf reads no more of a file than is read of a config. A pipe, which can be read once, is left to who loads it.
func sumOf(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(f, config.MaxFile+1))
	return sum.Sum(nil), err
}

// reload reads, checks and swaps the configs. When something is wrong with one of them nothing changes: that is said,
// and all listeners go on as they are.
func (g *listeners) reload(asked bool) {
	configs, err := g.source.load()
	if err == nil {
		err = g.check(configs)
	}
	if err != nil {
		g.refused = true
		g.v.note("the configs have changed and are refused; the listeners go on as they are:\n%v", err)
		g.v.Log.Error("configs are refused; the listeners go on as they are", "err", err)
		return
	}
	g.source.inForce(configs)
	changed := g.change(configs)
	if !changed && (g.refused || asked) && g.ctx.Err() == nil {
		g.v.note("the configs are read and have no mistake; the listeners are as they were")
	}
	g.refused = false
}

// check asks what would keep a listener from working by its config.
func (g *listeners) check(configs []config.Config) error {
	if err := checkConfigs(configs); err != nil {
		return err
	}
	var wrong []error
	for _, c := range configs {
		if err := listener.Check(c, g.common.Lanes, g.common.DiscordAPI); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}
