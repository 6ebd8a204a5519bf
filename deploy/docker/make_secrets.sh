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
for name in redis_password author_key grafana_admin_password; do
    if [ ! -s "$folder/$name" ]; then
        head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/$name"
        chmod 0444 "$folder/$name"
        echo "made $folder/$name"
    fi
done
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
