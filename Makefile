# make test   installs what the tests need, then checks and tests everything, with the race detector
# make build  ./lightspeed, one static file
# make bench  the numbers of docs/performance.md, each beside its limit or its peer
# make chaos  real processes, killed, frozen and cut off; SEED and DURATION choose which and how long, RABBIT=false does
#             without a broker
# make image  the container image, built from the Dockerfile by buildah, and a delivery walked through roles started from it
# make release  archives for linux and darwin, amd64 and arm64, with SHA256SUMS, in dist/release: the same bytes wherever it runs
# make screenshots  the pictures of the page in docs/
# make fuzz   every fuzz target for FUZZTIME (20 s)

GO       ?= go
SEED     ?= $(shell date +%s)
DURATION ?= 1m
RABBIT   ?= true
FUZZTIME ?= 20s
# Some targets write and fsync files: in memory they try several times as much. And making each input that is new as short as it
# can be would take a minute each, where inputs have some KB: nearly all the time.
FUZZTMP ?= $(firstword $(wildcard /dev/shm) /tmp)

# Programs that the tests run, and those that the benchmarks run besides: the program, and the Debian package that it
# comes from.
NEEDED       = git:git ssh:openssh-client sshd:openssh-server curl:curl openssl:openssl rabbitmq-server:rabbitmq-server promtool:prometheus systemd-analyze:systemd chromium:chromium npm:npm zsh:zsh fish:fish
bench: NEEDED += webhook:webhook strace:strace
screenshots: NEEDED += pngquant:pngquant
image: NEEDED += buildah:buildah debootstrap:debootstrap

.PHONY: all build test check tools screenshots bench chaos image release fuzz

all: build

# The tag leaves out what makes manual pages of the command line; nothing here does.
build:
	CGO_ENABLED=0 $(GO) build -tags urfave_cli_no_docs -trimpath -ldflags "-s -w" -o lightspeed .

test: tools check
	$(GO) test -race -timeout 9m -parallel 4 ./...

check:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted by gofmt: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# What is missing is installed when this is root and there is apt-get, and named otherwise.
tools:
	@missing=; PATH="$$PATH:/usr/sbin"; for one in $(NEEDED); do \
	  command -v $${one%%:*} >/dev/null || missing="$$missing $${one#*:}"; \
	done; \
	test -n "$$missing" || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else \
	  echo "$(MAKECMDGOALS) needs, and does not find:$$missing" >&2; exit 1; \
	fi

bench: tools
	$(GO) run ./bench
	$(GO) test -run '^$$' -bench . -benchmem ./match ./admin/store ./admin/web

chaos: tools
	$(GO) run ./chaos -seed $(SEED) -duration $(DURATION) -rabbit=$(RABBIT)

release:
	deploy/release.sh

image: tools
	deploy/image.sh

fuzz:
	@$(GO) list ./... | while read -r package; do \
	  for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
	    TMPDIR=$(FUZZTMP) GOTMPDIR=/tmp $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" || exit 1; \
	  done; \
	done

screenshots: tools
	$(GO) test ./admin/web -run TestEveryPageForEveryone -count 1 -args -screenshots $(CURDIR)/docs/pictures
	pngquant --force --strip --skip-if-larger --quality 80-100 --ext .png docs/pictures/*.png
