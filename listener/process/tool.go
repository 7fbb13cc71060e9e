package process

import (
	"context"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// toolGrace is how long a Tool may take to put its files in order after SIGTERM.
const toolGrace = 400 * time.Millisecond

// Tool is a program that lightspeed itself needs for a run, such as git. It runs beside the trees, in a session
// of its own: it has no terminal to ask questions on, and ends with this process where the system knows how.
type Tool struct {
	Argv   []string // program and arguments; a program without a slash is looked up in this process's PATH
	Dir    string   // folder that it runs in
	Env    []string // its whole environment, "NAME=value"
	Input  io.Reader
	Output io.Writer // gets stdout; nil: thrown away
	Errors io.Writer // gets stderr; nil: thrown away
}

// Run runs the tool and waits for it. When ctx ends it, and what it has started, get SIGTERM and soon SIGKILL: Run
// returns within a second. The error is an *exec.ExitError when the tool ended by itself and not with 0.
func (t Tool) Run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	runtime.LockOSThread() // what ends the tool with us is bound to the thread that starts it
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, t.Argv[0], t.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = t.Dir, t.Env, t.Input, t.Output, t.Errors
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	endWithUs(cmd.SysProcAttr)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = toolGrace
	if err := startTool(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it had started and left
		err = context.Cause(ctx)
	}
	commands.pids.Delete(cmd.Process.Pid)
	return err
}

// startTool starts a tool as a child that is waited for: whoever reaps orphans leaves it alone.
func startTool(cmd *exec.Cmd) error {
	commands.RLock()
	defer commands.RUnlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	commands.pids.Store(cmd.Process.Pid, struct{}{})
	return nil
}
