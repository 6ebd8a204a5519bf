#!/bin/sh
# Make the secrets that docker-compose.yml mounts; what exists is left as it is.
#
#   deploy/docker/make_secrets.sh [FOLDER]
set -eu
folder=${1:-.groundswell/secrets}
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
