# One image for every role: `admin`, `hooks` and `listen config.json` are its commands.
#
#   docker build -t lightspeed .
#   docker run lightspeed --help
#
# deploy/compose.yaml starts all of them; deploy/image.sh builds it with buildah, also where no registry can be reached.

ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -tags urfave_cli_no_docs -trimpath -buildvcs=false -ldflags "-s -w" -o /out/lightspeed .

FROM ${BASE_IMAGE}
# git and ssh fetch what a listener checks out; tini waits for what a script left behind.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git openssh-client tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --home-dir /var/lib/lightspeed --shell /usr/sbin/nologin lightspeed \
 && install -d -o lightspeed -g lightspeed -m 0700 /var/lib/lightspeed \
 && install -d /etc/lightspeed
COPY --from=build /out/lightspeed /usr/local/bin/lightspeed

ENV LIGHTSPEED_STATE=/var/lib/lightspeed
VOLUME /var/lib/lightspeed
WORKDIR /etc/lightspeed
USER 10001:10001
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/lightspeed"]
CMD ["--help"]
