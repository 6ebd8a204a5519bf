# In place of grafana/grafana: a server that reads what Grafana reads at its start and refuses what
# Grafana refuses.
FROM groundswell-stand-in/servers:bookworm
RUN install -d -o 472 -g 0 -m 0775 /var/lib/grafana
COPY grafana.py /opt/grafana/grafana.py
ENV GF_PATHS_DATA=/var/lib/grafana
USER 472:0
EXPOSE 3000
ENTRYPOINT ["python3", "/opt/grafana/grafana.py"]
