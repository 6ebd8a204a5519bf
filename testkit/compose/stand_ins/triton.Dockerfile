# In place of nvcr.io/nvidia/tritonserver: the server that the nvidia-pytriton wheel carries, which
# has the python backend alone and no GPU. Its Python is Debian's 3.11; the folder of 3.12 into which
# the project lays its path file is read as the official container reads it.
FROM groundswell-stand-in/debian:bookworm
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libpython3.11 >/dev/null \
    && rm -rf /var/lib/apt/lists/*
COPY triton.txt /tmp/triton.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet --target /opt/wheel --no-deps --require-hashes --only-binary=:all: -r /tmp/triton.txt
RUN mkdir -p /opt/tritonserver/bin /opt/tritonserver/backends \
    && cp -r /opt/wheel/pytriton/tritonserver/backends/python /opt/tritonserver/backends/python \
    && cp /opt/wheel/pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
       /opt/tritonserver/backends/python/ \
    && install -d /usr/local/lib/python3.12/dist-packages \
    && echo 'import site; site.addsitedir("/usr/local/lib/python3.12/dist-packages")' \
       > /usr/lib/python3/dist-packages/stand_in.pth
COPY --chmod=0755 tritonserver.sh /opt/tritonserver/bin/tritonserver
ENV PATH=/opt/tritonserver/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /opt/tritonserver
