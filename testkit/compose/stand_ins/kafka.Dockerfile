# In place of apache/kafka: the jars of the local stack on Debian's Java, laid out and started as in
# the official image. It fills server.properties by the same class, which is in the jars.
FROM groundswell-stand-in/servers:bookworm
RUN useradd --uid 1000 --create-home --shell /bin/bash appuser \
    && install -d -o appuser -g appuser /opt/kafka/config /mnt/shared/config /usr/logs \
    && install -d -o appuser -g root -m 0775 /var/lib/kafka /var/lib/kafka/data /etc/kafka \
       /etc/kafka/secrets /etc/kafka/docker
COPY jars /opt/kafka/libs
COPY --chmod=0755 kafka_run.sh /etc/kafka/docker/run
USER appuser
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
