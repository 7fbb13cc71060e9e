package cli

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/event"
	"lightspeed/secret"
)

// defaultHooksURL is where hooks takes deliveries by default.
const defaultHooksURL = "http://127.0.0.1:8000/receive_hook"

func (p *program) send() *urfave.Command {
	own := webhookSecret
	own.usage = "`SECRET` to sign with\ndefault the one that `lightspeed up` of this user made, for a hooks on this machine"
	return &urfave.Command{
		Name: "send", Category: groupTry,
		Usage:     "sign and send a delivery, as GitHub would",
		UsageText: "lightspeed send FILE [--event push] [--follow]\nlightspeed send --repo OWNER/REPO (--branch NAME | --tag NAME) [--file NAME]... [--follow]",
		Description: `Sends a file as it is, or a push that is made from flags, each time another one. --follow waits for the runs, shows
their output, and ends with their result: exit code 1 when one did not pass.

Examples:
  lightspeed send --repo me/my-app --branch main --follow
  lightspeed send push.json --secret "$SECRET"
  lightspeed send --event pull_request pr.json --url https://ci.example.com/receive_hook`,
		Flags: flags([]urfave.Flag{
			&urfave.StringFlag{Name: "url", Value: defaultHooksURL, Usage: "`URL` where hooks takes deliveries\ndefault " + defaultHooksURL},
			&urfave.StringFlag{Name: "event", Value: event.Push, Usage: "the `EVENT` that it is, as in X-GitHub-Event\ndefault push"},
			&urfave.StringFlag{Name: "repo", Usage: "make a push to this `OWNER/REPO`"},
			&urfave.StringFlag{Name: "branch", Usage: "of this `BRANCH`"},
			&urfave.StringFlag{Name: "tag", Usage: "of this `TAG`"},
			&urfave.StringSliceFlag{Name: "file", Usage: "that touched this file `NAME` (repeatable)"},
			&urfave.StringFlag{Name: "sha", Usage: "of this `COMMIT`\ndefault a random one"},
			&urfave.StringFlag{Name: "message", Usage: "with this commit message `TEXT`"},
			followFlag(), jsonFlag(),
		}, []setting{own, stateFolder}, connection),
		Action: func(c *urfave.Context) error {
			d, err := p.deliveryToSend(c)
			if err != nil {
				return err
			}
			s, err := p.sender(c)
			if err != nil {
				return err
			}
			receipt, err := s.send(c.Context, d)
			if err != nil {
				return err
			}
			return p.afterSend(c, receipt)
		},
	}
}

// deliveryToSend is the file that was named, or a push made from flags.
func (p *program) deliveryToSend(c *urfave.Context) (event.Delivery, error) {
	d := event.Delivery{ID: rand.Text(), Event: c.String("event")}
	made := c.IsSet("repo") || c.IsSet("branch") || c.IsSet("tag") || c.IsSet("file") || c.IsSet("sha") || c.IsSet("message")
	var err error
	switch {
	case made && c.NArg() > 0:
		return d, app.Usagef(usageHint(c), "a file and --repo, --branch, --tag, --file, --sha, --message do not go together")
	case made:
		d.Event = event.Push
		d.Body, err = event.MakePush(event.PushSpec{
			Repo: c.String("repo"), Branch: c.String("branch"), Tag: c.String("tag"), SHA: orRandomSHA(c.String("sha")),
			Files: c.StringSlice("file"), Message: c.String("message"), Pusher: p.getenv("USER"), Nonce: rand.Text(),
		})
		if err != nil {
			return d, app.Usagef(usageHint(c), "%w", err)
		}
	default:
		args, err := want(c, "a FILE, or --repo and --branch")
		if err != nil {
			return d, err
		}
		if d.Body, err = p.readBody(args[0]); err != nil {
			return d, err
		}
	}
	d.ContentType = contentType(d.Body)
	return d, nil
}

func orRandomSHA(sha string) string {
	if sha != "" {
		return sha
	}
	random := make([]byte, 20)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

// sender posts signed deliveries to hooks.
type sender struct {
	url    string
	secret secret.Value
	http   *http.Client
}

// sendLimit bounds a whole request: GitHub waits 10 s for an answer.
const sendLimit = 30 * time.Second

func (p *program) sender(c *urfave.Context) (*sender, error) {
	target := c.String("url")
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, app.Usagef("it looks like "+defaultHooksURL, "--url %q is not an http or https address", target)
	}
	own, err := p.sendSecret(c, u)
	if err != nil {
		return nil, err
	}
	client, err := app.NewHTTPClient(p.tls(c))
	return &sender{url: target, secret: own, http: client}, err
}

// sendSecret is the secret that was set or, for a hooks on this machine, the one that `up` made. There may be
// none: hooks then says whether it wants one.
func (p *program) sendSecret(c *urfave.Context, target *url.URL) (secret.Value, error) {
	values, err := p.secrets(c, webhookSecret)
	if err != nil {
		return secret.Value{}, err
	}
	if len(values) > 0 {
		return values[0], nil
	}
	ip := net.ParseIP(target.Hostname())
	if target.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return secret.Value{}, nil
	}
	state, err := p.state(c)
	if err != nil {
		return secret.Value{}, nil
	}
	made, err := secret.FromFile(filepath.Join(state, app.SecretFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return secret.Value{}, err
	}
	return made, nil
}

// send posts a delivery with the headers that GitHub sends, and reads the answer.
func (s *sender) send(ctx context.Context, d event.Delivery) (api.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(d.Body))
	if err != nil {
		return api.Receipt{}, err
	}
	req.Header.Set("Content-Type", d.ContentType)
	req.Header.Set("X-GitHub-Event", d.Event)
	req.Header.Set("X-GitHub-Delivery", d.ID)
	req.Header.Set("User-Agent", "lightspeed/"+api.Version)
	if !s.secret.IsZero() {
		req.Header.Set("X-Hub-Signature-256", sign(s.secret, d.Body))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return api.Receipt{}, app.Failf("is it running there? `lightspeed deliveries` shows whether the delivery has come all the same", "hooks at %s did not answer in time", s.url)
		}
		return api.Receipt{}, app.Failf("is it running? start it with `lightspeed hooks` or `lightspeed up`, or name another with --url", "hooks at %s is not reachable: %w", s.url, cause(err))
	}
	defer resp.Body.Close()
	return readReceipt(resp)
}

// sign is the value of X-Hub-Signature-256 (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries).
func sign(key secret.Value, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// maxReceipt bounds an answer of hooks, in bytes.
const maxReceipt = 1 << 20

func readReceipt(resp *http.Response) (api.Receipt, error) {
	var answer struct {
		api.Receipt
		Error *api.Error `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(resp.Body, maxReceipt)).Decode(&answer)
	switch {
	case answer.Error != nil && resp.StatusCode == http.StatusUnauthorized:
		return answer.Receipt, app.Failf("sign with the secret that hooks knows: --secret, LIGHTSPEED_SECRET or LIGHTSPEED_SECRET_FILE",
			"hooks refused the delivery: %s", answer.Error.Message)
	case answer.Error != nil:
		return answer.Receipt, fmt.Errorf("hooks refused the delivery: %s: %s", resp.Status, answer.Error.Message)
	case err != nil || resp.StatusCode >= 300:
		return answer.Receipt, app.Failf("the address ends in /receive_hook", "%s answered %s: is this lightspeed hooks?", resp.Request.URL.Redacted(), resp.Status)
	}
	return answer.Receipt, nil
}

// cause takes off the URL, which the message names already.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// afterSend says what became of the delivery and, with --follow, shows its runs.
func (p *program) afterSend(c *urfave.Context, r api.Receipt) error {
	follow := c.Bool("follow")
	if c.Bool("json") {
		return p.printJSON(r)
	}
	if err := p.saySent(r); err != nil {
		return err
	}
	switch {
	case !follow || r.Status == api.Pong:
		return nil
	case r.Status == api.Duplicate:
		return exit(exitFail) // nothing ran, so nothing passed
	}
	admin, err := p.client(c)
	if err != nil {
		return err
	}
	if r.Status == api.Spooled {
		if r, err = p.waitForAdmin(c.Context, admin, r.Delivery); err != nil {
			return err
		}
	}
	if len(r.Runs) == 0 {
		return exit(exitFail)
	}
	return p.followAll(c.Context, admin, r.Runs)
}

// saySent says in plain words how hooks answered.
func (p *program) saySent(r api.Receipt) error {
	id := visible(r.Delivery)
	switch r.Status {
	case api.Duplicate:
		if r.DuplicateOf != "" && r.DuplicateOf != r.Delivery {
			return p.say("duplicate: delivery %s had the same body, so nothing new runs", visible(r.DuplicateOf))
		}
		return p.say("duplicate: delivery %s is there already, so nothing new runs", id)
	case api.Spooled:
		return p.say("spooled: delivery %s is on disk at hooks, and goes to admin when it answers", id)
	case api.Ignored:
		return p.showReceipt(r)
	case api.Pong:
		return p.say("pong: a ping, nothing is stored")
	}
	if err := p.say("accepted: delivery %s", id); err != nil {
		return err
	}
	return p.showReceipt(r)
}

// manyMissed is how often admin may answer that it has not got a spooled delivery, in about 15 s, before that is said.
const manyMissed = 20

// waitForAdmin waits until a spooled delivery has reached admin, and returns what it led to.
func (p *program) waitForAdmin(ctx context.Context, admin *api.Client, id string) (api.Receipt, error) {
	p.note("waits until admin has it")
	missed := 0
	for pause := shortPause; ; pause = min(pause*5/4, longPause) {
		d, err := admin.Delivery(ctx, id)
		switch {
		case err == nil:
			return p.receiptOf(d)
		case !api.IsCode(err, api.NotFound) && !isUnreachable(err):
			return api.Receipt{}, err
		case !isUnreachable(err):
			if missed++; missed == manyMissed {
				p.note("admin answers, and has not got it: hooks hands in older ones first, or admin has refused it, or knows its body already; the log of hooks says so")
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return api.Receipt{}, err
		}
	}
}

func isUnreachable(err error) bool {
	var unreachable *api.UnreachableError
	return errors.As(err, &unreachable)
}

func (p *program) receiptOf(d api.Delivery) (api.Receipt, error) {
	r := api.Receipt{Delivery: d.ID, Status: d.Status, Why: text(d.Why)}
	for _, run := range d.Runs {
		r.Runs = append(r.Runs, api.RunRef{ID: run.ID, Listener: run.Listener})
	}
	return r, p.saySent(r)
}
