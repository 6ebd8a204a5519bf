"""Write `deploy/kafka/jgo.lock.toml` anew after a change of version.

.venv/bin/python scripts/lock_kafka.py
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from jgo.env import LockFile

from services.local.kafka_jars import LOCK_PATH, maven_context

ARTIFACTS: Final = (
    "org.apache.kafka:kafka_2.13:4.1.0",
    "org.apache.kafka:kafka-tools:4.1.0",
    # Without a logging back end the broker says nothing, not even why it stopped.
    "org.slf4j:slf4j-simple:1.7.36",
)


def main() -> None:
    """Resolve the artifacts with all they depend on, and write the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        context = maven_context(Path(scratch))
        wanted = [context.create_dependency(part) for part in ARTIFACTS]
        inputs, transitive = context.resolver.resolve(wanted)
        lock = LockFile.from_resolved_dependencies(inputs + transitive, environment_name="kafka")
        lock.save(LOCK_PATH)
    sys.stdout.write(f"{len(lock.dependencies)} artifacts locked\n")


if __name__ == "__main__":
    main()
