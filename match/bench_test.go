package match

import (
	"fmt"
	"testing"

	"lightspeed/event"
)

// bigSet holds 10,000 listeners, 100 of them on me/my-repo with 3 of the patterns each.
func bigSet(tb testing.TB, patterns []string) *Set {
	tb.Helper()
	var s Set
	for i := range 10_000 {
		r := Rules{Name: fmt.Sprintf("listener-%d", i)}
		switch {
		case i < 100:
			r.Repos = []string{"me/my-repo"}
			n := len(patterns)
			r.Files = []string{patterns[i%n], patterns[(i*7+1)%n], patterns[(i*3+2)%n]}
		case i%2 == 0:
			r.Repos = []string{fmt.Sprintf("team-%d/*", i), "!team-*/secret-*"}
		}
		m, err := Compile(r)
		if err != nil {
			tb.Fatal(err)
		}
		s.Put(r.Name, m)
	}
	return &s
}

func bigPush() event.Event {
	files := make([]string, 3000)
	for i := range files {
		files[i] = fmt.Sprintf("services/component-%d/internal/adapters/handler_%d_test.go", i%40, i)
	}
	return pushTo("main", files...)
}

func patternsLike(formats ...string) []string {
	var patterns []string
	for i := 0; len(patterns) < 20; i++ {
		patterns = append(patterns, fmt.Sprintf(formats[i%len(formats)], i))
	}
	return patterns
}

// BenchmarkSet is the promise of DESIGN §8: a push of 3,000 files is matched in under 50 ms.
func BenchmarkSet(b *testing.B) {
	for _, bench := range []struct {
		name     string
		patterns []string
		matched  int
	}{
		{"usual", patternsLike("services/component-%d/**", "**/*_%d.md", "docs/%d/**/*.md", "**.x%d", "lib[0-9]+/%d/*.go"), 100},
		{"nothing matches", patternsLike("src/%d/**", "**/*_%d.md", "docs/%d/**/*.md", "**.x%d", "lib[0-9]+/%d/*.go"), 0},
		{"nothing matches, slowest", patternsLike("**a**/*e**_%dx**", "**n**a*e*d**s**[a-z]%d?x*", "*/*/**e**/*e*[0-9]+_%d*z*"), 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			set, push := bigSet(b, bench.patterns), bigPush()
			b.ResetTimer()
			for b.Loop() {
				v := set.Decide(push)
				if bench.matched == 0 && len(v.Matched) > 0 || len(v.Matched)+len(v.Skipped) != 100 {
					b.Fatalf("%d matched, %d skipped", len(v.Matched), len(v.Skipped))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/push")
		})
	}
}
