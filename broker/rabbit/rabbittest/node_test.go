package rabbittest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestNothingIsLeft holds the promise that a killed test binary leaves no process and no folder. It kills a
// copy of itself that has started a node.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), "RABBITTEST_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the victim says nothing: %v", err)
	}
	dir = strings.TrimSpace(dir)
	if len(processesOf(dir)) < 2 {
		t.Fatalf("processes with HOME=%s: %v, want the server, epmd and more", dir, processesOf(dir))
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := os.Stat(dir)
		left := processesOf(dir)
		if os.IsNotExist(err) && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: folder %s (%v), processes %v", dir, err, left)
		}
	}
}

// TestVictim is what TestNothingIsLeft kills.
func TestVictim(t *testing.T) {
	if os.Getenv("RABBITTEST_VICTIM") == "" {
		return
	}
	_, _ = os.Stdout.WriteString(Start(t).dir + "\n")
	select {}
}

// processesOf lists the processes that have a folder as HOME.
func processesOf(dir string) []string {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	var found []string
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		if strings.Contains("\x00"+string(environ), "\x00HOME="+dir+"\x00") {
			found = append(found, path)
		}
	}
	return found
}
