#!/usr/bin/env -S python3 -I -S
"""Health check of an image without curl: status 0 if a GET of the address is answered well."""

import sys
import urllib.request

TIMEOUT_S = 3.0

try:
    # A proxy configured for the machine has no business inside a container.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(sys.argv[1], timeout=TIMEOUT_S) as answer:
        answer.read()
except OSError as error:  # refused, timed out, or a status of 400 and above
    sys.exit(f"{sys.argv[1]}: {error}")
