package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/secret"
)

const webhookSecret = "chaos-secret"

// marks are the folders that the script writes into.
var marks = []string{"started", "ended", "live", "twice", "overlap", "crowd"}

// world is everything that runs.
type world struct {
	dir       string
	root      string
	bin       string
	adminAddr string
	hooksURLs []string
	api       *api.Client
	victims   []*victim
	listeners []listener
	broker    *broker // nil: there is none
}

// listener is one name that is listened for; several victims may share it.
type listener struct {
	name        string
	marks       string // its folder of marks
	concurrency int
	requeue     bool
}

// victim is a process that is hurt and started again.
type victim struct {
	name    string
	command fleet.Command
	ready   string       // prefix of its ready line
	link    *fleet.Proxy // its way to admin; nil for admin itself

	mu      sync.Mutex
	process *fleet.Process
}

// newWorld builds the binary and starts every process.
func newWorld(ctx context.Context, o options, dir string) (w *world, err error) {
	w = &world{dir: dir, root: o.root}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.bin, err = fleet.Build(ctx, o.root, dir); err != nil {
		return w, err
	}
	if o.rabbit {
		if w.broker, err = startBroker(); err != nil {
			return w, err
		}
	}
	if err := errors.Join(w.addAdmin(), w.addHooks("hooks-a"), w.addHooks("hooks-b"), w.addListeners()); err != nil {
		return w, err
	}
	for _, v := range w.victims {
		if err := v.start(ctx); err != nil {
			return w, err
		}
	}
	return w, nil
}

// address is one on loopback that stays the same over a process's lives.
func address() (string, error) {
	port, err := fleet.Port()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

func (w *world) addAdmin() (err error) {
	if w.adminAddr, err = address(); err != nil {
		return err
	}
	if w.api, err = api.NewClient("http://"+w.adminAddr, secret.Value{}, &http.Client{}); err != nil {
		return err
	}
	w.add("admin", "admin", nil, "admin", "--addr", w.adminAddr, "--lease", "2s")
	return nil
}

func (w *world) addHooks(name string) error {
	addr, err := address()
	if err != nil {
		return err
	}
	w.hooksURLs = append(w.hooksURLs, "http://"+addr+"/receive_hook")
	return w.addLinked(name, "hooks", "hooks", "--addr", addr, "--secret", webhookSecret)
}

// addListeners adds two machines for each name.
func (w *world) addListeners() error {
	w.listeners = []listener{
		{name: "twin", marks: filepath.Join(w.dir, "marks", "twin"), concurrency: 6},
		{name: "pair", marks: filepath.Join(w.dir, "marks", "pair"), concurrency: 4, requeue: true},
	}
	for _, l := range w.listeners {
		config, err := l.write(w.dir)
		if err != nil {
			return err
		}
		for _, machine := range []string{l.name + "-a", l.name + "-b"} {
			if err := w.addLinked(machine, "listen "+l.name, "listen", config); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) add(name, ready string, link *fleet.Proxy, args ...string) {
	args = append(args, "--state", filepath.Join(w.dir, "state-"+name))
	w.victims = append(w.victims, &victim{
		name: name, ready: ready, link: link,
		command: fleet.Command{Name: name, Path: w.bin, Args: args, Dir: w.dir, Env: w.broker.env()},
	})
}

// addLinked adds a process that reaches admin through a link of its own.
func (w *world) addLinked(name, ready string, args ...string) error {
	link, err := fleet.NewProxy(w.adminAddr)
	if err != nil {
		return err
	}
	w.add(name, ready, link, append(args, "--admin", "http://"+link.Addr())...)
	return nil
}

// write makes the listener's folders, script and config.
func (l listener) write(dir string) (string, error) {
	for _, mark := range marks {
		if err := os.MkdirAll(filepath.Join(l.marks, mark), 0o755); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, "script.sh")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return "", err
	}
	onLost := "fail"
	if l.requeue {
		onLost = "requeue"
	}
	config, err := json.Marshal(map[string]any{
		"name": l.name, "repos": []string{"chaos/*"}, "branches": []string{l.name + "/*", both + "/*"}, "concurrency": l.concurrency, "share_cwd": true, "on_lost": onLost,
		"timeout": "20s", "grace": "1s",
		"exec": [][]string{{"sh", path, l.marks, fmt.Sprint(l.concurrency)}},
	})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, l.name+".json")
	return file, os.WriteFile(file, config, 0o600)
}

// start starts the victim and waits until it serves. A listener is ready once admin knows it, so it may take
// as long as admin is away.
func (v *victim) start(ctx context.Context) error {
	process, err := fleet.Start(v.command)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.process = process
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = process.Ready(ctx, v.ready)
	return err
}

// hurt picks one victim every second and kills, freezes or cuts it off.
func (w *world) hurt(ctx context.Context, random *rand.Rand, duration time.Duration, progress io.Writer) {
	var busy sync.WaitGroup
	defer busy.Wait()
	tick := time.NewTicker(time.Second)
	all := w.sufferers()
	defer tick.Stop()
	over := time.After(duration)
	for {
		select {
		case <-tick.C:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
		v := all[random.IntN(len(all))]
		pause := time.Duration(100+random.IntN(3000)) * time.Millisecond
		how := random.IntN(5)
		busy.Go(func() { v.suffer(ctx, how, pause, progress) })
	}
}

// sufferer is anyone who can be hurt and made well again.
type sufferer interface {
	suffer(ctx context.Context, how int, pause time.Duration, progress io.Writer)
}

func (w *world) sufferers() []sufferer {
	var all []sufferer
	for _, v := range w.victims {
		all = append(all, v)
	}
	if w.broker != nil {
		all = append(all, w.broker)
	}
	return all
}

// suffer hurts one victim and makes it well again. Kills are as likely as the others together.
func (v *victim) suffer(ctx context.Context, how int, pause time.Duration, progress io.Writer) {
	v.mu.Lock()
	process := v.process
	v.mu.Unlock()
	switch {
	case how == 0 && v.link != nil:
		fmt.Fprintf(progress, "chaos: cut %s for %s\n", v.name, pause)
		v.link.Cut()
		wait(ctx, pause)
		v.link.Mend()
	case how <= 1:
		fmt.Fprintf(progress, "chaos: freeze %s for %s\n", v.name, pause)
		process.Signal(syscall.SIGSTOP)
		wait(ctx, pause)
		process.Signal(syscall.SIGCONT)
	default:
		select {
		case <-process.Done():
			return // someone else has killed it and is about to start it
		default:
		}
		fmt.Fprintf(progress, "chaos: kill %s, back in %s\n", v.name, pause/2)
		process.Kill()
		wait(ctx, pause/2)
		v.restart(ctx, process, progress)
	}
}

// restart starts the victim again, unless someone else has.
func (v *victim) restart(ctx context.Context, killed *fleet.Process, progress io.Writer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.process != killed || ctx.Err() != nil {
		return
	}
	process, err := fleet.Start(v.command)
	if err != nil {
		fmt.Fprintf(progress, "chaos: %v\n", err)
		return
	}
	v.process = process
}

// heal makes sure that everyone is well: mended, thawed, and running.
func (w *world) heal() {
	for _, v := range w.victims {
		if v.link != nil {
			v.link.Mend()
		}
		v.process.Signal(syscall.SIGCONT)
	}
}

// dead returns the victims that ended by themselves, which is a defect.
func (w *world) dead() []string {
	var names []string
	for _, v := range w.victims {
		select {
		case <-v.process.Done():
			names = append(names, v.name+":\n"+v.process.Log())
		default:
		}
	}
	return names
}

// sweep removes, until ctx ends, the marks of life of the scripts that have ended: each script reads all there are.
func (w *world) sweep(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, l := range w.listeners {
			l.sweep()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l listener) sweep() {
	live, _ := os.ReadDir(filepath.Join(l.marks, "live"))
	for _, mark := range live {
		if _, err := os.Stat(filepath.Join(l.marks, "ended", mark.Name())); err == nil {
			_ = os.Remove(filepath.Join(l.marks, "live", mark.Name()))
		}
	}
}

func (w *world) close() {
	for _, v := range w.victims {
		if v.process != nil {
			v.process.Signal(syscall.SIGCONT)
			v.process.Kill()
		}
		if v.link != nil {
			v.link.Close()
		}
	}
	w.broker.close()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
