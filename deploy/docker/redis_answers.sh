#!/bin/sh
# Status 0 if Redis answers PING with PONG: it has loaded its log and takes the password.
#
#   redis_answers.sh PASSWORD_FILE PORT
set -eu
# redis-cli ends with 0 also when it is refused: the answer decides.
answer=$(REDISCLI_AUTH=$(cat "$1") redis-cli -p "$2" ping)
test "$answer" = PONG
