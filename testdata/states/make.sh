#!/bin/sh
# Makes schema-N.tar.gz, the state folder that a commit's own `lightspeed up` leaves when it is killed, N being the schema of
# its database:
#
#   testdata/states/make.sh COMMIT
#
# The tests of upgrades open one of every schema. The next is made when a migration is added: of the commit before it.
# In each folder are
#
#   passes   a run that passed, with output, and from where there are such things with named steps and an artifact
#   fails    a run that failed with exit code 3, and its retry, which failed, too. It is paused, and telling a forge has failed
#   waits    a run that waits, since its listener was away, and one of branch "other" that was cancelled in the queue
#   cut      a run that was running: it had printed "before the cut", and the kernel kept what was not yet at admin
#   late     nothing: a push to branch "late" is in the spool of hooks
#
# and the secret that `up` made, logs, the listeners' journals, and whatever else the commit keeps; where there are tokens, one of
# role admin, which is in token-of-admin, and one of a listener. It needs Go, git and tar.
set -eu
[ $# = 1 ] || { echo "usage: make.sh COMMIT" >&2; exit 2; }
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
up= forge=
clean() {
  [ -z "$up$forge" ] || kill -9 $up $forge 2>/dev/null || true
  git -C "$here" worktree remove --force "$work/source" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

git worktree add -q --detach "$work/source" "$1"
(cd "$work/source" && CGO_ENABLED=0 go build -trimpath -o "$work/lightspeed" .)
mkdir "$work/home"
cd "$work"
echo no-token >token
export HOME="$work/home" LIGHTSPEED_STATE="$work/state"
lightspeed() { "$work/lightspeed" "$@"; }
knows() { lightspeed "$@" --help >/dev/null 2>&1; }

# config writes NAME.json, for pushes to BRANCHES of me/my-app: with the first of these rests that this commit takes.
config() {
  name=$1 branches=$2
  shift 2
  for rest; do
    echo "{\"name\": \"$name\", \"repos\": [\"me/my-app\"], \"branches\": [$branches], $rest}" >"$name.json"
    if lightspeed check "$name.json" >check.log 2>&1; then return; fi
  done
  cat check.log >&2
  exit 1
}

# await runs a command until its output has a match.
await() {
  pattern=$1 tries=0
  shift
  until "$@" 2>&1 | grep -q "$pattern"; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || { echo "make.sh: $* never had $pattern:" >&2; "$@" >&2; exit 1; }
    sleep 0.1
  done
}

# served prints where a server serves, when its log says so.
served() {
  await "^ready $2" cat "$1"
  sed -n "s/^ready $2 //p" "$1"
}

# start starts `up` with these configs, and waits until everything is ready.
start() {
  : >up.log
  "$work/lightspeed" up "$@" --addr 127.0.0.1:0 --hooks-addr 127.0.0.1:0 >>up.log 2>&1 &
  up=$!
  for config; do await "^ready listen ${config%.json}" cat up.log; done
  LIGHTSPEED_ADMIN=$(served up.log admin)
  hooks=$(served up.log hooks)
  export LIGHTSPEED_ADMIN
}

stop() {
  kill "-$1" $up
  wait $up || true
  up=
}

push() { lightspeed send --repo me/my-app --branch "$@" --url "$hooks/receive_hook"; }

run_of() { lightspeed runs list --listener "$1" --json | sed -n 's/^ *"id": "\(.*\)",$/\1/p' | head -n 1; }

# Another admin is the forge that is to be told of commits: it refuses.
"$work/lightspeed" admin --state other --addr 127.0.0.1:0 >forge.log 2>&1 &
forge=$!

say='"exec": [{"run": "mkdir -p dist; echo passed here", "name": "say"}, "echo kept > dist/kept"]'
config passes '"main"' "$say, \"artifacts\": [\"dist/**\"]" "$say" '"exec": "echo passed here"'
tell='"exec": "exit 3", "github_url": "'$(served forge.log admin)'", "github_status_token"'
config fails '"main"' "$tell: {\"file\": \"token\"}" '"exec": "exit 3"'
config waits '"main", "other"' '"exec": "echo at last"'
config cut '"cut"' '"exec": "echo before the cut; exec sleep 1000"'
config late '"late"' '"exec": "echo late"'

start passes.json fails.json waits.json cut.json late.json
stop TERM
start passes.json fails.json cut.json late.json
push main
for name in passes fails; do await 'passed\|failed' lightspeed runs list --listener $name; done
! knows notify test || await '"target"' lightspeed runs show "$(run_of fails)" --json
lightspeed runs retry "$(run_of fails)"
await '"failed"' lightspeed runs show "$(run_of fails)" --json
push other
lightspeed runs cancel "$(run_of waits)"
if knows token create; then
  lightspeed token create admin >state/token-of-admin
  export LIGHTSPEED_TOKEN_FILE="$work/state/token-of-admin"
  lightspeed token create listener --listener 'my-*' >/dev/null
fi
! knows listeners pause || lightspeed listeners pause fails --note "until it is mended"
push cut
await 'before the cut' lightspeed runs log "$(run_of cut)"
stop KILL
for noted in state/listener/cut/attempts/*/process.json state/listener/cut/attempts/*/records; do
  [ ! -e "$noted" ] || kill -9 "-$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$noted" | tail -n 1)" 2>/dev/null || true
done

unset LIGHTSPEED_ADMIN LIGHTSPEED_TOKEN_FILE
: >up.log
"$work/lightspeed" hooks --state state --secret-file state/secret --admin http://127.0.0.1:9 --addr 127.0.0.1:0 >>up.log 2>&1 &
up=$!
hooks=$(served up.log hooks)
push late || true
stop TERM
set -- state/hooks/spool/*
[ -e "$1" ] || { echo "make.sh: nothing was spooled" >&2; exit 1; }

schema=$(od -An -j60 -N4 -tu1 state/admin/admin.db | awk '{print $4}') # the header of SQLite's file holds user_version
tar --sort=name --owner=0 --group=0 --numeric-owner -C state -cf - . | gzip -9n >"$here/schema-$schema.tar.gz"
ls -l "$here/schema-$schema.tar.gz"
