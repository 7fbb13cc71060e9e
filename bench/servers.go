package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/secret"
)

const webhookSecret = "bench-secret"

// set is a running admin, hooks and, when there is a config, a listener.
type set struct {
	admin, hooks, listener *fleet.Process
	api                    *api.Client
	adminURL, hooksURL     string
}

// setup is how a set is started.
type setup struct {
	config map[string]any // the listener's; nil: there is none
	rabbit string         // URL of a RabbitMQ; empty: there is none
	wrap   []string       // put before admin's command line ("strace", …)
}

// brokerEnv is how a process is told of the broker.
func (o setup) brokerEnv() []string {
	if o.rabbit == "" {
		return nil
	}
	return []string{"LIGHTSPEED_RABBIT_URL=" + o.rabbit}
}

// startSet starts the processes.
func (b *bench) startSet(ctx context.Context, o setup) (s *set, err error) {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	state, err := b.folder("state")
	if err != nil {
		return nil, err
	}
	s = &set{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	argv := append(slices.Clip(o.wrap), b.bin, "admin", "--addr", "127.0.0.1:0", "--state", state, "--log-level", "warn")
	if s.admin, err = fleet.Start(fleet.Command{Name: "admin", Path: argv[0], Args: argv[1:], Env: o.brokerEnv()}); err != nil {
		return s, err
	}
	if s.adminURL, err = s.admin.Ready(ctx, "admin "); err != nil {
		return s, err
	}
	if s.api, err = api.NewClient(s.adminURL, secret.Value{}, &http.Client{}); err != nil {
		return s, err
	}
	if s.hooks, err = fleet.Start(fleet.Command{Name: "hooks", Path: b.bin, Args: []string{"hooks", "--addr", "127.0.0.1:0",
		"--admin", s.adminURL, "--secret", webhookSecret, "--state", state, "--log-level", "warn"}}); err != nil {
		return s, err
	}
	hooksURL, err := s.hooks.Ready(ctx, "hooks ")
	if err != nil {
		return s, err
	}
	s.hooksURL = hooksURL + "/receive_hook"
	if o.config == nil {
		return s, nil
	}
	return s, s.startListener(ctx, b, state, o)
}

func (s *set) startListener(ctx context.Context, b *bench, state string, o setup) error {
	encoded, err := json.Marshal(o.config)
	if err != nil {
		return err
	}
	file := filepath.Join(state, "bench.json")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		return err
	}
	s.listener, err = fleet.Start(fleet.Command{Name: "listen", Path: b.bin, Env: o.brokerEnv(),
		Args: []string{"listen", file, "--admin", s.adminURL, "--state", state, "--log-level", "warn"}})
	if err != nil {
		return err
	}
	_, err = s.listener.Ready(ctx, "listen ")
	return err
}

func (s *set) close() {
	for _, p := range []*fleet.Process{s.listener, s.hooks, s.admin} {
		if p != nil {
			p.Kill()
		}
	}
}

// parcel is a signed request, ready to be sent.
type parcel struct {
	body      []byte
	signature string
}

// pushes makes count different signed pushes of the size that GitHub usually sends.
func (b *bench) pushes(count int) ([]parcel, error) {
	template, err := os.ReadFile(filepath.Join(b.root, "testdata", "deliveries", "push.json"))
	if err != nil {
		return nil, err
	}
	var sample struct {
		After string `json:"after"`
	}
	if err := json.Unmarshal(template, &sample); err != nil {
		return nil, err
	}
	parcels := make([]parcel, count)
	for i := range parcels {
		commit := fmt.Sprintf("%016x%024x", rand.Uint64(), i)
		body := bytes.ReplaceAll(template, []byte(sample.After), []byte(commit))
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		mac.Write(body)
		parcels[i] = parcel{body: body, signature: "sha256=" + hex.EncodeToString(mac.Sum(nil))}
	}
	return parcels, nil
}

// post sends a parcel and wants a 2xx.
func post(ctx context.Context, client *http.Client, url string, p parcel) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()))
	req.Header.Set("X-Hub-Signature-256", p.signature)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 || strings.Contains(string(answer), "spooled") {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}

// startWebhook starts the peer, Debian's webhook 2.8, with one rule that checks the signature and runs command.
func (b *bench) startWebhook(ctx context.Context, command string, args ...string) (*fleet.Process, string, error) {
	dir, err := b.folder("webhook")
	if err != nil {
		return nil, "", err
	}
	var arguments []map[string]string
	for _, arg := range args {
		arguments = append(arguments, map[string]string{"source": "string", "name": arg})
	}
	rules, err := json.Marshal([]map[string]any{{
		"id": "bench", "execute-command": command, "pass-arguments-to-command": arguments,
		"trigger-rule": map[string]any{"match": map[string]any{"type": "payload-hmac-sha256", "secret": webhookSecret,
			"parameter": map[string]string{"source": "header", "name": "X-Hub-Signature-256"}}},
	}})
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "hooks.json")
	if err := os.WriteFile(file, rules, 0o600); err != nil {
		return nil, "", err
	}
	port, err := fleet.Port()
	if err != nil {
		return nil, "", err
	}
	process, err := fleet.Start(fleet.Command{Name: "webhook", Path: "webhook",
		Args: []string{"-hooks", file, "-ip", "127.0.0.1", "-port", fmt.Sprint(port)}})
	if err != nil {
		return nil, "", errors.Join(err, errors.New("hint: apt-get install webhook"))
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/hooks/bench", port)
	return process, url, waitServed(ctx, url)
}

// waitServed waits until something answers at url.
func waitServed(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
