package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
	"lightspeed/secret"
)

var update = flag.Bool("update", false, "write the expected texts in testdata/config anew")

const testdata = "../../testdata/config"

var equalSecrets = cmp.Comparer(func(a, b secret.Value) bool { return a.Equal(b.Reveal()) })

// compareText compares text with a file whole.
func compareText(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// cases are the configs of a folder of testdata, each the files that are loaded together.
func cases(t *testing.T, folder string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case entry.IsDir():
			found[name], _ = filepath.Glob(filepath.Join(folder, name, "*.json"))
		case strings.HasSuffix(name, ".json"):
			found[strings.TrimSuffix(name, ".json")] = []string{filepath.Join(folder, name)}
		}
	}
	return found
}

func relative(t *testing.T, paths []string, folder string) []string {
	t.Helper()
	var out []string
	for _, path := range paths {
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rel)
	}
	return out
}

// Each file in testdata/config/bad has one kind of mistake; the .txt beside it is the whole error.
func TestBadConfigs(t *testing.T) {
	t.Setenv("CONFIG_TEST_SHORT", "abc")
	bad, err := filepath.Abs(filepath.Join(testdata, "bad"))
	if err != nil {
		t.Fatal(err)
	}
	all := cases(t, bad)
	if len(all) < 30 {
		t.Fatalf("only %d bad configs", len(all))
	}
	for name, paths := range all {
		t.Run(name, func(t *testing.T) {
			t.Chdir(bad)
			configs, _, err := Load(relative(t, paths, bad)...)
			if err == nil {
				t.Fatalf("loads: %+v", configs)
			}
			if configs != nil {
				t.Errorf("configs beside an error: %+v", configs)
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error shows a secret: %v", err)
			}
			compareText(t, filepath.Join(bad, name+".txt"), err.Error()+"\n")
		})
	}
}

// Each file in testdata/config/good loads; the .txt beside it holds its warnings.
func TestGoodConfigs(t *testing.T) {
	t.Setenv("CONFIG_TEST_TOKEN", "ghp_fromEnvironment")
	good, err := filepath.Abs(filepath.Join(testdata, "good"))
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	copyReadable(t, good, copied)
	for name, paths := range cases(t, good) {
		t.Run(name, func(t *testing.T) {
			t.Chdir(copied)
			configs, warnings, err := Load(relative(t, paths, good)...)
			if err != nil {
				t.Fatal(err)
			}
			if len(configs) == 0 {
				t.Error("no config")
			}
			var said strings.Builder
			for _, warning := range warnings {
				fmt.Fprintln(&said, warning)
			}
			compareText(t, filepath.Join(good, name+".txt"), said.String())
		})
	}
}

// copyReadable copies files so that everyone can read them, whatever the checkout made of them.
func copyReadable(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The example from the first Lightspeed's own page loads as it stands.
func TestFirstLightspeed(t *testing.T) {
	path := filepath.Join(testdata, "good", "first-lightspeed.json")
	configs, warnings, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Config{{
		File:  path,
		Rules: match.Rules{Name: "my-repo-with-name"},
		Exec:  []Step{{Name: "step 1", Run: "python tester.py"}},
		Cwd:   "/some/path",

		Timeout: time.Hour, Grace: 10 * time.Second, Concurrency: 1,
		WhenBusy: "queue", OnLost: "fail", MaxWait: 168 * time.Hour, MaxLog: 64 << 20,

		DiscordNotify: []string{"@here"}, NotifyOn: "always",
	}}
	if diff := cmp.Diff(want, configs, cmpopts.IgnoreUnexported(Config{}), equalSecrets); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if configs[0].Tells() {
		t.Error("a placeholder URL tells somebody")
	}
	if len(warnings) != 2 {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestAllKeys(t *testing.T) {
	t.Setenv("CONFIG_TEST_TOKEN", "ghp_fromEnvironment")
	path := filepath.Join(testdata, "good", "all-keys.json")
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	configs, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		File: path,
		Rules: match.Rules{
			Name:         "shop-deploy",
			Repos:        []string{"acme/*", "!acme/attic"},
			Events:       []string{"push", "pull_request", "pull_request:closed", "release:published"},
			Branches:     []string{"main", "release/**", "!release/old"},
			Tags:         []string{"v[0-9]+.*"},
			Files:        []string{"**", "!docs/**"},
			BranchFilter: []string{"main", "develop"},
			FilesFilter:  []string{".go", "Makefile"},
			Message:      &match.Message{Match: "deploy", Skip: "(?i)draft"},
			Forks:        "always",
			Deletes:      true,
		},
		Exec: []Step{
			{Name: "step 1", Run: "make build"}, {Name: "step 2", Argv: []string{"./deploy", "--to", "shop 1"}},
			{Name: "smoke test", Argv: []string{"make", "smoke"}, Cwd: "smoke", Env: map[string]string{"STAGE": "test"}, Timeout: 5 * time.Minute},
			{Name: "step 4", Run: "./tell", If: IfFailure}, {Name: "step 5", Run: "make clean", If: Always},
		},
		Cwd: filepath.Join(folder, "work"), ShareCwd: true,
		Checkout: &Checkout{URL: "https://git.example.com/{repo}.git", Depth: 3, Submodules: true, Keep: true},
		Env: map[string]string{
			"STAGE": "live", "EMPTY": "", "http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128",
		},
		PassEnv: []string{"SSH_AUTH_SOCK"}, ForkSecrets: true,
		SecretFiles: []string{"../../testdata/config/good/discord-url"},
		Timeout:     90 * time.Minute, Grace: 500 * time.Millisecond, LeaveBackground: true, Concurrency: 1000,
		WhenBusy: "supersede", OnLost: "requeue", MaxWait: 48 * time.Hour, MaxLog: 1 << 30,
		Lock: "gpu", LockFile: filepath.Join(folder, "locks/printer"),
		Artifacts:     []string{"dist/**", "!dist/*.tmp"},
		DiscordNotify: []string{"@everyone", "<@80351110224678912>", "<@&165511591545143296>"},
		NotifyOn:      "change", GithubURL: "https://git.example.com",
	}
	got := configs[0]
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}, Checkout{}), cmpopts.IgnoreFields(Config{}, "Secrets"), cmpopts.IgnoreTypes(secret.Value{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if !got.DiscordHook.Equal("https://discord.com/api/webhooks/123456789012345678/a-Token_1") {
		t.Error("discord_hook was not read from its file")
	}
	if !got.GithubStatusToken.Equal("ghp_fromEnvironment") {
		t.Error("github_status_token was not read from its variable")
	}
	if v := got.Secrets["DEPLOY_TOKEN"]; len(got.Secrets) != 1 || !v.Equal("ghp_fromEnvironment") || len(got.Masked()) != 4 {
		t.Error("secrets were not read")
	}
	if !got.Checkout.Token.Equal("ghp_fromEnvironment") {
		t.Error("checkout.token was not read from its variable")
	}
	if !got.Tells() {
		t.Error("tells nobody")
	}
}

func TestMostSteps(t *testing.T) {
	file := write(t, `{"name": "a", "exec": [`+strings.Repeat(`"x", `, run.MaxSteps+1)+`]}`)
	_, _, err := Load(file)
	want := file + ":1:23: exec: 201 commands, the most is 200\nhint: put some into a script and run that"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestDeletesByDefault(t *testing.T) {
	file := write(t, `[{"name": "a", "exec": "x"}, {"name": "b", "exec": "x", "deletes": false}]`)
	configs, _, err := Loader{DeletesByDefault: true}.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if !configs[0].Rules.Deletes || configs[1].Rules.Deletes {
		t.Errorf("deletes: got %v and %v, want true and false", configs[0].Rules.Deletes, configs[1].Rules.Deletes)
	}
}

// write makes a config file that only its owner can read.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Chdir(t.TempDir())
	large := []byte("\ufeff" + `{"name": "a", "exec": "x"}` + strings.Repeat(" ", MaxFile))
	if err := os.WriteFile("large.json", large, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{"none.json", "none.json: no such file or directory"},
		{".", ".: is a folder, not a file"},
		{"large.json", "large.json: larger than 1 MiB, the most that a config may have"},
	} {
		_, _, err := Load(test.path)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got error %v, want %s", test.path, err, test.want)
		}
	}
	if _, _, err := Load(); err == nil || err.Error() != "no config file given" {
		t.Errorf("no paths: got error %v", err)
	}
}

func TestLongValues(t *testing.T) {
	fits := write(t, fmt.Sprintf(`{"name": "a", "exec": %q, "env": {"N": %q}}`, strings.Repeat("x", MaxArgument), strings.Repeat("x", MaxArgument-2)))
	if _, _, err := Load(fits); err != nil {
		t.Error(err)
	}
	file := write(t, fmt.Sprintf(`{"name": "a", "exec": %q, "env": {"N": %q}}`, strings.Repeat("x", MaxArgument+1), strings.Repeat("x", MaxArgument-1)))
	_, _, err := Load(file)
	want := file + `:1:23: exec: a command or argument of 131072 bytes, the most is 131071
hint: put it into a script and run that
` + file + `:1:131112: env.N: a variable of 131072 bytes, the most is 131071
hint: put it into a file`
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// Mistakes of several files are told in the order of the files.
func TestMistakesOfSeveralFiles(t *testing.T) {
	one, two := write(t, `{"name": "a"}`), write(t, `{"exec": "x"}`)
	_, _, err := Load(two, one)
	var mistakes Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got error %v", err)
	}
	if len(mistakes) != 2 || mistakes[0].File != two || mistakes[1].File != one {
		t.Errorf("got %v", mistakes)
	}
}

func TestCheckCwd(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ cwd, want string }{
		{dir, ""},
		{filepath.Join(dir, "none"), `c.json: cwd of listener "a": stat ` + dir + `/none: no such file or directory`},
		{file, `c.json: cwd of listener "a": ` + file + ` is not a folder`},
	} {
		got := ""
		if err := (Config{File: "c.json", Rules: match.Rules{Name: "a"}, Cwd: test.cwd}).CheckCwd(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.cwd, got, test.want)
		}
	}
}

func TestCheckSecrets(t *testing.T) {
	file := write(t, `{"name": "a", "exec": "x", "github_status_token": {"env": "CONFIG_TEST_UNSET"}}`)
	configs, _, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := file + ":1:59: github_status_token: variable CONFIG_TEST_UNSET is not set"
	if err := configs[0].CheckSecrets(); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	t.Setenv("CONFIG_TEST_UNSET", "token")
	configs, _, err = Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := configs[0].CheckSecrets(); err != nil {
		t.Error(err)
	}
}

// A config that only its owner can read brings no warning about the secrets in it.
func TestPrivateFileIsNoWarning(t *testing.T) {
	_, warnings, err := Load(write(t, `{"name": "a", "repos": ["*/*"], "exec": "x", "github_status_token": "t"}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestParseSize(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
	}{{"0B", 0}, {"5B", 5}, {"1KiB", 1024}, {"64MiB", 64 << 20}, {"2GiB", 2 << 30}, {"1TiB", 1 << 40}} {
		got, err := ParseSize(test.text)
		if err != nil || got != test.want {
			t.Errorf("%s: got %d, %v, want %d", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "5", "MiB", "1.5MiB", "1 MiB", "+1MiB", "1mib", "9223372036854775807KiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%s: got %d, want an error", text, got)
		}
	}
}

// The built-in config matches every push and pull request.
func TestBuiltIn(t *testing.T) {
	c := Test()
	if err := c.CheckCwd(); err != nil {
		t.Error(err)
	}
	if !c.Temporary || len(c.Exec) != 1 || c.Rules.Name != "test" {
		t.Errorf("got %+v", c)
	}
	m, err := match.Compile(c.Rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []event.Event{
		{Name: "push", Repo: "o/r", Ref: "refs/heads/a/b", Branch: "a/b"},
		{Name: "push", Repo: "o/r", Ref: "refs/heads/a", Branch: "a", Deleted: true},
		{Name: "push", Repo: "o/.r", Ref: "refs/tags/v1", Tag: "v1"},
		{Name: "pull_request", Action: "opened", Repo: "o/r", Ref: "refs/pull/1/head", Branch: "a", Base: "main", Fork: true},
	} {
		if d := m.Match(e); !d.Matched {
			t.Errorf("%+v: %s", e, d.Why)
		}
	}
}

// Whom one message of Discord's cannot call is a mistake when it is checked, not when a run is to be told.
func TestTooManyToCall(t *testing.T) {
	who := make([]string, 81)
	for i := range who {
		who[i] = fmt.Sprintf(`"<@%d>"`, 1000+i)
	}
	config := func(n int) string {
		return write(t, `{"name": "a", "repos": ["*/*"], "exec": "x", "discord_hook": "https://discord.com/api/webhooks/123456789012345678/t", "discord_notify": [`+strings.Join(who[:n], ",")+`]}`)
	}
	if _, _, err := Load(config(80)); err != nil {
		t.Errorf("80: %v", err)
	}
	if _, _, err := Load(config(81)); err == nil || !strings.Contains(err.Error(), "discord_notify: names 81, and at most 80 can be called") {
		t.Errorf("81: %v", err)
	}
}
