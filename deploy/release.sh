#!/bin/sh
# Makes the archives of a release, and SHA256SUMS of them: the same bytes from the same commit and the same Go, wherever it is
# run. It needs Go, GNU tar and gzip.
#
#   deploy/release.sh [FOLDER]     dist/release
#
# TARGETS says for what: "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64".
set -eu
umask 022
mkdir -p "${1:-dist/release}"
out=$(cd "${1:-dist/release}" && pwd)
cd "$(dirname "$0")/.."
targets=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
version=$(sed -n 's/^const Version = "\(.*\)"$/\1/p' api/*.go)
[ -n "$version" ] || { echo "release.sh: api names no version" >&2; exit 1; }
# Every file is as old as the commit; where there is no git, as old as 2026.
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
[ -z "$(git status --porcelain 2>/dev/null)" ] || echo "release.sh: warning: there are changes here that no commit has: nobody can make these archives again" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -f "$out"/lightspeed-*.tar.gz "$out/SHA256SUMS"
for target in $targets; do
  os=${target%/*} arch=${target#*/}
  name=lightspeed-$version-$os-$arch
  mkdir "$work/$name"
  GOOS=$os GOARCH=$arch CGO_ENABLED=0 GOFLAGS= GOAMD64=v1 GOARM64=v8.0 \
    go build -tags urfave_cli_no_docs -trimpath -buildvcs="${BUILDVCS:-auto}" -ldflags "-s -w -buildid=" -o "$work/$name/lightspeed" .
  cp -R LICENSE README.md CHANGELOG.md SECURITY.md docs "$work/$name/"
  mkdir "$work/$name/deploy"
  cp -R deploy/systemd deploy/secrets.sh deploy/alerts.yaml "$work/$name/deploy/"
  chmod -R u=rwX,go=rX "$work/$name"
  tar --directory "$work" --sort=name --format=ustar --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -cf - "$name" |
    gzip -9n >"$out/$name.tar.gz"
done
(cd "$out" && sha256sum lightspeed-*.tar.gz >SHA256SUMS)
cat "$out/SHA256SUMS"
