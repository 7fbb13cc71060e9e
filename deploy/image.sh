#!/bin/sh
# Builds the image with buildah, and walks a signed delivery through hooks, admin and two listeners that are started from it as
# deploy/compose.yaml says. `make image` runs it; it needs root, buildah, and a RabbitMQ to start (Debian's packages).
#
#   deploy/image.sh            on base images made of Debian's packages by debootstrap: no registry of images is asked
#   deploy/image.sh registry   on those that the Dockerfile names
#
# The image is kept in buildah's storage as localhost/lightspeed, and in dist/lightspeed-image.tar for `docker load`.
set -eu
cd "$(dirname "$0")/.."
export STORAGE_DRIVER="${STORAGE_DRIVER:-vfs}" BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
suite=bookworm
image=localhost/lightspeed
mkdir -p dist
work=$(mktemp -d)
container=
clean() {
  [ -z "$container" ] || buildah rm "$container" >/dev/null
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# base makes an image of Debian's smallest system.
base() {
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/root" >"$work/debootstrap.log" 2>&1 || {
    tail "$work/debootstrap.log" >&2
    exit 1
  }
  container=$(buildah from scratch)
  buildah copy -q "$container" "$work/root" / >/dev/null
  buildah commit -q --rm "$container" localhost/lightspeed-debian >/dev/null
  container=
  rm -rf "$work/root"
}

# toolchain adds the Go that this machine has.
toolchain() {
  container=$(buildah from localhost/lightspeed-debian)
  buildah copy -q "$container" "$(go env GOROOT)" /usr/local/go >/dev/null
  buildah config --env PATH=/usr/local/go/bin:/usr/bin:/bin:/usr/sbin:/sbin --env GOPATH=/go --env GOTOOLCHAIN=local "$container"
  buildah commit -q --rm "$container" localhost/lightspeed-go >/dev/null
  container=
}

set -- "${1:-debian}"
case $1 in
debian)
  buildah inspect --type image localhost/lightspeed-debian >/dev/null 2>&1 || base
  toolchain
  set -- --build-arg BASE_IMAGE=localhost/lightspeed-debian --build-arg GO_IMAGE=localhost/lightspeed-go \
    --volume "$(go env GOMODCACHE):/go/pkg/mod" --volume "$(go env GOCACHE):/root/.cache/go-build"
  ;;
registry) set -- ;;
*) echo "image.sh: $1 is neither debian nor registry" >&2; exit 2 ;;
esac
buildah build -q "$@" --tag "$image" . >/dev/null
rm -f dist/lightspeed-image.tar
buildah push -q "$image" docker-archive:dist/lightspeed-image.tar:lightspeed:latest
LIGHTSPEED_IMAGE=$image go test -count=1 -v -run TestTheWholeSet ./deploy
echo "$image is built, and a delivery went through it; dist/lightspeed-image.tar holds it"
