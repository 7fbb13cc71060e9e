// Package suggest finds the name that a mistyped one was most likely meant for.
package suggest

import (
	"strings"

	"github.com/xrash/smetrics"
)

// near is how alike two words must be, from 0 to 1, for one to be taken for a slip of the other.
const near = 0.82

// Nearest returns the name that was most likely meant by word, or "" when none is near. Letter case, "_", "-" and
// spaces do not count. The measure is Jaro and Winkler's, the one that urfave/cli uses for its commands.
func Nearest(word string, names []string) string {
	best, most := "", near
	for _, name := range names {
		if alike := smetrics.JaroWinkler(plain(word), plain(name), 0.7, 4); alike > most {
			best, most = name, alike
		}
	}
	return best
}

// plain takes away what people vary without noticing.
func plain(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(word))
}
