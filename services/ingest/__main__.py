"""`python -m services.ingest`: the same as `groundswell ingest`."""

from __future__ import annotations

import sys

from services.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["ingest", *sys.argv[1:]]))
