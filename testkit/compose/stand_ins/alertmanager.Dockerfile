# In place of prom/alertmanager: Debian's, under the paths and the user of the official one.
FROM groundswell-stand-in/servers:bookworm
RUN install -d -o 65534 -g 65534 /alertmanager /etc/alertmanager
WORKDIR /alertmanager
USER 65534:65534
VOLUME ["/alertmanager"]
EXPOSE 9093
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]
