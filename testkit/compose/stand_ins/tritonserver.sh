#!/bin/sh
# The wheel's server, told where its parts are.
export LD_LIBRARY_PATH=/opt/wheel/nvidia_pytriton.libs
exec /opt/wheel/pytriton/tritonserver/bin/tritonserver \
    --backend-directory=/opt/tritonserver/backends "$@"
