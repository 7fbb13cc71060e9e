package crash

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// point is one place where a process is killed, and the scenario that leads there.
type point struct {
	name  string // as in the code
	nth   int    // the how manieth time it is reached; 0 is the first
	role  string // who dies
	play  func(*world, point)
	again bool   // with on_lost requeue
	first string // the statuses of the first run's attempts at the end; "" is "passed", as for all the others
}

func (p point) fault() string { return p.name + ":" + strconv.Itoa(max(p.nth, 1)) }

// points are all that stand in the code, some several times: TestEveryPointIsKilledAt sees to it.
var points = []point{
	// hooks, while admin is well.
	{name: "hooks.delivering", role: "hooks", play: pushes},
	{name: "hooks.delivered", role: "hooks", play: pushes},
	{name: "hooks.answering", role: "hooks", play: pushes},
	// hooks, while admin is away, and when it is back.
	{name: "hooks.answering", role: "hooks", play: spooled},
	{name: "spool.file.written", role: "hooks", play: spooled},
	{name: "spool.file.written", nth: 2, role: "hooks", play: spooled},
	{name: "spool.file.synced", role: "hooks", play: spooled},
	{name: "spool.named", role: "hooks", play: spooled},
	{name: "spool.named", nth: 3, role: "hooks", play: spooled},
	{name: "spool.synced", role: "hooks", play: spooled},
	{name: "hooks.forwarded", role: "hooks", play: spooled},
	{name: "spool.removed", role: "hooks", play: spooled},
	{name: "spool.removed", nth: 2, role: "hooks", play: spooled},
	{name: "spool.set-aside", role: "hooks", play: refused},

	// admin's writer: the first commit is the registration, then come deliveries, claims and ends.
	{name: "store.committing", nth: 1, role: "admin", play: pushes},
	{name: "store.committing", nth: 2, role: "admin", play: pushes},
	{name: "store.committing", nth: 3, role: "admin", play: pushes},
	{name: "store.committing", nth: 4, role: "admin", play: pushes},
	{name: "store.committing", nth: 5, role: "admin", play: pushes},
	{name: "store.committed", nth: 1, role: "admin", play: pushes},
	{name: "store.committed", nth: 2, role: "admin", play: pushes},
	{name: "store.committed", nth: 3, role: "admin", play: pushes},
	{name: "store.committed", nth: 4, role: "admin", play: pushes},
	{name: "store.answering", nth: 1, role: "admin", play: pushes},
	{name: "store.answering", nth: 3, role: "admin", play: pushes},
	{name: "store.answering", nth: 4, role: "admin", play: pushes},
	{name: "admin.registered", role: "admin", play: pushes},
	{name: "admin.accepting", role: "admin", play: pushes},
	{name: "admin.accepted", role: "admin", play: pushes},
	{name: "admin.claimed", role: "admin", play: pushes},
	{name: "admin.log.appending", role: "admin", play: pushes},
	{name: "admin.log.timed", role: "admin", play: pushes},
	{name: "admin.log.appended", role: "admin", play: pushes},
	{name: "admin.finish.syncing", role: "admin", play: pushes},
	{name: "admin.finish.logged", role: "admin", play: pushes},
	{name: "admin.finish.committed", role: "admin", play: pushes},
	{name: "admin.giving-up", role: "admin", play: givenUp, first: "lost"},
	{name: "admin.gave-up", role: "admin", play: givenUp, first: "lost"},
	{name: "admin.judged", role: "admin", play: judged, first: "none"},
	{name: "admin.artifact.appending", role: "admin", play: built},
	{name: "admin.artifact.appended", role: "admin", play: built},
	{name: "admin.pruned", nth: 2, role: "admin", play: pruned}, // the first round is at the start
	{name: "admin.pruned.files", role: "admin", play: pruned},
	{name: "admin.recovering", role: "admin", play: missed},

	// A listener: what it had not written down has not started, and what it had not seen to its end is lost.
	// Its journal's records of an attempt are the claim, the process and the result, in this order.
	{name: "journal.instance.written", role: "listener", play: pushes},
	{name: "journal.instance.named", role: "listener", play: pushes},
	{name: "listener.registered", role: "listener", play: pushes},
	{name: "listener.claimed", role: "listener", play: pushes, first: "not_started passed"},
	{name: "journal.claiming", role: "listener", play: pushes, first: "not_started passed"},
	{name: "journal.recorded", nth: 1, role: "listener", play: pushes, first: "lost"},
	{name: "listener.journaled", role: "listener", play: pushes, first: "lost"},
	{name: "listener.starting", role: "listener", play: pushes, first: "lost"},
	{name: "listener.started", role: "listener", play: pushes, first: "lost"},
	{name: "journal.recorded", nth: 2, role: "listener", play: pushes, first: "lost"},
	{name: "journal.log.timed", role: "listener", play: gated, first: "lost"},
	{name: "journal.log.written", role: "listener", play: gated, first: "lost"},
	{name: "listener.log.sending", role: "listener", play: gated, first: "lost"},
	{name: "listener.log.sent", role: "listener", play: gated, first: "lost"},
	{name: "listener.renewed", role: "listener", play: gated, first: "lost"},
	{name: "listener.ended", role: "listener", play: pushes, first: "lost"},
	{name: "journal.recorded", nth: 3, role: "listener", play: pushes},
	{name: "listener.start.told", role: "listener", play: pushes, first: "lost"},
	{name: "listener.settled", role: "listener", play: pushes},
	{name: "listener.end.told", role: "listener", play: pushes},
	{name: "listener.finishing", role: "listener", play: pushes},
	{name: "listener.finished", role: "listener", play: pushes},
	{name: "journal.records.removed", role: "listener", play: pushes},
	{name: "journal.removed", role: "listener", play: pushes},
	// A listener whose config is swapped while a run goes on: the second registration tells of it.
	{name: "listener.swapped", role: "listener", play: reloaded, first: "lost"},
	{name: "listener.registered", nth: 2, role: "listener", play: reloaded, first: "lost"},
	// A listener whose runs have a fresh tree each, and keep a file.
	{name: "listener.workspace.made", role: "listener", play: built, first: "lost"},
	{name: "listener.keeping", role: "listener", play: built},
	{name: "listener.artifacts.collected", role: "listener", play: built},
	{name: "listener.workspace.leaving", role: "listener", play: built},
	{name: "listener.artifact.sending", role: "listener", play: built},
	{name: "listener.polled", role: "listener", play: polled},
	// With on_lost requeue: what may have run has another attempt.
	{name: "journal.claiming", role: "listener", play: pushes, again: true, first: "not_started passed"},
	{name: "listener.starting", role: "listener", play: pushes, again: true, first: "lost passed"},
	{name: "listener.started", role: "listener", play: gated, again: true, first: "lost passed"},
	{name: "listener.ended", role: "listener", play: pushes, again: true, first: "lost passed"},
	{name: "journal.recorded", nth: 3, role: "listener", play: pushes, again: true},
	{name: "listener.leftovers.ended", role: "listener", play: cutOff, again: true, first: "lost passed"},
	{name: "admin.giving-up", role: "admin", play: givenUp, again: true, first: "lost passed"},
	{name: "admin.gave-up", role: "admin", play: givenUp, again: true, first: "lost passed"},
	// A listener that was killed in mid run, and is killed again while it settles that.
	{name: "listener.leftovers.ended", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.registered", role: "listener", play: cutOff, first: "lost"},
	{name: "journal.recorded", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.settled", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.log.sending", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.finishing", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.finished", role: "listener", play: cutOff, first: "lost"},
	{name: "listener.lost.told", role: "listener", play: cutOff, first: "lost"},
	{name: "journal.records.removed", role: "listener", play: cutOff, first: "lost"},
}

// Promises 1, 2 and 7, at every point: the process that gets there is killed and started again.
func TestKilledAtEveryPoint(t *testing.T) {
	for _, p := range points {
		t.Run(p.fault(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.listener("machine", settings{"on_lost": map[bool]string{false: "fail", true: "requeue"}[p.again]}, nil)
			p.play(w, p)
			if err := <-w.doomed; err != nil {
				t.Fatalf("%s: %v", p.fault(), err)
			}
			w.awaitSettled(p.first) // what a gated script left waits at its gate until then
			w.open()
			w.settle()
			w.check()
			w.checkKept()
			w.checkAttempts(p.first)
		})
	}
}

// A point that is in the code and in no test, or the reverse, is a mistake.
func TestEveryPointIsInTheTable(t *testing.T) {
	inCode := pointsInCode(t)
	var inTable []string
	for _, p := range points {
		inTable = append(inTable, p.name)
		if !slices.Contains(inCode, p.name) {
			t.Errorf("%s is in the table, and not in the code", p.name)
		}
	}
	for i, name := range inCode {
		if !slices.Contains(inTable, name) {
			t.Errorf("%s is in the code, and nobody is killed there", name)
		}
		if slices.Contains(inCode[:i], name) {
			t.Errorf("%s is in the code twice: which one is meant?", name)
		}
	}
}

func pointsInCode(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`fault\.Point\("([^"]*)"\)`)
	var names []string
	for _, folder := range []string{"hooks", "admin", "listener"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			source, err := os.ReadFile(path)
			for _, found := range call.FindAllSubmatch(source, -1) {
				names = append(names, string(found[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
