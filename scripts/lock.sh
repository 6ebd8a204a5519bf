#!/usr/bin/env bash
# Write the lock files: every package of each environment with its hashes, and no address.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
lock() {
    local name=$1
    shift
    "$uv" pip compile pyproject.toml --quiet --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --output-file "requirements/$name.txt" "$@"
    echo "requirements/$name.txt: $(grep -c '==' "requirements/$name.txt") packages"
}
lock main --extra local --extra build
lock dev --extra local --extra build --extra reddit --extra backtest --extra test --extra dev
lock server --extra server --extra build --extra test --override requirements/server-overrides.txt
lock train --extra train --extra build --extra test
