#!/usr/bin/env -S python3 -I -S
"""Health check of an image without curl: status 0 if a GET of each address is answered well."""

import sys
import urllib.request

TIMEOUT_S = 2.0

# A proxy configured for the machine has no business inside a container.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for address in sys.argv[1:]:
    try:
        with direct.open(address, timeout=TIMEOUT_S) as answer:
            answer.read()
    except OSError as error:  # refused, timed out, or a status of 400 and above
        sys.exit(f"{address}: {error}")
