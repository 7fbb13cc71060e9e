package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits go from the largest to bytes.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads a number of bytes as people write it: a whole number and one of B, KiB, MiB, GiB and TiB,
// with nothing between them, as in "64MiB".
func ParseSize(text string) (int64, error) {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64(math.MaxInt64/unit.bytes) {
			break
		}
		return int64(n) * unit.bytes, nil
	}
	return 0, fmt.Errorf("size %s: want a whole number and B, KiB, MiB, GiB or TiB, as in 64MiB", show(text))
}

// formatSize writes bytes as ParseSize reads them, quoted, in the largest unit that leaves no rest.
func formatSize(n int64) string {
	for _, unit := range sizeUnits {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.Quote(strconv.FormatInt(n/unit.bytes, 10) + unit.name)
		}
	}
	return strconv.Quote(strconv.FormatInt(n, 10) + "B")
}
