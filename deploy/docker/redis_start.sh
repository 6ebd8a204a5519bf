#!/bin/sh
# Fill the template that the local stack uses too, add what a network needs, and start Redis.
#
#   redis_start.sh TEMPLATE PASSWORD_FILE STORED_DIR SCRATCH_DIR BIND PORT MAXMEMORY
set -eu
template=$1 password_file=$2 stored=$3 scratch=$4 bind=$5 port=$6 maxmemory=$7

password=$(cat "$password_file")
case $password in
'' | *[!A-Za-z0-9_-]*)
    echo "redis_start: $password_file must hold letters, digits, - and _ only, and not nothing" >&2
    exit 2
    ;;
esac

# The password goes into a file that nobody else can read, never on a command line.
umask 077
sed -e "s|\$port|$port|" -e "s|\$directory|$stored|" "$template" >"$scratch/redis.conf"
cat >>"$scratch/redis.conf" <<END

# Reached over the containers' network; of two lines of one name Redis takes the later.
bind $bind
requirepass "$password"
# Below the container's limit: a full memory must refuse writes, not have Redis killed.
maxmemory $maxmemory
END
exec redis-server "$scratch/redis.conf"
