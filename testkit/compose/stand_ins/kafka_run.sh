#!/bin/bash
# What the official image does at its start: the mounted server.properties, the variables KAFKA_*
# after it, storage formatted under CLUSTER_ID unless it is, the broker as the only process.
set -u
config=/opt/kafka/config
classes="/opt/kafka/libs/*"
if [ ! -w "$config" ]; then
    echo "$config file not writable" >&2
    exit 1
fi
rm -f "$config/server.properties"
if ! said=$(java -cp "$classes" kafka.docker.KafkaDockerWrapper setup \
    --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config \
    --final-configs-dir "$config" 2>&1) && ! grep -qi "already formatted" <<<"$said"; then
    echo "$said" >&2
    exit 1
fi
# shellcheck disable=SC2086 -- several words
exec java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx1g} -XX:+UseG1GC -Djava.awt.headless=true \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$classes" kafka.Kafka "$config/server.properties"
