package listener

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/run"
	"lightspeed/secret"
)

const (
	token = "tok-4711-0815"
	key   = "-----BEGIN-----\nbGluZSBvbmU\nbGluZSB0d28\n"
)

func withSecrets(scripts ...string) config.Config {
	c := conf(scripts...)
	c.Secrets = map[string]secret.Value{"TOKEN": secret.New(token), "KEY": secret.New(key)}
	c.GithubStatusToken = secret.New("ghp_status")
	return c
}

// TestSecretsAreMasked in what admin and the local log get, in pieces of every size, and in the reason.
func TestSecretsAreMasked(t *testing.T) {
	f := newFakeAdmin(t)
	c := withSecrets(`[ ${#TOKEN} = 13 ] && echo given
		echo "it is $TOKEN."; printf %s "$TOKEN" | base64; echo "$KEY" | sed 's/^/> /'; echo ghp_sta""tus
		for c in t o k - 4 7 1 1 - 0 8 1 5; do printf %s $c; sleep 0.01; done; echo
		printf %s tok-4711`)
	c.Exec = append(c.Exec, config.Step{Name: token, Run: "exit 3"})
	s := listen(t, f, c, t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	want := "given\nit is ***.\n***Q==\n> ***\n> ***\n> ***\n> \n***\n***\ntok-4711\nlightspeed: ***: exit status 3\n"
	if log := f.logOf(r); log != want || end.Reason != "***: exit status 3" || end.LogBytes != int64(len(want)) {
		t.Errorf("reason %q, log\n%s\nwant\n%s", end.Reason, log, want)
	}
	if got := told(end.Steps[1:], f.logOf(r)); !strings.HasSuffix(got, ` failed 3 "\nlightspeed: ***: exit status 3\n"`) {
		t.Errorf("the step's place in the log: %s", got)
	}
	eventually(t, "the end", func() bool { return s.said.times("run ended") == 1 })
	if strings.Contains(strings.ReplaceAll(s.said.String(), "step="+token, ""), token) {
		t.Errorf("it said %s", s.said)
	}
}

// TestSecretsAreMaskedHere: also what `lightspeed run` prints.
func TestSecretsAreMaskedHere(t *testing.T) {
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	got, err := Here(t.Context(), HereOptions{
		Config: withSecrets(`echo "$TOKEN"; printf tok-4`), Out: &out, Log: slog.New(slog.DiscardHandler),
		Delivery: event.Delivery{ID: "d", Event: "push", ContentType: "application/json", Body: body},
	})
	if err != nil || got.Status != run.Passed || out.String() != "***\ntok-4" {
		t.Errorf("%+v, %v, printed %q", got, err, out.String())
	}
}

// TestForksGetNoSecrets, unless the config says that they do.
func TestForksGetNoSecrets(t *testing.T) {
	clearEnvironment(t, map[string]string{"WANTED": "w"})
	for _, c := range []struct{ fork, trusted, want bool }{{false, false, true}, {true, false, false}, {true, true, true}} {
		conf := config.Config{Secrets: map[string]secret.Value{"TOKEN": secret.New(token)}, PassEnv: []string{"WANTED"}, ForkSecrets: c.trusted}
		env, _ := environment(conf, facts{event: event.Event{Fork: c.fork}})
		if slices.Contains(env, "TOKEN="+token) != c.want || slices.Contains(env, "WANTED=w") != c.want {
			t.Errorf("%+v: got %v", c, env)
		}
	}
}

// TestMaskedOutputFlows: a secret in the config does not hold up output that has none.
func TestMaskedOutputFlows(t *testing.T) {
	f := newFakeAdmin(t)
	listen(t, f, withSecrets("printf 'Password: '; sleep 600"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "Password: ")
}
