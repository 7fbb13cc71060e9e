package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Over ssh a tree is had by the machine's own keys and settings. A key that the server does not take, and a server that
// is not the known one, are the reason, in ssh's words; nobody is asked anything.
func TestSSH(t *testing.T) {
	r := newRepo(t)
	sha := r.push("main", "one")
	server := startSSH(t)
	bin := server.command(t)
	t.Run("ssh of the machine", func(t *testing.T) {
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		server.trees(t, r, sha, "ssh://known"+r.dir, "known:"+r.dir)
		if asked := content(t, filepath.Join(bin, "asked")); !strings.Contains(asked, "BatchMode=yes") || !strings.Contains(asked, "ServerAliveInterval=") {
			t.Errorf("ssh was called with %s", asked)
		}
	})
	t.Run("GIT_SSH_COMMAND", func(t *testing.T) {
		t.Setenv("GIT_SSH_COMMAND", "ssh -F "+server.config)
		server.trees(t, r, sha, "ssh://known"+r.dir)
	})
	t.Run("core.sshCommand", func(t *testing.T) {
		home := t.TempDir()
		t.Setenv("HOME", home)
		server.write(t, filepath.Join(home, ".gitconfig"), "[core]\n\tsshCommand = ssh -F "+server.config+"\n")
		server.trees(t, r, sha, "ssh://known"+r.dir)
	})
	t.Run("refused", func(t *testing.T) {
		t.Setenv("GIT_SSH_COMMAND", "ssh -F "+server.config)
		server.refusals(t, r, sha)
	})
}

// sshd is a server that lets in who runs the test, by one key.
type sshd struct {
	dir    string
	config string // of clients: the hosts "known", "denied" and "changed" are the server
	user   string
}

// startSSH starts Debian's sshd on loopback, with keys and settings of its own.
func startSSH(t *testing.T) *sshd {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{dir: t.TempDir(), user: me.Username}
	s.config = filepath.Join(s.dir, "config")
	for _, key := range []string{"host", "other-host", "mine", "nobodys"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", filepath.Join(s.dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	s.write(t, filepath.Join(s.dir, "authorized"), content(t, filepath.Join(s.dir, "mine.pub")))
	for name, key := range map[string]string{"known": "host", "changed": "other-host"} {
		s.write(t, filepath.Join(s.dir, name), name+" "+content(t, filepath.Join(s.dir, key+".pub")))
	}
	s.serve(t, s.listen(t))
	return s
}

func (s *sshd) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listen writes the settings of both sides, and returns a socket that the server's connections come from.
func (s *sshd) listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(s.dir, "sshd_config"), fmt.Sprintf(
		"HostKey %[1]s/host\nAuthorizedKeysFile %[1]s/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n", s.dir))
	var hosts strings.Builder
	for name, keys := range map[string][2]string{"known": {"mine", "known"}, "denied": {"nobodys", "known"}, "changed": {"mine", "changed"}} {
		alias := name
		if name == "denied" {
			alias = "known"
		}
		fmt.Fprintf(&hosts, "Host %s\n HostName 127.0.0.1\n Port %d\n User %s\n HostKeyAlias %s\n IdentityFile %s\n UserKnownHostsFile %s\n",
			name, l.Addr().(*net.TCPAddr).Port, s.user, alias, filepath.Join(s.dir, keys[0]), filepath.Join(s.dir, keys[1]))
	}
	s.write(t, s.config, hosts.String()+"Host *\n IdentitiesOnly yes\n IdentityAgent none\n GlobalKnownHostsFile none\n")
	return l
}

// serve gives each connection an sshd of its own, as inetd does: so there is no port to be waited for.
func (s *sshd) serve(t *testing.T, l net.Listener) {
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where the system has not been started as a whole
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	var said bytes.Buffer
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", said.String())
		}
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			file, err := conn.(*net.TCPConn).File()
			_ = conn.Close()
			if err != nil {
				continue
			}
			one := exec.Command("/usr/sbin/sshd", "-i", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
			one.Stdin, one.Stdout = file, file
			out, _ := one.StderrPipe()
			err = one.Start()
			_ = file.Close()
			if err != nil {
				return
			}
			_, _ = said.ReadFrom(out)
			_ = one.Wait()
		}
	})
}

// command makes a folder with an ssh that knows the server, and notes what it is asked. It stands for settings of the
// user's home, which ssh looks up by the user and not by HOME.
func (s *sshd) command(t *testing.T) string {
	t.Helper()
	real, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s/asked\nexec %s -F %s \"$@\"\n", bin, real, s.config)
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// trees checks out from each address.
func (s *sshd) trees(t *testing.T, r *repo, sha string, urls ...string) {
	t.Helper()
	f := newFixture(t)
	for _, url := range urls {
		if text := content(t, filepath.Join(f.get(f.want(url, "refs/heads/main", sha)), "file")); text != "one" {
			t.Errorf("%s: the file says %q", url, text)
		}
	}
}

// refusals asks, all at once, for what is not to be had.
func (s *sshd) refusals(t *testing.T, r *repo, sha string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for url, why := range map[string]string{
		"ssh://denied" + r.dir:         "git fetch failed: " + s.user + "@127.0.0.1: Permission denied (publickey).",
		"ssh://changed" + r.dir:        "git fetch failed: Host key verification failed.",
		"ssh://known" + r.dir + "-not": "git fetch failed: fatal: '" + r.dir + "-not' does not appear to be a git repository",
	} {
		all.Go(func() {
			f := newFixture(t)
			_, err := f.store.Checkout(ctx, f.want(url, "refs/heads/main", sha))
			var known *Error
			if !errors.As(err, &known) || !strings.HasPrefix(known.Reason, why) {
				t.Errorf("%s: got %v, want %s\n%s", url, err, why, f.said.String())
			}
		})
	}
	all.Wait()
}
