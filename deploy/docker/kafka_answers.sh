#!/bin/bash
# Status 0 if the broker replies to an ApiVersions request (version 0) without an error: the same
# question that the local stack asks, and a hundredth of the cost of starting a Java tool.
#
#   kafka_answers.sh PORT
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
# Length 10; key 18, version 0, correlation id 7, no client id.
printf '\0\0\0\12\0\22\0\0\0\0\0\7\377\377' >&3
reply=$(head -c 10 <&3 | od -An -tx1 | tr -d ' \n')
# After the length: the correlation id, then error code 0.
test "${reply:8}" = 000000070000
