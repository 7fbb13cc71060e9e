package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// childDir names the folder in which the test binary, started once more, works until it is killed.
const childDir = "LIGHTSPEED_TEST_SPOOL"

// putUntilKilled puts deliveries from several goroutines and takes some out again, for ever. It says "put ID"
// after Put has returned, and "taken ID" before Done is called: what is put and not taken must be there.
func putUntilKilled(dir string, out io.Writer) int {
	s, err := Open(dir, room, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var saying sync.Mutex
	say := func(what, id string) {
		saying.Lock()
		defer saying.Unlock()
		fmt.Fprintln(out, what, id) // one write: a line is there whole or not at all
	}
	failed := make(chan error)
	for putter := range 4 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), putter, n)
				if err := s.Put(delivery(id, strings.Repeat(id, 1+n*97%1000))); err != nil {
					failed <- err
				}
				say("put", id)
			}
		}()
	}
	go func() {
		for range s.Added() {
			e, ok := s.Next()
			if !ok {
				continue
			}
			d, err := s.Read(e)
			if err == nil {
				say("taken", d.ID)
				err = s.Done(e)
			}
			if err != nil {
				failed <- err
			}
		}
	}()
	fmt.Fprintln(os.Stderr, <-failed)
	return 1
}

// Promise 1: what Put acknowledged outlives kill -9 at any moment, once and whole.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	held := map[string]bool{} // acknowledged, and not yet taken
	seen := map[string]bool{} // taken at any time
	for round := range 9 {
		killedWhileWorking(t, dir, held, seen)
		if round%3 == 2 { // otherwise the next child finds what this one has left
			checkAll(t, dir, held, seen)
		}
	}
	if len(seen) == 0 {
		t.Fatal("no child came far enough to show anything")
	}
}

// killedWhileWorking runs one child and kills it at a random moment.
func killedWhileWorking(t *testing.T, dir string, held, seen map[string]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var killed *time.Timer
	for lines.Scan() {
		if killed == nil { // it works: a little later it is gone
			killed = time.AfterFunc(rand.N(300*time.Millisecond), func() { _ = child.Process.Kill() })
		}
		what, id, _ := strings.Cut(lines.Text(), " ")
		if what == "put" {
			held[id] = !seen[id] // the two lines of one id may come in either order
			continue
		}
		seen[id] = true
		delete(held, id)
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() > 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	for id, is := range held {
		if !is {
			delete(held, id)
		}
	}
}

// checkAll empties the spool and compares it with what was said.
func checkAll(t *testing.T, dir string, held, seen map[string]bool) {
	t.Helper()
	s := open(t, dir, room)
	defer s.Close()
	found := map[string]bool{}
	last := map[string]int{}
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		d, err := s.Read(e)
		if errors.Is(err, ErrDamaged) || err != nil {
			t.Fatalf("a file is not whole: %v", err)
		}
		if found[d.ID] {
			t.Errorf("%s is there twice", d.ID)
		}
		found[d.ID] = true
		at := strings.LastIndex(d.ID, "-")
		var n int
		fmt.Sscan(d.ID[at+1:], &n)
		if n < last[d.ID[:at]] {
			t.Errorf("%s comes after number %d of its putter", d.ID, last[d.ID[:at]])
		}
		last[d.ID[:at]] = n
		if err := s.Done(e); err != nil {
			t.Fatal(err)
		}
	}
	for id := range held {
		if !found[id] {
			t.Errorf("%s was acknowledged and is gone", id)
		}
	}
	t.Logf("%d acknowledged, %d found, %d taken before", len(held), len(found), len(seen))
	clear(held)
	for id := range found {
		seen[id] = true
	}
	if got := files(t, dir); got != nil {
		t.Errorf("left over: %v", got)
	}
}
