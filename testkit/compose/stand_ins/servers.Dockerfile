# What the stand-ins for servers take from Debian, fetched once for all of them.
FROM groundswell-stand-in/debian:bookworm
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless redis-server \
       prometheus prometheus-alertmanager python3-yaml wget >/dev/null \
    && rm -rf /var/lib/apt/lists/*
