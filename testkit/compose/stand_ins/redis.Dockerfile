# In place of redis:8.2.1-alpine: Debian's Redis 7.0 under the ids of the official image.
FROM groundswell-stand-in/debian:bookworm
RUN groupadd --gid 1000 redis && useradd --uid 999 --gid 1000 --no-create-home redis \
    && apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server redis-tools >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 999 -g 1000 /data
WORKDIR /data
VOLUME ["/data"]
EXPOSE 6379
CMD ["redis-server"]
