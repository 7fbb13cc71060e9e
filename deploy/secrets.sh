#!/bin/sh
# Makes what deploy/compose.yaml hands to its services as files, in a folder of your own:
#
#   deploy/secrets.sh [FOLDER]        deploy/secrets, where compose.yaml looks
#
# A webhook secret, a token for each kind of caller, an authority and a certificate for admin, and RabbitMQ's accounts, as
# docs/rabbitmq.md has them. What is there already stays: remove a file, and it is made anew. From the environment:
#
#   LISTENERS   names of your listeners, as in their configs, for the account that reads their queues; "site"
#   RABBITMQ    HOST:PORT of the broker; rabbitmq:5672
#   NAMES       admin's names in its certificate; DNS:admin,DNS:localhost,IP:127.0.0.1
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$(dirname "$folder")" # open as ever: configs stand there, too
umask 077
rabbitmq=${RABBITMQ:-rabbitmq:5672}
names=${NAMES:-DNS:admin,DNS:localhost,IP:127.0.0.1}
command -v openssl >/dev/null || { echo "secrets.sh: openssl is needed, and not found" >&2; exit 1; }
mkdir -p "$folder"
cd "$folder"

# random prints 40 characters that need no escaping anywhere.
random() { openssl rand -hex 20; }

# keep writes stdin to a file that is not there yet, whole or not at all.
keep() {
  if [ -e "$1" ]; then cat >/dev/null; return; fi
  cat >"$1.new"
  mv "$1.new" "$1"
}

# hash prints a password as RabbitMQ keeps it: four bytes of salt, then SHA-256 of salt and password.
hash() {
  salt=$(openssl rand -hex 2)
  { printf %s "$salt"; printf %s "$salt$1" | openssl dgst -sha256 -binary; } | openssl base64 -A
}

# password prints the one that a file's URL has.
password() { sed 's,^amqp://[^:]*:\([^@]*\)@.*,\1,' "$1"; }

for name in webhook-secret admin-token hooks-token listener-token; do random | keep "$name"; done

for role in admin listener; do
  echo "amqp://lightspeed-$role:$(random)@$rabbitmq/lightspeed" | keep $role-rabbit-url
done
[ -z "${LISTENERS:-}" ] || printf '%s\n' $LISTENERS >listeners
echo site | keep listeners
queues=$(sed 's/\./\\\\./g' listeners | paste -s -d '|' -)
cat >rabbitmq-definitions.json.new <<END
{
  "vhosts": [{"name": "lightspeed"}],
  "users": [
    {"name": "lightspeed-admin", "password_hash": "$(hash "$(password admin-rabbit-url)")",
     "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""},
    {"name": "lightspeed-listener", "password_hash": "$(hash "$(password listener-rabbit-url)")",
     "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
  ],
  "permissions": [
    {"user": "lightspeed-admin", "vhost": "lightspeed", "configure": "^ls\\\\.", "write": "^ls\\\\.", "read": "^ls\\\\."},
    {"user": "lightspeed-listener", "vhost": "lightspeed", "configure": "", "write": "", "read": "^ls\\\\.job\\\\.($queues)\$"}
  ]
}
END
mv rabbitmq-definitions.json.new rabbitmq-definitions.json

if [ ! -e ca.pem ] || [ ! -e admin-cert.pem ] || [ ! -e admin-key.pem ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Lightspeed's own authority" \
    -keyout "$work/ca-key.pem" -out "$work/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=Lightspeed admin" \
    -keyout "$work/key.pem" -out "$work/request.pem" 2>/dev/null
  printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$names" >"$work/extensions"
  openssl x509 -req -in "$work/request.pem" -CA "$work/ca.pem" -CAkey "$work/ca-key.pem" -CAcreateserial -days 3650 \
    -extfile "$work/extensions" -out "$work/cert.pem" 2>/dev/null
  rm -f ca.pem admin-cert.pem admin-key.pem # the authority's key is thrown away: it signs this certificate and no other
  keep ca.pem <"$work/ca.pem"
  keep admin-cert.pem <"$work/cert.pem"
  keep admin-key.pem <"$work/key.pem"
fi

# The folder is closed to others; a file in it is readable, since a container's user is another than yours.
chmod 0700 .
chmod 0644 webhook-secret *-token *-url rabbitmq-definitions.json *.pem
