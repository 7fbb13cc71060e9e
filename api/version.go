package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// VersionHeader carries the version of whoever calls admin. Programs that send none are not asked.
const VersionHeader = "Lightspeed-Version"

// CheckVersions refuses two versions ("1.4", "1.4.2") that are more than one minor apart: such were never tested
// with each other. What is no number, as "dev", goes with everything.
func CheckVersions(admin, caller string) *Error {
	ours, known := minor(admin)
	theirs, knownToo := minor(caller)
	if !known || !knownToo {
		return nil
	}
	if ours[0] == theirs[0] && ours[1]-theirs[1] <= 1 && theirs[1]-ours[1] <= 1 {
		return nil
	}
	older := "whoever calls"
	if theirs[0] > ours[0] || (theirs[0] == ours[0] && theirs[1] > ours[1]) {
		older = "admin"
	}
	return Errorf(http.StatusUpgradeRequired, VersionsApart, "admin is version %s and was called by %s: they may be one minor version apart; upgrade %s",
		admin, shown(caller), older)
}

// minor reads a version's first two numbers.
func minor(version string) (n [2]int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return n, false
	}
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(parts[i]); err != nil || n[i] < 0 || len(parts[i]) > 6 {
			return n, false
		}
	}
	return n, true
}

func shown(version string) string {
	if len(version) > 20 {
		version = version[:20] + "…"
	}
	return fmt.Sprintf("%q", version)
}
