package main

import "fmt"

// script is what every listener runs. It leaves the marks that check reads: who started and ended, whether
// the same attempt started twice, whether another attempt of the run was alive, and whether more were alive
// than the listener's concurrency. $1 is the listener's folder of marks, $2 its concurrency. A process is known by
// its id and the time of its start, for ids are given again. The quick ones start no other program: that would be
// most of what a run costs here. So the marks of those that have ended are removed by sweep.
const script = `#!/bin/sh
marks=$1 most=$2 me=$LIGHTSPEED_RUN_ID.$LIGHTSPEED_ATTEMPT
born() { # sets born to when process $1 started, to nothing when it has ended
	born=
	{ read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 0
	set -- ${stat##*) }
	[ "$1" = Z ] || born=${20}
}
say() { # prints ten lines
	lines=
	for i in 0 1 2 3 4 5 6 7 8 9; do lines="$lines$me line $1$i
"; done
	printf %s "$lines"
}
set -C
{ echo $$ > "$marks/started/$me"; } 2>/dev/null || echo $$ >> "$marks/twice/$me"
set +C
born $$
echo $$ "$born" > "$marks/live/$me"
alive=1
for mark in "$marks"/live/*; do
	other=${mark##*/}
	[ "$other" != "$me" ] || continue
	{ read -r pid since < "$mark"; } 2>/dev/null || continue
	born "$pid"
	[ "$born" = "$since" ] || continue # ended, or the pid is another's now
	alive=$((alive + 1))
	if [ "${other%.*}" = "$LIGHTSPEED_RUN_ID" ]; then echo "$other" > "$marks/overlap/$me"; fi
done
[ "$alive" -le "$most" ] || echo "$alive" > "$marks/crowd/$me"
say 1
say 2
case $LIGHTSPEED_BRANCH in *slow) sleep 1 ;; esac
say 3
say 4
echo > "$marks/ended/$me"
`

// wholeLog is what the script prints from start to end.
func wholeLog(runID string, attempt int) string {
	var log string
	for i := 10; i < 50; i++ {
		log += fmt.Sprintf("%s.%d line %d\n", runID, attempt, i)
	}
	return log
}
