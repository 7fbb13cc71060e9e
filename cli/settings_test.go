package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// ask runs a command line with all shared flags, and looks at its settings.
func ask(t *testing.T, env map[string]string, args []string, look func(p *program, c *urfave.Context)) {
	t.Helper()
	p, _, _ := fake(env)
	one := &urfave.Command{
		Name:   "ask",
		Flags:  flags(nil, []setting{adminURL, adminAddr, token, webhookSecret}),
		Action: func(c *urfave.Context) error { look(p, c); return nil },
	}
	root := &urfave.App{Name: "lightspeed", Commands: []*urfave.Command{one}, HideHelp: true, DisableSliceFlagSeparator: true}
	if err := root.Run(append([]string{"lightspeed", "ask"}, args...)); err != nil {
		t.Fatal(err)
	}
}

// A flag counts before LIGHTSPEED_*, that before an older name, that before the default.
func TestPrecedence(t *testing.T) {
	older := map[string]string{"ADMIN_DOMAIN": "old.example", "ADMIN_PORT": "99"}
	both := map[string]string{"ADMIN_DOMAIN": "old.example", "ADMIN_PORT": "99", "LIGHTSPEED_ADMIN": "http://env:1", "LIGHTSPEED_ADDR": "127.0.0.1:7"}
	for _, test := range []struct {
		env       map[string]string
		args      []string
		url, addr string
	}{
		{nil, nil, "http://127.0.0.1:8080", "127.0.0.1:8080"},
		{older, nil, "http://old.example:99", "127.0.0.1:99"},
		{map[string]string{"ADMIN_PORT": "99"}, nil, "http://127.0.0.1:99", "127.0.0.1:99"},
		{map[string]string{"ADMIN_DOMAIN": "d"}, nil, "http://d:8080", "127.0.0.1:8080"},
		{both, nil, "http://env:1", "127.0.0.1:7"},
		{both, []string{"--admin", "http://flag:2", "--addr", ":3"}, "http://flag:2", ":3"},
		{map[string]string{"LIGHTSPEED_ADMIN": ""}, nil, "http://127.0.0.1:8080", "127.0.0.1:8080"},
	} {
		ask(t, test.env, test.args, func(p *program, c *urfave.Context) {
			if url, addr := p.value(c, adminURL), p.value(c, adminAddr); url != test.url || addr != test.addr {
				t.Errorf("%v %v: got %s and %s, want %s and %s", test.env, test.args, url, addr, test.url, test.addr)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte("three\nfour, five\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  map[string]string
		args []string
		want []string
	}{
		{nil, nil, nil},
		{map[string]string{"LIGHTSPEED_SECRET": "one\ntwo\n"}, nil, []string{"one", "two"}},
		{map[string]string{"LIGHTSPEED_SECRET_FILE": file}, nil, []string{"three", "four, five"}},
		{map[string]string{"LIGHTSPEED_SECRET": "one"}, []string{"--secret", "a,b", "--secret", "c"}, []string{"a,b", "c"}},
		{map[string]string{"LIGHTSPEED_SECRET": "one"}, []string{"--secret", "a", "--secret-file", file}, []string{"a", "three", "four, five"}},
	} {
		ask(t, test.env, test.args, func(p *program, c *urfave.Context) {
			values, err := p.secrets(c, webhookSecret)
			var got []string
			for _, v := range values {
				got = append(got, v.Reveal())
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%v %v: got %q, %v, want %q", test.env, test.args, got, err, test.want)
			}
		})
	}
}

func TestSecretsRefused(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{map[string]string{"LIGHTSPEED_TOKEN": "a\nb"}, nil, "--token takes one value, and 2 are set"},
		{nil, []string{"--token", ""}, "--token is empty"},
		{nil, []string{"--token-file", "/nonexistent/t"}, "--token-file: secret file /nonexistent/t: no such file or directory"},
		{map[string]string{"LIGHTSPEED_TOKEN_FILE": "/nonexistent/t"}, nil, "LIGHTSPEED_TOKEN_FILE: secret file /nonexistent/t: no such file or directory"},
		{map[string]string{"LIGHTSPEED_TOKEN": "a", "LIGHTSPEED_TOKEN_FILE": "f"}, nil, "LIGHTSPEED_TOKEN and LIGHTSPEED_TOKEN_FILE are both set: set one of them"},
	} {
		ask(t, test.env, test.args, func(p *program, c *urfave.Context) {
			_, err := p.secret(c, token)
			if err == nil || err.Error() != test.want || !explained(err).Usage {
				t.Errorf("%v %v: got %v, want %s", test.env, test.args, err, test.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"1GiB": 1 << 30, "512MiB": 512 << 20, "3 KiB": 3072, "1000": 1000, "7B": 7, "": 0, "-1": 0, "0": 0, "1GB": 0, "9999999999TiB": 0, "x": 0} {
		got, err := size("spool-max", text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("size %q: got %d, %v, want %d", text, got, err, want)
		}
	}
}
