package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/fleet"
)

// Every secret is changed while deliveries keep coming, as docs/operations.md says: the webhook secret, the token of each
// caller, admin's certificate and its authority, the listeners' password at the broker. No delivery is refused or lost, none runs
// twice, and what is old opens nothing afterwards.
func TestRotation(t *testing.T) {
	s := newSet(t)
	for _, one := range []struct{ name, ready string }{{"admin", "admin"}, {"hooks", "hooks"}, {"listener-1", "listen site"}, {"listener-2", "listen site"}} {
		s.start(one.name, one.ready)
	}
	old := readAll(t, s.secrets)
	load := s.startLoad(strings.TrimSpace(old["webhook-secret"]))
	new := s.newSecrets(old)

	// Both are taken where they are checked, and the new ones are shown.
	s.write("webhook-secret", old["webhook-secret"]+new["webhook-secret"])
	s.write("ca.pem", old["ca.pem"]+new["ca.pem"])
	for _, name := range []string{"hooks-token", "listener-token", "admin-token", "listener-rabbit-url"} {
		s.write(name, new[name])
	}
	s.restart("hooks", "listener-1", "listener-2")
	load.secret.Store(strings.TrimSpace(new["webhook-secret"]))
	s.write("admin-key.pem", new["admin-key.pem"])
	s.write("admin-cert.pem", new["admin-cert.pem"])
	s.awaitCertificate()

	// The old ones go.
	s.write("webhook-secret", new["webhook-secret"])
	s.write("ca.pem", new["ca.pem"])
	s.restart("hooks", "admin", "listener-1", "listener-2")
	sent := load.stop(s.t)
	s.awaitPassed(sent)
	s.awaitBroker(2)
	s.refusesOld(old)
}

// newSecrets makes a second one of everything, and lets admin and the broker know those that they keep.
func (s *set) newSecrets(old map[string]string) map[string]string {
	s.t.Helper()
	node := rabbittest.Start(s.t)
	new := readAll(s.t, makeSecrets(s.t, node.Addr()))
	new["hooks-token"] = s.ask(0, "token", "create", "hooks")
	new["listener-token"] = s.ask(0, "token", "create", "listener")
	new["admin-token"] = s.ask(0, "token", "create", "admin")
	node.User(s.t, "second-listener", "second-password")
	node.Grant(s.t, "second-listener", "lightspeed", "", "", `^ls\.job\.site$`)
	new["listener-rabbit-url"] = node.URL("second-listener", "second-password", "lightspeed") + "\n"
	for name := range new {
		if new[name] == "" || new[name] == old[name] && name != "listeners" {
			s.t.Fatalf("the new %s is %q", name, new[name])
		}
	}
	return new
}

// write puts a file in place whole, as an operator should.
func (s *set) write(name, text string) {
	s.t.Helper()
	path := s.secret(name)
	err := os.WriteFile(path+".new", []byte(text), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// restart ends services one after the other as an operator does, and starts each again.
func (s *set) restart(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if err := s.started[name].Stop(patience); err != nil {
			s.t.Fatal(err)
		}
		ready := name
		if strings.HasPrefix(name, "listener") {
			ready = "listen site"
		}
		s.start(name, ready)
	}
}

// awaitCertificate waits until admin serves the certificate that is in the file.
func (s *set) awaitCertificate() {
	s.t.Helper()
	want, err := tls.LoadX509KeyPair(s.secret("admin-cert.pem"), s.secret("admin-key.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", s.admin, &tls.Config{InsecureSkipVerify: true}) // it is compared with the file
		if err != nil {
			s.t.Fatal(err)
		}
		served := conn.ConnectionState().PeerCertificates[0].Raw
		_ = conn.Close()
		if bytes.Equal(served, want.Certificate[0]) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("admin never served the new certificate")
		}
	}
}

// load sends one delivery after the other until it is stopped.
type load struct {
	secret atomic.Value // string
	end    context.CancelFunc
	done   sync.WaitGroup
	sent   []string // ids that were promised
	failed error    // an answer that no sender should see
}

func (s *set) startLoad(secret string) *load {
	ctx, end := context.WithCancel(s.t.Context())
	l := &load{end: end}
	l.secret.Store(secret)
	l.done.Go(func() {
		client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
		defer client.CloseIdleConnections()
		for n := 1; ctx.Err() == nil && l.failed == nil; n++ {
			id := fmt.Sprintf("load-%d", n)
			if l.failed = l.send(client, "http://"+s.hooks+"/receive_hook", id); l.failed == nil {
				l.sent = append(l.sent, id)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	s.t.Cleanup(func() { l.end(); l.done.Wait() })
	return l
}

// send sends a delivery, and again as long as nobody answers: hooks is starting.
func (l *load) send(client *http.Client, url, id string) error {
	p := fleet.NewPush(id, "me/my-app", id, "")
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := p.Post(context.Background(), client, url, l.secret.Load().(string))
		if refused := (*fleet.Refused)(nil); err == nil || errors.As(err, &refused) || time.Now().After(deadline) {
			return err
		}
	}
}

// stop returns the ids of all that was sent.
func (l *load) stop(t *testing.T) []string {
	t.Helper()
	l.end()
	l.done.Wait()
	if l.failed != nil {
		t.Fatal(l.failed)
	}
	return l.sent
}

// awaitPassed waits until each delivery has had one run, which was started once and passed.
func (s *set) awaitPassed(sent []string) {
	s.t.Helper()
	if len(sent) < 10 {
		s.t.Fatalf("only %d deliveries were sent meanwhile", len(sent))
	}
	s.t.Logf("%d deliveries while everything was changed", len(sent))
	var runs map[string][]string
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if runs = s.runs(); len(runs) >= len(sent) && !strings.Contains(fmt.Sprint(runs), "queued") && !strings.Contains(fmt.Sprint(runs), "running") {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not every run ended: %v", runs)
		}
	}
	for _, id := range sent {
		if got := strings.Join(runs[id], " "); got != "passed, passed" {
			s.t.Errorf("delivery %s: %q", id, got)
		}
	}
}

// runs are the states of all runs, each with those of its attempts that were started, by delivery.
func (s *set) runs() map[string][]string {
	s.t.Helper()
	found := map[string][]string{}
	for before := ""; ; {
		var page struct {
			Items []struct {
				Delivery, Status string
				Attempts         []struct{ Status string }
			}
			Next *string
		}
		args := []string{"runs", "list", "--json", "--limit", "200"}
		if before != "" {
			args = append(args, "--before", before)
		}
		if err := json.Unmarshal([]byte(s.ask(0, args...)), &page); err != nil {
			s.t.Fatal(err)
		}
		for _, r := range page.Items {
			tried := r.Status
			for _, attempt := range r.Attempts {
				if attempt.Status != "not_started" { // given back by a listener that was about to end
					tried += ", " + attempt.Status
				}
			}
			found[r.Delivery] = append(found[r.Delivery], tried)
		}
		if page.Next == nil {
			return found
		}
		before = *page.Next
	}
}

// refusesOld checks that nothing of before opens anything.
func (s *set) refusesOld(old map[string]string) {
	s.t.Helper()
	for _, name := range []string{"admin-token", "hooks-token", "listener-token"} {
		file := filepath.Join(s.dir, "old-"+name)
		if err := os.WriteFile(file, []byte(old[name]), 0o600); err != nil {
			s.t.Fatal(err)
		}
		if out := s.ask(1, "runs", "list", "--token-file", file); !strings.Contains(out, "a bearer token that admin knows is needed") {
			s.t.Errorf("with the old %s: %s", name, out)
		}
	}
	authority := filepath.Join(s.dir, "old-ca.pem")
	if err := os.WriteFile(authority, []byte(old["ca.pem"]), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if out := s.ask(1, "runs", "list", "--tls-ca", authority); !strings.Contains(out, "certificate") {
		s.t.Errorf("with the old authority: %s", out)
	}
	stale := &load{}
	stale.secret.Store(strings.TrimSpace(old["webhook-secret"]))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if err := stale.send(client, "http://"+s.hooks+"/receive_hook", "stale"); err == nil || !strings.Contains(err.Error(), "401") {
		s.t.Errorf("with the old secret: %v", err)
	}
}
