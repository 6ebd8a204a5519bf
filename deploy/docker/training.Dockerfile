# Training, the only image with torch; no service of docker-compose.yml uses it. Mount the data and
# the folder for the weights (docs/compose.md).
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
COPY requirements/train.txt ./
RUN python -m venv --without-pip /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --disable-pip-version-check \
    --require-hashes --no-deps --only-binary=:all: -r train.txt

FROM ${PYTHON_IMAGE} AS training
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
COPY --chmod=0755 deploy/docker/groundswell.sh /usr/local/bin/groundswell
COPY --from=packages /opt/venv /opt/venv
COPY core /app/core
COPY stream /app/stream
COPY models /app/models
COPY services /app/services
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["groundswell"]
