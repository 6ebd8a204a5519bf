# In place of redis:8.2.1-alpine: Debian's Redis 7.0; the data are of the official image's user.
FROM groundswell-stand-in/servers:bookworm
RUN install -d -o 999 -g 1000 /data
WORKDIR /data
VOLUME ["/data"]
EXPOSE 6379
CMD ["redis-server"]
