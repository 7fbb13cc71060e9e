package hooks

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever cannot sign cannot fill the disk with lines about that; what is signed is always logged.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t, admins(accepting))
		for n := range 1000 {
			s.direct(post("", fmt.Sprint(n), push, header("X-Hub-Signature-256", sign("other", push))))
		}
		s.direct(post("", "", push))
		if got := len(s.log.with("delivery refused")); got != refusalLines+1 {
			t.Errorf("%d lines, want %d and that of the signed one", got, refusalLines)
		}
		time.Sleep(refusalWindow)
		synctest.Wait()
		if got := s.log.with("more requests were refused"); len(got) != 1 || got[0]["requests"] != float64(1000-refusalLines) {
			t.Errorf("of the rest the log says %v", got)
		}
		s.direct(post("", "1", push, without("X-Hub-Signature-256")))
		if got := len(s.log.with("delivery refused")); got != refusalLines+2 {
			t.Errorf("%d lines in the next window", got)
		}
		s.Close()
	})
}
