package redelivery_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lightspeed/redelivery"
	"lightspeed/redelivery/redeliverytest"
	"lightspeed/secret"
)

// TestEachKindOfHook lists over several pages, and has one sent again, of a repository's and an organisation's hook.
func TestEachKindOfHook(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer target.Close()
	for hook, path := range map[string]string{"me/my-app/7": "repos/me/my-app/hooks/7", "me/7": "orgs/me/hooks/7"} {
		hub := redeliverytest.New(t, path, "t0ken", "s")
		h, err := redelivery.New(redelivery.Options{Hook: hook, Token: secret.New("t0ken"), URL: hub.URL()})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range strings.Fields("a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 a b c d e f g h i j") {
			hub.Push(id, "push", []byte("{}"))
		}
		sent, err := h.Sent(t.Context(), time.Time{})
		if err != nil || len(sent) != 23 || sent[0].GUID != "j" || sent[22].GUID != "a1" || sent[0].OK {
			t.Fatalf("%s: %+v, %v", hook, sent, err)
		}
		if since, err := h.Sent(t.Context(), sent[2].At); err != nil || len(since) != 3 {
			t.Errorf("%s since the third: %+v, %v", hook, since, err)
		}
		hub.SendTo(target.URL)
		if err := h.Resend(t.Context(), sent[9].ID); err != nil || hub.Resends() != 1 {
			t.Errorf("%s: %v", hook, err)
		}
		hub.Break(redeliverytest.Faults{ThrottleEvery: 1})
		if _, err := h.Sent(t.Context(), time.Time{}); err == nil || !strings.Contains(err.Error(), "GitHub takes no more requests for") {
			t.Errorf("%s: throttled: %v", hook, err)
		}
	}
}

func TestAppHookSpeaksByItsKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	var token string
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if r.URL.Path != "/api/v3/app/hook/deliveries" {
			t.Errorf("path %s", r.URL.Path)
		}
		_, _ = w.Write([]byte("[]"))
	}))
	defer hub.Close()
	h, err := redelivery.New(redelivery.Options{Hook: "app", AppID: "42", Key: secret.New(text), URL: hub.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Sent(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if strings.Count(token, ".") != 2 || strings.Contains(token, "=") {
		t.Errorf("token %q is no JWT", token)
	}

	again := redeliverytest.New(t, "app/hook", "", "s")
	again.SendTo(hub.URL + "/api/v3/app/hook/deliveries")
	again.Push("a", "push", []byte("{}"))
	if h, err = redelivery.New(redelivery.Options{Hook: "app", AppID: "42", Key: secret.New(text), URL: again.URL()}); err != nil {
		t.Fatal(err)
	}
	sent, err := h.Sent(t.Context(), time.Time{})
	if err != nil || len(sent) != 1 {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	if err := h.Resend(t.Context(), sent[0].ID); err != nil || again.Resends() != 1 {
		t.Errorf("asked again %d times, %v", again.Resends(), err)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for want, o := range map[string]redelivery.Options{
		`hook "my-app" is none of`:               {Hook: "my-app", Token: secret.New("t")},
		`hook "../../user/7" is none of`:         {Hook: "../../user/7", Token: secret.New("t")},
		`hook "me/my-app/x" is none of`:          {Hook: "me/my-app/x", Token: secret.New("t")},
		`hook "me/my-app/7" needs a token`:       {Hook: "me/my-app/7"},
		`hook "app" needs the App's id`:          {Hook: "app", Token: secret.New("t")},
		`the App's private key is not RSA`:       {Hook: "app", AppID: "1", Key: secret.New("k")},
		`github URL "ftp://x" is not a URL like`: {Hook: "me/7", Token: secret.New("t"), URL: "ftp://x"},
	} {
		if _, err := redelivery.New(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestTokenOfAnotherIsExplained(t *testing.T) {
	hub := redeliverytest.New(t, "repos/me/my-app/hooks/7", "t0ken", "s")
	h, err := redelivery.New(redelivery.Options{Hook: "me/my-app/7", Token: secret.New("other"), URL: hub.URL()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Sent(t.Context(), time.Time{})
	if err == nil || err.Error() != "hook me/my-app/7: listing deliveries: GitHub answered 401: the hook is another, or the token may not read and redeliver its deliveries" {
		t.Error(err)
	}
}

func TestHowLongDeliveriesAreKept(t *testing.T) {
	for url, want := range map[string]time.Duration{"": 3 * 24 * time.Hour, "https://github.example.com": 7 * 24 * time.Hour} {
		h, err := redelivery.New(redelivery.Options{Hook: "me/my-app/7", Token: secret.New("t"), URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if h.Kept() != want {
			t.Errorf("%q keeps them for %s, want %s", url, h.Kept(), want)
		}
	}
}
