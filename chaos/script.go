package main

import "fmt"

// script is what every listener runs. It leaves the marks that check reads: who started and ended, whether
// the same attempt started twice, whether another attempt of the run was alive, and whether more were alive
// than the listener's concurrency. $1 is the listener's folder of marks, $2 its concurrency.
const script = `#!/bin/sh
marks=$1 most=$2 me=$LIGHTSPEED_RUN_ID.$LIGHTSPEED_ATTEMPT
set -C
{ echo $$ > "$marks/started/$me"; } 2>/dev/null || echo $$ >> "$marks/twice/$me"
set +C
echo $$ > "$marks/live/$me"
alive=1
for mark in "$marks"/live/*; do
	other=${mark##*/}
	[ "$other" != "$me" ] || continue
	{ read -r pid < "$mark"; } 2>/dev/null || continue
	grep -qsz "^LIGHTSPEED_RUN_ID=${other%.*}$" "/proc/$pid/environ" || continue # ended, or the pid is another's now
	alive=$((alive + 1))
	if [ "${other%.*}" = "$LIGHTSPEED_RUN_ID" ]; then echo "$other" > "$marks/overlap/$me"; fi
done
[ "$alive" -le "$most" ] || echo "$alive" > "$marks/crowd/$me"
i=0
while [ $i -lt 20 ]; do i=$((i + 1)); echo "$me line $i"; done
case $LIGHTSPEED_BRANCH in *slow) sleep 1 ;; esac
while [ $i -lt 40 ]; do i=$((i + 1)); echo "$me line $i"; done
rm -f "$marks/live/$me"
echo > "$marks/ended/$me"
`

// wholeLog is what the script prints from start to end.
func wholeLog(runID string, attempt int) string {
	var log string
	for i := 1; i <= 40; i++ {
		log += fmt.Sprintf("%s.%d line %d\n", runID, attempt, i)
	}
	return log
}
