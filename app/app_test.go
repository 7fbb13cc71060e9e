package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/secret"
)

func testAdmin(state string) AdminOptions { return AdminOptions{Addr: "127.0.0.1:0", State: state} }

// Started twice on one state folder: the second says so and leaves the first alone. Afterwards it can be started again.
func TestStartTwice(t *testing.T) {
	state := t.TempDir()
	out, ready := quiet()
	first := start(func(stop Stop) error { return Admin(stop, out, testAdmin(state)) })
	url := ready.wait(t, "ready admin ")

	again := start(func(stop Stop) error { return Admin(stop, out, testAdmin(state)) })
	<-again.done
	if err := again.err; err == nil || !strings.Contains(err.Error(), "is in use by another lightspeed") {
		t.Errorf("the second start: %v", err)
	}
	client, err := NewClient(ClientOptions{Admin: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Healthy(t.Context()); err != nil {
		t.Errorf("the first one after that: %v", err)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()

	third := start(func(stop Stop) error { return Admin(stop, out, testAdmin(state)) })
	if err := third.stop(); err != nil {
		t.Errorf("a start after the stop: %v", err)
	}
}

// Stopped before it started, and stopped twice: both at once is stopping.
func TestStopEarly(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	out, _ := quiet()
	stop := Stop{Soon: ended, Now: ended}
	if err := Admin(stop, out, testAdmin(t.TempDir())); err != nil {
		t.Errorf("admin: %v", err)
	}
	if err := Hooks(stop, out, HooksOptions{
		Addr: "127.0.0.1:0", State: t.TempDir(), Secrets: []secret.Value{secret.New("s")}, Client: ClientOptions{Admin: "http://127.0.0.1:1"},
	}); err != nil {
		t.Errorf("hooks: %v", err)
	}
	if err := Listen(stop, out, ListenOptions{Configs: []config.Config{config.Test()}, Client: ClientOptions{Admin: "http://127.0.0.1:1"}}); err != nil {
		t.Errorf("listen: %v", err)
	}
	if err := Up(stop, out, UpOptions{Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: t.TempDir(), Configs: []config.Config{config.Test()}}); err != nil {
		t.Errorf("up: %v", err)
	}
	if err := RunDemo(stop, out, func(context.Context, Demo) (bool, error) { return true, nil }); err != nil {
		t.Errorf("demo: %v", err)
	}
}

func TestAdminWantsTokensBeyondLoopback(t *testing.T) {
	out, _ := quiet()
	never := Stop{Soon: t.Context(), Now: t.Context()}
	o := testAdmin(t.TempDir())
	o.Addr = ":0"
	var told *Error
	if err := Admin(never, out, o); !errors.As(err, &told) || !told.Usage || !strings.Contains(told.Error(), "has no tokens") {
		t.Errorf("without tokens: %v", err)
	}
	o.InsecureNoAuth = true
	o.AdminTokens = []secret.Value{secret.New("t")}
	if err := Admin(never, out, o); !errors.As(err, &told) || told.Error() != "--insecure-no-auth and tokens contradict each other" {
		t.Errorf("with both: %v", err)
	}
	for _, allowed := range []func(*AdminOptions){
		func(o *AdminOptions) { o.AdminTokens = nil },
		func(o *AdminOptions) { o.InsecureNoAuth = false },
	} {
		o := o
		allowed(&o)
		if err := start(func(stop Stop) error { return Admin(stop, out, o) }).stop(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// `up` talks to itself with tokens of its own as soon as admin asks for any, over TLS when it serves that, and
// others get in with theirs.
func TestUpWithTokensAndTLS(t *testing.T) {
	cert, key := selfSigned(t)
	out, ready := quiet()
	state := t.TempDir()
	p := start(func(stop Stop) error {
		return Up(stop, out, UpOptions{
			Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: state, Configs: []config.Config{config.Test()},
			AdminTokens: []secret.Value{secret.New("people")}, TLS: TLSFiles{Cert: cert, Key: key},
		})
	})
	url := ready.wait(t, "ready admin ")
	ready.wait(t, "ready hooks https://127.0.0.1:")
	ready.wait(t, "ready listen "+config.TestName)

	ask := func(token, ca string) error {
		client, err := NewClient(ClientOptions{Admin: url, Token: secret.New(token), TLS: TLSFiles{CA: ca}})
		if err == nil {
			_, err = client.Listeners(t.Context(), 1, "")
		}
		return err
	}
	if err := ask("people", cert); err != nil {
		t.Errorf("with token and CA: %v", err)
	}
	if err := ask("other", cert); !api.IsCode(err, api.Unauthorized) {
		t.Errorf("with another token: %v", err)
	}
	if err := ask("people", ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the CA: %v", err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: nil, DNSNames: []string{"ci.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	plan.IPAddresses = append(plan.IPAddresses, []byte{127, 0, 0, 1})
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secretDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secretDER)
}

func TestTLSFilesRefused(t *testing.T) {
	cert, key := selfSigned(t)
	for _, test := range []struct {
		files TLSFiles
		want  string
	}{
		{TLSFiles{Cert: cert}, "--tls-cert and --tls-key go together: only one is set"},
		{TLSFiles{Cert: key, Key: cert}, "TLS certificate " + key + " with key " + cert},
	} {
		if _, err := test.files.serverTLS(slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if _, err := (TLSFiles{CA: key}).clientTLS(); err == nil || err.Error() != "--tls-ca "+key+" holds no certificate in PEM form" {
		t.Errorf("got %v", err)
	}
}

// The secret that `up` makes is kept: the next start uses it, and says nothing.
func TestUpKeepsItsSecret(t *testing.T) {
	state := filepath.Join(t.TempDir(), "new")
	first := UpOptions{State: state}
	made, err := first.chooseSecret()
	if err != nil || made != filepath.Join(state, SecretFile) {
		t.Fatalf("made %q, %v", made, err)
	}
	info, err := os.Stat(made)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	second := UpOptions{State: state}
	if made, err := second.chooseSecret(); made != "" || err != nil || !second.Secrets[0].Equal(first.Secrets[0].Reveal()) {
		t.Errorf("the second start made %q, %v", made, err)
	}
	own := UpOptions{State: state, Secrets: []secret.Value{secret.New("mine")}}
	if made, err := own.chooseSecret(); made != "" || err != nil || !own.Secrets[0].Equal("mine") {
		t.Errorf("with a secret of one's own: made %q, %v", made, err)
	}
}

func TestStateFolder(t *testing.T) {
	for _, test := range []struct {
		given string
		env   map[string]string
		want  string
	}{
		{"/given", map[string]string{"STATE_DIRECTORY": "/sys"}, "/given"},
		{"", map[string]string{"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/h"}, "/var/lib/a"},
		{"", map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/lightspeed"},
		{"", map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/lightspeed"},
	} {
		got, err := StateFolder(test.given, func(name string) string { return test.env[name] })
		if err != nil || got != test.want {
			t.Errorf("%q %v: got %q, %v, want %q", test.given, test.env, got, err, test.want)
		}
	}
	if _, err := StateFolder("", func(string) string { return "" }); err == nil {
		t.Error("no error without any folder")
	}
	if got := listenerState("/s", "owner/repo"); got != "/s/listener/owner%2Frepo" {
		t.Errorf("got %q", got)
	}
}

func TestNewLogger(t *testing.T) {
	for _, o := range []LogOptions{{}, {Format: "json", Level: "debug"}, {Level: "WARN"}} {
		if _, err := NewLogger(os.Stderr, o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []LogOptions{{Format: "xml"}, {Level: "loud"}, {Level: "info+1"}} {
		if _, err := NewLogger(os.Stderr, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
