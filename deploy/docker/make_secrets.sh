#!/bin/sh
# Make the secrets that docker-compose.yml mounts, and the file `.env` of the current folder, which
# tells `docker compose` where they are; what exists is left as it is.
#
#   deploy/docker/make_secrets.sh [FOLDER]
set -eu
folder=${1:-./.groundswell/secrets}
mkdir -p "$folder"
# Only you get into the folder; inside a container, where each file is mounted by itself, its
# service runs as a user of its own and must be able to read it.
chmod 0700 "$folder"
# random BYTES: print so many random bytes in hexadecimal digits.
random() {
    head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'
}
# make NAME WORD: a file of the word, unless there is one.
make() {
    if [ ! -s "$folder/$1" ]; then
        printf %s "$2" >"$folder/$1"
        chmod 0444 "$folder/$1"
        echo "made $folder/$1"
    fi
}
make redis_password "$(random 32)"
make author_key "$(random 32)"
make grafana_admin_password "$(random 32)"
# A key of the console is gw_, its number, and 43 of letters, digits, `-` and `_`.
make console_key "gw_$(random 6)_$(random 22 | cut -c 1-43)"
# say VARIABLE VALUE: in .env, unless it says something of it already.
say() {
    if ! grep -q "^$1=" .env 2>/dev/null; then
        echo "$1=$2" >>.env
        echo "wrote $1 into .env"
    fi
}
say GROUNDSWELL_SECRETS "$folder"
say COMPOSE_PROFILES cpu
said=$(sed -n 's/^GROUNDSWELL_SECRETS=//p' .env)
if [ "$said" != "$folder" ]; then
    echo ".env names another folder of secrets, which holds: $said" >&2
fi
