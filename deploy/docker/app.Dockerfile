# One image for ingest, worker, closer, exporter and every look-up. No torch, no model, no Java:
# the packages are those of the local stack's lock, less what only the local stack uses.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
COPY requirements/main.txt deploy/docker/packages/select.awk deploy/docker/packages/app.without ./
RUN awk -v mode=without -f select.awk app.without main.txt > app.txt \
    && python -m venv --without-pip /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --disable-pip-version-check \
    --require-hashes --no-deps --only-binary=:all: -r app.txt
COPY deploy/docker/sbom.py ./
RUN python sbom.py groundswell-app /opt/venv/lib/python3*/site-packages > sbom.cdx.json

FROM ${PYTHON_IMAGE} AS source
WORKDIR /app
COPY core ./core
COPY stream ./stream
COPY models ./models
COPY services ./services
COPY configs ./configs
# The root of a running container is read-only: byte code is written now.
RUN python -m compileall -q core stream models services

FROM ${PYTHON_IMAGE} AS app
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="groundswell" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    GROUNDSWELL_VERSION=${VERSION} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --chmod=0755 deploy/docker/groundswell.sh /usr/local/bin/groundswell
COPY --chmod=0755 deploy/docker/http_answers.py /usr/local/bin/http-answers
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /build/sbom.cdx.json /usr/share/groundswell/sbom.cdx.json
COPY --from=source /app /app
# A named volume takes owner and mode of the folder that it is laid over.
RUN install -d -o 10001 -g 10001 /var/lib/groundswell/ingest \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/groundswell/console
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["groundswell"]
