// Package fleet starts real lightspeed processes on loopback for the chaos run, the benchmarks and the fault
// tests: builds the binary, waits for ready lines, kills, freezes and stops. Nothing that it starts outlives
// the program that started it. It is for Linux, and for tests only.
package fleet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the lightspeed binary of the module at root, as it is shipped but for the flags, into dir.
func Build(ctx context.Context, root, dir string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "lightspeed")
	args := append([]string{"build", "-tags=urfave_cli_no_docs", "-trimpath", "-ldflags=-s -w", "-o", bin}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, ".")...)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lightspeed: %w\n%s", err, out)
	}
	return bin, nil
}

// Port returns a TCP port on loopback that was free a moment ago. It is below those that outgoing connections
// get: a server that is killed finds it free again.
func Port() (int, error) {
	var failed error
	for range 100 {
		port := 10000 + rand.IntN(20000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
		failed = err
	}
	return 0, failed
}

// Process is one running program of the fleet.
type Process struct {
	Name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
	err  error

	mu    sync.Mutex
	ready []string // ready lines so far
	more  chan struct{}
	log   *tail
}

// Command says how to start a Process.
type Command struct {
	Name string // for messages
	Path string
	Args []string
	Env  []string // added to a bare PATH, HOME
	Dir  string
}

// Start starts a process that dies with this one.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}, c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &Process{Name: c.Name, cmd: cmd, done: make(chan struct{}), more: make(chan struct{}), log: &tail{}}
	cmd.Stderr = p.log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go p.own(stdout, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// own starts, reads and waits on one OS thread: the kernel sends Pdeathsig when the thread that forked ends.
func (p *Process) own(stdout io.Reader, started chan<- error) {
	runtime.LockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.line(lines.Text())
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

func (p *Process) line(text string) {
	if !strings.HasPrefix(text, "ready ") {
		_, _ = p.log.Write([]byte(text + "\n"))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, text)
	close(p.more)
	p.more = make(chan struct{})
}

// Ready waits for a line that begins with "ready " and prefix, and returns what follows it.
func (p *Process) Ready(ctx context.Context, prefix string) (string, error) {
	for {
		p.mu.Lock()
		more := p.more
		for _, line := range p.ready {
			if rest, ok := strings.CutPrefix(line, "ready "+prefix); ok {
				p.mu.Unlock()
				return strings.TrimSpace(rest), nil
			}
		}
		p.mu.Unlock()
		select {
		case <-more:
		case <-p.done:
			return "", fmt.Errorf("%s ended before it was ready: %v\n%s", p.Name, p.err, p.log)
		case <-ctx.Done():
			return "", fmt.Errorf("%s was not ready in time: %w\n%s", p.Name, ctx.Err(), p.log)
		}
	}
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as kill -9 does and waits for it.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its whole group: it may have been started by another (strace)
	<-p.done
}

// Signal sends one.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Stop sends SIGTERM and waits at most d; then it kills and says so.
func (p *Process) Stop(d time.Duration) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		var exit *exec.ExitError
		if errors.As(p.err, &exit) {
			return fmt.Errorf("%s: %w\n%s", p.Name, p.err, p.log)
		}
		return nil
	case <-time.After(d):
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM\n%s", p.Name, d, p.log)
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Killed reports whether SIGKILL ended the process.
func (p *Process) Killed() bool {
	select {
	case <-p.done:
	default:
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Log returns the end of what the process wrote to stderr.
func (p *Process) Log() string { return p.log.String() }

// PeakMemory returns the most memory that the process has had resident, in bytes.
func (p *Process) PeakMemory() (int64, error) { return memory(p.PID(), "VmHWM:") }

// Memory returns what the process has resident now, in bytes.
func (p *Process) Memory() (int64, error) { return memory(p.PID(), "VmRSS:") }

func memory(pid int, field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of process %d", field, pid)
}

// tail keeps the last 64 KiB written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - 64<<10; over > 0 {
		t.kept = bytes.Clone(t.kept[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
