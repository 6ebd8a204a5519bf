# Two jobs, several images: `build` turns the shipped weights into a Triton model repository,
# `serve` (CPU) and `serve-gpu` are the official Triton container with what the model imports.
ARG BUILD_PYTHON_IMAGE=python:3.11.13-slim-bookworm
# The Python of the Triton container below: its python backend runs that version and no other.
ARG SERVING_PYTHON_IMAGE=python:3.12.11-slim-bookworm
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.06-py3

FROM ${BUILD_PYTHON_IMAGE} AS build-packages
WORKDIR /build
COPY requirements/server.txt deploy/docker/packages/select.awk \
     deploy/docker/packages/model-build.without ./
RUN awk -v mode=without -f select.awk model-build.without server.txt > build.txt \
    && python -m venv --without-pip /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --disable-pip-version-check \
    --require-hashes --no-deps --only-binary=:all: -r build.txt
COPY deploy/docker/sbom.py ./
RUN python sbom.py groundswell-model-build /opt/venv/lib/python3*/site-packages > sbom.cdx.json

FROM ${BUILD_PYTHON_IMAGE} AS build
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="groundswell-model-build" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
COPY --from=build-packages /opt/venv /opt/venv
COPY --from=build-packages /build/sbom.cdx.json /usr/share/groundswell/sbom.cdx.json
COPY core /app/core
COPY models /app/models
COPY deploy/triton /app/deploy/triton
# A named volume takes the owner of the folder that it is laid over.
RUN install -d -o 10001 -g 10001 /srv/models
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "models.build"]

FROM ${SERVING_PYTHON_IMAGE} AS serving-packages
WORKDIR /build
COPY requirements/server.txt deploy/docker/packages/select.awk \
     deploy/docker/packages/serving.with ./
RUN awk -v mode=with -f select.awk serving.with server.txt > serving.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --target /opt/serving \
    --require-hashes --no-deps --only-binary=:all: -r serving.txt
COPY deploy/docker/sbom.py ./
RUN python sbom.py groundswell-triton /opt/serving > sbom.cdx.json

FROM ${TRITON_IMAGE} AS serve
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="groundswell-triton" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
COPY --chmod=0755 deploy/docker/http_answers.py /usr/local/bin/http-answers
# Triton embeds Python in isolation: it does not look at PYTHONPATH, but it does read this.
COPY deploy/docker/serving_path.txt /usr/local/lib/python3.12/dist-packages/groundswell.pth
COPY --from=serving-packages /opt/serving /opt/serving
COPY --from=serving-packages /build/sbom.cdx.json /usr/share/groundswell/sbom.cdx.json
COPY core /app/core
COPY models /app/models
# Only for the volume's owner: here the repository is mounted read-only.
RUN install -d -o 10001 -g 10001 /srv/models
WORKDIR /app
USER 10001:10001

FROM ${SERVING_PYTHON_IMAGE} AS gpu-packages
WORKDIR /build
COPY deploy/docker/packages/gpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --target /opt/serving-gpu \
    --require-hashes --no-deps --only-binary=:all: -r gpu.txt
COPY --from=serving-packages /opt/serving /opt/serving
COPY deploy/docker/sbom.py ./
RUN python sbom.py groundswell-triton-gpu /opt/serving /opt/serving-gpu > sbom.cdx.json

FROM serve AS serve-gpu
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="groundswell-triton-gpu" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=gpu-packages /opt/serving-gpu /opt/serving-gpu
COPY --from=gpu-packages /build/sbom.cdx.json /usr/share/groundswell/sbom.cdx.json
