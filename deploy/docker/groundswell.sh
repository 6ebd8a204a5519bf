#!/bin/sh
# `groundswell` inside the image: the same command line as everywhere else.
exec python -m services.cli.main "$@"
