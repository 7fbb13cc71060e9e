package crash

import (
	"fmt"
	"strings"
)

// script is what every listener runs. $1 is a folder of marks, $2 how many may run at once. It marks that it
// started and ended, that the same attempt started twice, and that more were alive than may be. Between its
// halves it waits for a file "go" when its branch is called gate. Its name in /proc shows whose it is.
const script = `#!/bin/sh
marks=$1 most=$2 me=$LIGHTSPEED_RUN_ID.$LIGHTSPEED_ATTEMPT
(set -C; echo $$ > "$marks/started/$me") 2>/dev/null || echo $$ >> "$marks/twice/$me"
echo $$ > "$marks/live/$me"
alive=0
for mark in "$marks"/live/*; do
	read -r pid < "$mark" 2>/dev/null || continue
	grep -qsF "$marks" "/proc/$pid/cmdline" || continue
	alive=$((alive + 1))
	other=${mark##*/}
	if [ "$other" != "$me" ] && [ "${other%.*}" = "$LIGHTSPEED_RUN_ID" ]; then echo "$other" > "$marks/overlap/$me"; fi
done
[ "$alive" -le "$most" ] || echo "$alive" > "$marks/crowd/$me"
i=0
while [ $i -lt 20 ]; do i=$((i + 1)); echo "$me line $i"; done
case $LIGHTSPEED_BRANCH in gate*) while [ ! -e "$marks/go" ]; do sleep 0.05; done ;; esac
while [ $i -lt 40 ]; do i=$((i + 1)); echo "$me line $i"; done
rm -f "$marks/live/$me"
echo > "$marks/ended/$me"
`

// markKinds are the folders that the script writes into.
var markKinds = []string{"started", "ended", "twice", "live", "overlap", "crowd"}

// wholeLog is what the script prints from start to end; half is what it prints before its gate.
func wholeLog(run string, attempt int) string { return lines(run, attempt, 40) }

func half(run string, attempt int) string { return lines(run, attempt, 20) }

func lines(run string, attempt, count int) string {
	var log strings.Builder
	for i := 1; i <= count; i++ {
		fmt.Fprintf(&log, "%s.%d line %d\n", run, attempt, i)
	}
	return log.String()
}
