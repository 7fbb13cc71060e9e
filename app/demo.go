package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/secret"
)

// Demo is a running demo: everything in one process, on free ports of loopback, in a temporary folder.
type Demo struct {
	Folder   string
	Config   config.Config // of its one listener
	AdminURL string
	HooksURL string // where deliveries go
	Secret   secret.Value
	Client   *api.Client
}

// demoConfig is the demo's listener. Its output comes bit by bit, so that one sees it come.
const demoConfig = `{
  "name": "hello",
  "repos": ["demo/*"],        // for pushes to these repositories
  "branches": ["main"],       // on this branch
  "exec": ["sh ./hello.sh"],  // run this
}
`

const demoScript = `echo "Hello! I am a script on your machine. I was told:"
echo "  $LIGHTSPEED_PUSHER pushed ${LIGHTSPEED_SHA%"${LIGHTSPEED_SHA#???????}"} to $LIGHTSPEED_BRANCH of $LIGHTSPEED_REPO"
for step in build test deploy; do
  sleep 0.3
  echo "  $step ... ok"
done
`

// RunDemo starts a demo, and calls story when it is ready: that shows it to people. When story wants to
// stay, the demo goes on until stop says so.
func RunDemo(stop Stop, out Output, story func(ctx context.Context, d Demo) (stay bool, err error)) error {
	v, life := newVoice(out), newLifecycle(out.Log)
	demo, listening, err := startDemo(life, stop, v)
	if err == nil {
		err = tell(life, stop, listening, demo, story)
	}
	return errors.Join(err, life.stop())
}

// tell waits for the listener, tells the story, and stays as long as it should.
func tell(life *lifecycle, stop Stop, listening <-chan struct{}, demo Demo, story func(context.Context, Demo) (bool, error)) error {
	select {
	case <-listening:
	case <-stop.Soon.Done():
		return nil
	case err := <-life.failed:
		return err
	}
	stay, err := story(stop.Soon, demo)
	switch {
	case stop.Soon.Err() != nil:
		return nil // ended by a signal, whatever that cut short
	case err != nil || !stay:
		return err
	}
	return life.wait(stop.Soon)
}

func startDemo(life *lifecycle, stop Stop, v *voice) (Demo, <-chan struct{}, error) {
	folder, err := os.MkdirTemp("", "lightspeed-demo-")
	if err != nil {
		return Demo{}, nil, err
	}
	life.closes("temporary folder", func() error { return os.RemoveAll(folder) })
	file := filepath.Join(folder, "hello.json")
	if err := errors.Join(os.WriteFile(file, []byte(demoConfig), 0o600),
		os.WriteFile(filepath.Join(folder, "hello.sh"), []byte(demoScript), 0o600)); err != nil {
		return Demo{}, nil, err
	}
	configs, _, err := config.Load(file)
	if err != nil {
		return Demo{}, nil, err
	}
	o := UpOptions{Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: filepath.Join(folder, "state"), Configs: configs}
	if _, err := o.chooseSecret(); err != nil {
		return Demo{}, nil, err
	}
	place, err := startUp(life, stop, v, &o)
	if err != nil {
		return Demo{}, nil, err
	}
	return Demo{
		Folder: folder, Config: configs[0], AdminURL: place.admin.url(), HooksURL: place.hooks.url() + "/receive_hook",
		Secret: o.Secrets[0], Client: place.client,
	}, place.listening, nil
}
