# In place of prom/prometheus: Debian's Prometheus under the paths and the user of the official one.
FROM groundswell-stand-in/servers:bookworm
RUN install -d -o 65534 -g 65534 /prometheus /etc/prometheus
WORKDIR /prometheus
USER 65534:65534
VOLUME ["/prometheus"]
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
