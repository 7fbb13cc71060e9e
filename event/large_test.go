package event

import (
	"runtime"
	"strings"
	"testing"
)

// A body that is all of the smallest pieces takes no more memory than a real one would.
func TestManySmallPieces(t *testing.T) {
	const size = 4 << 20
	const most = 10 * size // bytes allocated in all; without limits it is 38 to 70 times the size
	filled := func(start, piece, end string) []byte {
		n := (size - len(start) - len(end)) / len(piece)
		return []byte(start + strings.Repeat(piece, n-1) + piece[:len(piece)-1] + end)
	}
	for name, test := range map[string]struct {
		body []byte
		want string
	}{
		"commits": {filled(`{"ref":"refs/heads/a","commits":[`, `{},`, `]}`), "body lists more than 10000 commits"},
		"files":   {filled(`{"ref":"refs/heads/a","commits":[{"added":[`, `"",`, `]}]}`), "body lists more than 1000000 names, at commits.added"},
		"files of many commits": {filled(`{"ref":"refs/heads/a","commits":[`, `{"added":[`+strings.Repeat(`"",`, 1999)+`""]},`, `]}`),
			"body lists more than 1000000 names, at commits.added"},
		"files in one place": {filled(`{"ref":"refs/heads/a","head_commit":{"id":[`, `"",`, `]}}`), "body lists more than 1000000 names, at head_commit.id"},
		"what nobody reads":  {filled(`{"ref":"refs/heads/a","repository":{"full_name":"a/b"},"other":[`, `{},`, `]}`), ""},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(Delivery{Event: Push, ContentType: typeJSON, Body: test.body})
		runtime.ReadMemStats(&after)
		if (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: %d MB were allocated", name, took>>20)
		} else {
			t.Logf("%s: %d MB", name, took>>20)
		}
	}
}
