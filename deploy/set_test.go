package deploy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/fleet"
)

// patience bounds every wait for something that must come. It is long: the machine may be busy.
const patience = 60 * time.Second

// image is the image that the services are started from, each in a container of buildah's. deploy/image.sh sets it; without it
// they are processes of the plain binary.
var image = os.Getenv("LIGHTSPEED_IMAGE")

// set is all services of compose.yaml, on free ports of loopback.
type set struct {
	t       *testing.T
	compose compose
	dir     string
	secrets string // the folder
	admin   string // "127.0.0.1:12345"
	hooks   string
	metrics map[string]string // addresses by service
	started map[string]*fleet.Process
}

// oneSet is held by the test whose set is there: all of them have the same accounts at the one broker.
var oneSet sync.Mutex

// newSet makes the secrets, and a broker with their accounts. Tests of a set are parallel to the others: those do their work
// while the broker starts.
func newSet(t *testing.T) *set {
	t.Helper()
	t.Parallel()
	oneSet.Lock()
	t.Cleanup(oneSet.Unlock)
	node := rabbittest.Start(t)
	s := &set{t: t, compose: readCompose(t), dir: t.TempDir(), started: map[string]*fleet.Process{}}
	s.secrets = makeSecrets(t, node.Addr())
	node.Eval(t, fmt.Sprintf(`{ok, Text} = file:read_file("%s"), ok = rabbit_definitions:import_raw(Text)`, s.secret("rabbitmq-definitions.json")))
	t.Cleanup(func() { node.Eval(t, `rabbit_vhost:delete(<<"lightspeed">>, <<"test">>)`) })
	s.admin, s.hooks, s.metrics = address(t), address(t), map[string]string{}
	for _, name := range s.compose.roles() {
		s.metrics[name] = address(t)
	}
	t.Cleanup(s.end)
	return s
}

func address(t *testing.T) string {
	t.Helper()
	port, err := fleet.Port()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// start starts a service and waits until it says that it is ready.
func (s *set) start(name, ready string) {
	s.t.Helper()
	command := s.plain(name)
	if image != "" {
		command = contained(s, name)
	}
	p, err := fleet.Start(command)
	if err != nil {
		s.t.Fatal(err)
	}
	s.started[name] = p
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := p.Ready(ctx, ready); err != nil {
		s.t.Fatal(err)
	}
}

// here turns a service's addresses into the test's.
func (s *set) here(value string) string {
	return strings.NewReplacer("https://admin:8080", "https://"+s.admin, "https://localhost:8080", "https://"+s.admin,
		"http://localhost:8000", "http://"+s.hooks).Replace(value)
}

// env is a service's environment, with the test's addresses.
func (s *set) env(name string) []string {
	var env []string
	for variable, value := range s.compose.Services[name].Environment {
		switch variable {
		case "LIGHTSPEED_METRICS_ADDR":
			value = s.metrics[name]
		case "LIGHTSPEED_ADDR":
			value = s.admin
		case "LIGHTSPEED_HOOKS_ADDR":
			value = s.hooks
		}
		env = append(env, variable+"="+s.here(value))
	}
	return env
}

// plain is a service as a process of the plain binary. Its folders are the test's.
func (s *set) plain(name string) fleet.Command {
	state := s.folder("state-" + name)
	env := []string{"LIGHTSPEED_STATE=" + state}
	for _, one := range s.env(name) {
		env = append(env, strings.Replace(one, inSecrets, s.secrets+"/", 1))
	}
	configs := s.folder("etc-" + name)
	s.copyConfig(configs, func(text string) string { return strings.ReplaceAll(text, "/var/lib/lightspeed", state) })
	return fleet.Command{Name: name, Path: lightspeed, Args: s.compose.Services[name].Command, Env: env, Dir: configs}
}

func (s *set) folder(name string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *set) copyConfig(folder string, change func(string) string) {
	s.t.Helper()
	text, err := os.ReadFile("listener.json")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "listener.json"), []byte(change(string(text))), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// secret is the path of one.
func (s *set) secret(name string) string { return filepath.Join(s.secrets, name) }

// ask runs a command of the plain binary as a person on the outside does, and wants this exit code. It returns
// what was printed: the answer, or else what went wrong.
func (s *set) ask(code int, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, lightspeed, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LIGHTSPEED_ADMIN=https://" + s.admin,
		"LIGHTSPEED_TLS_CA=" + s.secret("ca.pem"), "LIGHTSPEED_TOKEN_FILE=" + s.secret("admin-token")}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != code {
		s.t.Fatalf("lightspeed %s: %v\n%s%s", strings.Join(args, " "), err, out, &said)
	}
	if code != 0 {
		return said.String()
	}
	return string(out)
}

// send sends a signed push, and waits until its run has passed.
func (s *set) send(branch string) string {
	s.t.Helper()
	return s.ask(0, "send", "--repo", "me/my-app", "--branch", branch, "--url", "http://"+s.hooks+"/receive_hook",
		"--secret-file", s.secret("webhook-secret"), "--follow")
}

// end ends what still runs, as an operator does, and shows what was said when the test failed.
func (s *set) end() {
	for name, p := range s.started {
		if image != "" {
			signalInside(s.t, p)
		} else if err := p.Stop(patience); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", name, p.Log())
		}
	}
}

// Everything that compose.yaml names is started, in an awkward order, with TLS, tokens and a broker whose accounts may do little;
// a signed delivery goes all the way.
func TestTheWholeSet(t *testing.T) {
	s := newSet(t)
	s.start("hooks", "hooks")
	s.start("admin", "admin")
	s.start("listener-2", "listen site")
	s.start("listener-1", "listen site")
	for _, name := range s.compose.roles() {
		check := s.compose.Services[name].Healthcheck.Test // CMD lightspeed health URL …
		args := slices.Clone(check[2:])
		for i := range args {
			args[i] = strings.Replace(s.here(args[i]), inSecrets, s.secrets+"/", 1)
			args[i] = strings.Replace(args[i], "localhost:9100", s.metrics[name], 1)
		}
		s.ask(0, args...)
	}
	if out := s.send("main"); !strings.Contains(out, "hello main\n") {
		t.Errorf("the run printed:\n%s", out)
	}
	s.awaitBroker(2)
	s.refuses()
}

// awaitBroker waits until so many machines are told of work by RabbitMQ.
func (s *set) awaitBroker(machines int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out := s.ask(0, "listeners", "show", "site")
		if strings.Count(out, "rabbitmq") == machines {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not %d machines are told of work by RabbitMQ:\n%s", machines, out)
		}
	}
}

// refuses checks that nobody gets in without what they need.
func (s *set) refuses() {
	s.t.Helper()
	resp, err := http.Post("http://"+s.hooks+"/receive_hook", "application/json", strings.NewReader(`{}`))
	if err != nil {
		s.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		s.t.Errorf("hooks answers %s to a delivery that nobody signed", resp.Status)
	}
	for token, want := range map[string]string{"hooks-token": "can only hand in deliveries", "listener-token": "can only do what listeners do"} {
		if out := s.ask(1, "runs", "list", "--token-file", s.secret(token)); !strings.Contains(out, want) {
			s.t.Errorf("with %s: %s", token, out)
		}
	}
}
