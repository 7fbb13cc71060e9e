package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is where programs are looked up when a command's environment has no PATH.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// devNull is every command's input, opened once: a start costs no more than it must.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.Open(os.DevNull) })

// start starts a command that writes into out, as the leader of a new process group, in a cgroup if there is one.
func start(c Command, out *os.File, in *cgroup) (*os.Process, error) {
	program, err := lookUp(c)
	if err != nil {
		return nil, err
	}
	null, err := devNull()
	if err != nil {
		return nil, &StartError{"its input could not be opened", err}
	}
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: []*os.File{null, out, out}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	in.admit(attr.Sys)
	p, err := launch(program, c.Argv, attr)
	if err != nil && in != nil { // a cgroup may come to be closed to us; its tree is then found as where there is none
		attr.Sys = &syscall.SysProcAttr{Setpgid: true}
		p, err = launch(program, c.Argv, attr)
	}
	if err != nil {
		return nil, explain(c, err)
	}
	return p, nil
}

// explain turns a failed start into words. The kernel gives the same error for a missing folder, a missing
// program and a missing interpreter, so the folder is looked at first.
func explain(c Command, err error) error {
	if info, statErr := os.Stat(c.Dir); statErr != nil {
		return &StartError{"its folder " + cannot(statErr), fmt.Errorf("cwd %s: %w", c.Dir, statErr)}
	} else if !info.IsDir() {
		return &StartError{"its folder is a file", fmt.Errorf("cwd %s is not a folder", c.Dir)}
	}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return &StartError{"its command is not a program of this machine, and has no #! line", err}
	case errors.Is(err, syscall.E2BIG):
		return &StartError{"its arguments and environment are too long", err}
	case errors.Is(err, syscall.EINVAL):
		return &StartError{"an argument or variable holds a NUL byte", err}
	case errors.Is(err, syscall.ENOENT):
		return &StartError{"its command, or the interpreter in its #! line, does not exist", err}
	}
	return &StartError{"its command " + cannot(err), err}
}

// cannot says why something could not be used, without naming it.
func cannot(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "may not be used: permission denied"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return "could not be used: " + errno.Error()
	}
	return "could not be used"
}

// lookUp finds a command's program as its own shell would: by the PATH that it gets, from the folder that it
// runs in. exec.LookPath asks the listener's own.
func lookUp(c Command) (string, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "", &StartError{"it has no command", errors.New("command is empty")}
	}
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	var found error
	for _, dir := range filepath.SplitList(pathOf(c.Env)) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		file := filepath.Join(dir, name)
		err := executable(file)
		if err == nil {
			return file, nil
		}
		if found == nil && errors.Is(err, fs.ErrPermission) {
			found = fmt.Errorf("%s: %w", file, err)
		}
	}
	if found != nil {
		return "", &StartError{"its command may not be used: permission denied", found}
	}
	return "", &StartError{"its command was not found in PATH", fmt.Errorf("%q was not found in PATH", name)}
}

func executable(file string) error {
	if err := unix.Access(file, unix.X_OK); err != nil { // of most folders in PATH that is all there is to ask
		return err
	}
	info, err := os.Stat(file)
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	return err
}

// pathOf returns the value of the last PATH in env, which is the one that counts.
func pathOf(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if path, ok := strings.CutPrefix(env[i], "PATH="); ok {
			return path
		}
	}
	return defaultPath
}
