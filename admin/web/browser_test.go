package web_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
)

var screenshots = flag.String("screenshots", "", "write screenshots of the main pages into this `folder`")

// chromium is the one browser of this package's tests; each test has windows of its own, and cookies of its own.
var chromium = struct {
	start sync.Once
	stop  func()
	ctx   context.Context
	err   error
}{stop: func() {}}

func startChromium() {
	chromium.start.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute))
		allocated, endAllocated := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, end := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // it reports events that it does not know
		chromium.ctx, chromium.stop = ctx, func() { end(); endAllocated() }
		chromium.err = chromedp.Run(ctx)
	})
}

// tab is an open page.
type tab struct {
	*testing.T
	ctx context.Context
}

// browse opens a tab of a size, in a colour scheme. It has a window to itself: of tabs in one window only the newest
// is visible, and a page that is not does not listen for what happens.
func browse(t *testing.T, width, height int, scheme string) *tab {
	t.Helper()
	startChromium()
	if chromium.err != nil {
		t.Fatalf("chromium does not start: %v", chromium.err)
	}
	ctx, end := chromedp.NewContext(chromium.ctx, chromedp.WithTargetID(openWindow(t)))
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t, ctx}
	b.do(emulation.SetDeviceMetricsOverride(int64(width), int64(height), 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
	return b
}

// openWindow opens a window that shares nothing with the others.
func openWindow(t *testing.T) target.ID {
	t.Helper()
	browser := cdp.WithExecutor(chromium.ctx, chromedp.FromContext(chromium.ctx).Browser)
	profile, err := target.CreateBrowserContext().Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(profile).Do(browser) })
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	return window
}

func (b *tab) do(actions ...chromedp.Action) {
	b.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) open(url string) {
	b.Helper()
	b.do(chromedp.Navigate(url), chromedp.WaitReady("#main"))
}

// is evaluates an expression until it is true. While the page changes to another it cannot be evaluated.
func (b *tab) is(expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		var holds bool
		err := chromedp.Run(ctx, chromedp.Evaluate(`Boolean(`+expression+`)`, &holds))
		if err == nil && holds {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			var text string
			_ = chromedp.Run(b.ctx, chromedp.Evaluate(`document.title + "\n" + document.body.innerText.slice(0, 3000)`, &text))
			b.Fatalf("never true: %s: %v\n%s", expression, err, text)
		}
	}
}

func (b *tab) eval(expression string, into any) {
	b.Helper()
	b.do(chromedp.Evaluate(expression, into))
}

func (b *tab) press(keys string) {
	b.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// has reports whether the page's text holds a text, as an expression.
func has(text string) string {
	quoted, _ := json.Marshal(text)
	return fmt.Sprintf(`document.body.innerText.includes(%s)`, quoted)
}

// axe is the accessibility checker: https://github.com/dequelabs/axe-core.
var axe = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, ".tools", "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(file); err != nil {
		npm := exec.Command("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", filepath.Join(root, ".tools"), "axe-core@4.11.0")
		if out, err := npm.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm cannot install axe-core: %w\n%s", err, out)
		}
	}
	text, err := os.ReadFile(file)
	return string(text), err
})

// accessible checks the page as it stands with axe, and that nothing makes it wider than the window.
func (b *tab) accessible(where string) {
	b.Helper()
	script, err := axe()
	if err != nil {
		b.Fatal(err)
	}
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	b.do(chromedp.Evaluate(script+";0", nil), chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations)`, &found,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, one := range found {
		for _, node := range one.Nodes[:min(len(one.Nodes), 2)] {
			b.Errorf("%s: %s: %s\n%s\n%s", where, one.ID, one.Help, node.HTML, node.FailureSummary)
		}
	}
	var wide int
	b.eval(`document.documentElement.scrollWidth - innerWidth`, &wide)
	if wide > 0 {
		b.Errorf("%s is %d px wider than the window", where, wide)
	}
}

// workshop is a site where something has happened.
type workshop struct {
	*site
	delivery string
	failed   run.Ref
	running  run.Ref
	tests    *machine
}

func fill(t *testing.T) workshop {
	t.Helper()
	state := t.TempDir()
	s := serve(t, stateIn(state))
	w := workshop{site: s}
	w.tests = s.listener("web-tests", match.Rules{Repos: []string{"acme/web"}})
	deploy := s.listener("deploy", match.Rules{Repos: []string{"acme/*"}, Branches: []string{"main", "release/**"}})
	s.listener("docs", match.Rules{Repos: []string{"acme/docs"}, Branches: []string{"main"}, Files: []string{"docs/**"}})
	log := "\x1b[1m$ npm ci\x1b[0m\nadded 412 packages in 6s\n\x1b[1m$ npm test\x1b[0m\n" + strings.Repeat("\x1b[32m✓\x1b[0m src/cart.test.ts \x1b[2m(14 tests) 212ms\x1b[0m\n", 18)
	bad := log + "\x1b[31m✗\x1b[0m src/login.test.ts \x1b[2m(9 tests) 1043ms\x1b[0m\n  \x1b[31m→ expected 200 to be 401\x1b[0m\n    at src/login.test.ts:41:18\n\n\x1b[33mwarning\x1b[0m 2 deprecated calls\n\x1b[1;31m1 failed\x1b[0m, 263 passed\n"
	for i, p := range []event.PushSpec{
		{Branch: "main", Message: "Keep the cart when the session ends", Pusher: "octocat"},
		{Branch: "feature/search", Message: "Search: rank exact matches first", Pusher: "octocat"},
		{Branch: "fix/login-timeout", Message: "Log in again after a timeout", Pusher: "octocat"},
		{Branch: "release/2.4", Message: "Release 2.4", Pusher: "octocat"},
		{Branch: "main", Message: "Merge feature/search", Pusher: "octocat"},
	} {
		state, text := run.Passed, log
		if i == 2 {
			state, text = run.Failed, bad
		}
		w.delivery = s.push(p)
		ref := w.tests.take()
		end := w.write(ref, 0, text)
		zero, one := int64(0), int64(60)
		code := map[run.State]int{run.Failed: 1}[state]
		done := 0
		began := time.Now().Add(-time.Duration(20+7*i) * time.Second).UTC()
		middle, ended := began.Add(6*time.Second), began.Add(time.Duration(17+5*i)*time.Second)
		steps := []run.Step{
			{Step: 1, Name: "install", Status: run.Passed, ExitCode: &done, LogOffset: &zero, LogEnd: &one, StartedAt: &began, FinishedAt: &middle},
			{Step: 2, Name: "test", Status: state, ExitCode: &code, LogOffset: &one, LogEnd: &end, StartedAt: &middle, FinishedAt: &ended},
		}
		w.finish(ref, state, map[run.State]string{run.Failed: "step 2, test: exit status 1"}[state], func(f *finish) {
			f.ExitCode, f.LogBytes, f.Steps = &code, end, steps
		})
		if state == run.Failed {
			w.failed = ref
		}
		if i != 1 && i != 2 {
			d := deploy.take()
			w.finish(d, run.Passed, "")
		}
	}
	s.push(event.PushSpec{Repo: "acme/docs", Branch: "main", Message: "Say how to log in", Pusher: "octocat", Files: []string{"README.md"}})
	deploy.take()
	w.delivery = s.push(event.PushSpec{Branch: "dev", Message: "Try the new checkout form", Pusher: "octocat"})
	w.running = w.tests.take()
	w.write(w.running, 0, log)
	s.post("/listeners/docs/pause", url.Values{"note": {"the web server moves to another machine"}})
	s.push(event.PushSpec{Repo: "acme/docs", Branch: "main", Message: "Explain the login", Pusher: "octocat", Files: []string{"docs/login.md"}})
	deploy.take()
	if *screenshots != "" {
		w.past(filepath.Join(state, "admin", "admin.db"))
	}
	return w
}

// past has what happened have taken its time: pictures of a site whose runs all took nothing, just now, show little.
func (w workshop) past(path string) {
	w.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`BEGIN IMMEDIATE;
		UPDATE runs SET queued_at = queued_at - (SELECT 37e6 + 411e6 * (max(delivery) - runs.delivery) FROM runs AS all_runs);
		UPDATE runs SET started_at = queued_at + 1e6 WHERE started_at IS NOT NULL;
		UPDATE runs SET finished_at = started_at + coalesce((SELECT CAST(86400e6 *
			(julianday(json_extract(list, '$[#-1].finished_at')) - julianday(json_extract(list, '$[0].started_at'))) AS INTEGER) FROM steps WHERE run = seq), 48e6) WHERE finished_at IS NOT NULL;
		UPDATE attempts SET started_at = (SELECT started_at FROM runs WHERE seq = run), finished_at = (SELECT finished_at FROM runs WHERE seq = run);
		UPDATE deliveries SET received_at = (SELECT min(queued_at) FROM runs WHERE delivery = deliveries.seq);
		COMMIT`); err != nil {
		w.Fatal(err)
	}
}

// view is how somebody looks at a page.
type view struct {
	width, height int
	scheme        string
}

// TestEveryPageForEveryone looks at each page with axe, in both sizes and both colour schemes.
func TestEveryPageForEveryone(t *testing.T) {
	t.Parallel()
	w := fill(t)
	pages := map[string]string{
		"runs": "/", "run": "/runs/" + w.failed.Run, "running": "/runs/" + w.running.Run, "deliveries": "/deliveries",
		"delivery": "/deliveries/" + w.delivery, "listeners": "/listeners", "listener": "/listeners/web-tests", "nowhere": "/nowhere", "filtered": "/?branch=main&status=passed",
	}
	views := []view{{360, 740, "dark"}, {2560, 1400, "light"}}
	if *screenshots != "" {
		views = append(views, view{1280, 800, "light"}, view{1280, 800, "dark"})
	}
	for _, view := range views {
		name := fmt.Sprintf("%d-%s", view.width, view.scheme)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browse(t, view.width, view.height, view.scheme)
			for page, path := range pages {
				b.open(w.url + path)
				b.accessible(page + " at " + name)
				b.shoot(page + "-" + name)
			}
		})
	}
}

// pictures are the views that the docs show.
var pictures = map[string]string{"runs-1280-light": "runs", "run-1280-dark": "run", "delivery-1280-light": "delivery", "listeners-1280-dark": "listeners"}

// shoot writes a screenshot of a view that the docs show, when they are wanted.
func (b *tab) shoot(view string) {
	b.Helper()
	name := pictures[view]
	if *screenshots == "" || name == "" {
		return
	}
	var png []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().Do(ctx)
		return err
	}))
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
}

func TestLiveLogFromTheMiddle(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	s.push(event.PushSpec{Branch: "main"})
	ref := m.take()
	end := s.write(ref, 0, strings.Repeat("before\n", 300)+"half")
	b := browse(t, 900, 600, "light")
	b.open(s.url + "/runs/" + ref.Run)
	b.is(`document.querySelector("#follow").textContent === "Following" && document.querySelector("#L301 span").textContent === "half"`)
	end = s.write(ref, end, " a line\n\x1b[31mred <b>\x1b[0m\n")
	b.is(`document.querySelector("#L301 span").textContent === "half a line" && document.querySelector("#L302 .term-fg31")?.textContent === "red <b>"`)
	b.is(`scrollY + innerHeight >= document.documentElement.scrollHeight - 8`)
	end = s.write(ref, end, "mo")
	b.is(`document.querySelector("#L303 span").textContent === "mo"`)
	end = s.write(ref, end, "re") // the page grows no longer by this
	b.is(`document.querySelector("#L303 span").textContent === "more"`)
	b.eval(`scrollTo(0, 100)`, nil)
	b.is(`document.querySelector("#follow").textContent === "Follow"`)
	end = s.write(ref, end, "\nand more\n")
	b.is(`document.querySelector("#L304") && scrollY < 300`)
	end = s.write(ref, end, strings.Repeat("fast\n", 2000))
	b.is(has("came too fast to be shown here") + ` && document.querySelector("#L2304")`)
	s.finish(ref, run.Failed, "step 1: exit status 3", func(f *finish) { f.LogBytes = end })
	b.is(has("step 1: exit status 3") + ` && document.title.startsWith("✗ failed") && document.querySelector("#icon").href.endsWith("icon-failed.svg") && ` + has("Retry"))
}

func TestRunsAreLive(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	b := browse(t, 900, 600, "light")
	b.open(s.url + "/")
	b.is(has("No runs yet"))
	s.push(event.PushSpec{Branch: "main", Message: "Hello"})
	b.is(has("Waiting") + " && " + has("Hello"))
	ref := m.take()
	b.is(`document.title.startsWith("● 1 run now")`)
	s.finish(ref, run.Passed, "")
	b.is(`document.title.startsWith("✓") && ` + has("passed"))
}

func TestActing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	delivery := s.push(event.PushSpec{Branch: "main"})
	ref := m.take()
	b := browse(t, 900, 600, "light")
	b.open(s.url + "/runs/" + ref.Run)
	b.do(chromedp.Click(`//button[text()="Cancel"]`))
	b.is(has("The run was asked to end.") + " && " + has("Asked to end"))
	s.finish(ref, run.Cancelled, "")
	b.is(has("Retry"))
	b.open(s.url + "/deliveries/" + delivery)
	b.do(chromedp.Click(`//button[text()="Dry run"]`))
	b.is(has("A replay now would"))
	b.do(chromedp.Click(`//button[text()="Replay to all that match"]`))
	b.is(has("The delivery was replayed.") + ` && document.title.startsWith("○ queued")`)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	older := m.ran(event.PushSpec{Branch: "main"}, run.Passed, "")
	m.ran(event.PushSpec{Branch: "dev"}, run.Failed, "")
	b := browse(t, 900, 600, "light")
	b.open(s.url + "/")
	b.press("?")
	b.is(`document.querySelector("#help").open`)
	b.do(chromedp.Click(`#help button`))
	b.is(`!document.querySelector("#help").open`)
	b.press("j")
	b.press("j")
	b.press("k")
	b.press("j")
	b.is(`document.activeElement.getAttribute("href") === "/runs/` + older.Run + `"`)
	b.press("\r")
	b.is(`location.pathname === "/runs/` + older.Run + `" && document.readyState === "complete" && !document.querySelector("#keys").hidden`)
	b.press("/")
	b.is(`document.activeElement.name === "q"`)
	b.do(chromedp.Evaluate(`document.activeElement.blur()`, nil))
	b.press("g")
	b.press("l")
	b.is(`location.pathname === "/listeners"`)
}

func TestLoggingIn(t *testing.T) {
	t.Parallel()
	s := serve(t, withTokens("right"))
	b := browse(t, 360, 740, "dark")
	b.open(s.url + "/listeners")
	b.accessible("login")
	b.do(chromedp.SendKeys(`input[name=token]`, "wrong\r"))
	b.is(has("This token opens nothing here."))
	b.do(chromedp.SendKeys(`input[name=token]`, "right\r"))
	b.is(`location.pathname === "/listeners" && document.cookie === ""`)
	b.do(chromedp.Click(`//button[text()="Log out"]`))
	b.is(`location.pathname === "/login"`)
}

func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	m.ran(event.PushSpec{Branch: "main"}, run.Passed, "line\n")
	b := browse(t, 900, 600, "light")
	b.do(emulation.SetScriptExecutionDisabled(true))
	b.open(s.url + "/")
	b.do(chromedp.Click(`.row .open`), chromedp.WaitVisible(`#L1`), chromedp.Click(`//button[text()="Retry"]`), chromedp.WaitVisible(`//button[text()="Cancel"]`),
		chromedp.Click(`//button[text()="Cancel"]`), chromedp.WaitVisible(`//button[text()="Retry"]`))
	b.open(s.url + "/")
	b.do(chromedp.SendKeys(`input[name=branch]`, "nowhere\r"), chromedp.WaitVisible(`//h2[text()="No run fits this filter"]`))
}

// TestHostileTextInABrowser has names and output that would run scripts, break out of their place, or turn text around.
func TestHostileTextInABrowser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	hostile := `"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>` + "\u202e"
	ref := m.ran(event.PushSpec{Branch: hostile, Message: hostile, Pusher: hostile}, run.Failed, hostile+"\x1b]8;;javascript:window.pwned=1\x07x\x1b]8;;\x07\n")
	s.push(event.PushSpec{Branch: hostile})
	live := m.take()
	b := browse(t, 360, 740, "light")
	for _, path := range []string{"/", "/deliveries", "/runs/" + ref.Run, "/listeners/tests", "/runs/" + live.Run} {
		b.open(s.url + path)
		b.is(`document.readyState === "complete" && !window.pwned && document.querySelectorAll("main img:not([src^='/badge/']), main script").length === 0`)
	}
	s.write(live, 0, hostile+"\n")
	b.is(`document.querySelector("#L1") && !window.pwned && document.querySelectorAll("main img, main script").length === 0`)
}

// TestBigLogInABrowser opens a log of 64 MiB at its end, and a line in its middle.
func TestBigLogInABrowser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	text := strings.Repeat("0123456789012345678901234567890\n", 2<<20)
	ref := m.ran(event.PushSpec{Branch: "main"}, run.Passed, text)
	b := browse(t, 900, 600, "light")
	b.open(s.url + "/runs/" + ref.Run)
	b.is(`document.querySelector("#L2097152") && document.querySelectorAll(".l").length === 600`)
	b.do(chromedp.Click(`#earlier a`))
	b.is(`document.querySelectorAll(".l").length === 1200 && document.querySelector("#L2095953")`)
	b.open(s.url + "/runs/" + ref.Run + "#L1000000")
	b.is(`document.querySelector("#L1000000") && location.search.includes("line=1000000")`)
}
