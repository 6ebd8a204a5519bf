"""The broker's jars: what the committed lock says, and nothing half done."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from services.local import kafka_jars
from services.local.kafka_jars import (
    LOCK_PATH,
    JarsUnavailable,
    are_cached,
    fetch_jars,
    jars_folder,
    read_lock,
)
from services.local.kafka_server import KafkaServer, archive_path, build_archive
from services.local.paths import DEFAULT_PATHS

ONE_JAR = """
[[dependencies]]
groupId = "org.slf4j"
artifactId = "slf4j-simple"
version = "1.7.36"
sha256 = "{digest}"
"""


def lock_of_one_jar(folder: Path, digest: str | None = None) -> Path:
    known = next(jar.sha256 for jar in read_lock() if "slf4j-simple" in jar.coordinate)
    path = folder / "lock.toml"
    path.write_text(ONE_JAR.format(digest=digest or known))
    return path


def test_the_lock_names_kafka_and_every_artifact_by_its_digest() -> None:
    jars = read_lock()
    coordinates = {jar.coordinate for jar in jars}
    assert {
        "org.apache.kafka:kafka_2.13:4.1.0",
        "org.apache.kafka:kafka-tools:4.1.0",
    } <= coordinates
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({jar.filename for jar in jars}) == len(jars)


def test_the_lock_holds_no_address() -> None:
    assert "://" not in LOCK_PATH.read_text()


def test_a_changed_lock_is_another_folder(tmp_path: Path) -> None:
    first = jars_folder(tmp_path, lock_of_one_jar(tmp_path))
    assert first != jars_folder(tmp_path, lock_of_one_jar(tmp_path, "0" * 64))


@pytest.mark.integration
def test_jars_are_fetched_into_an_empty_cache_without_maven_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lock = lock_of_one_jar(tmp_path)
    assert not are_cached(tmp_path / "cache", lock)
    (jar,) = fetch_jars(tmp_path / "cache", lock)
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == read_lock(lock)[0].sha256
    assert are_cached(tmp_path / "cache", lock)

    def unreachable(_folder: Path) -> None:
        raise AssertionError("a warm cache must not ask anybody")

    monkeypatch.setattr(kafka_jars, "maven_context", unreachable)
    assert fetch_jars(tmp_path / "cache", lock) == [jar]


@pytest.mark.integration
def test_a_jar_that_is_not_the_locked_one_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    lock = lock_of_one_jar(tmp_path, digest="0" * 64)
    with pytest.raises(JarsUnavailable, match=r"slf4j-simple:1\.7\.36: its SHA-256 is"):
        fetch_jars(tmp_path / "cache", lock)
    assert not are_cached(tmp_path / "cache", lock)
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["kafka.lock"]


@pytest.mark.integration
@pytest.mark.slow
def test_a_broker_uses_the_class_archive_and_starts_without_a_fitting_one(tmp_path: Path) -> None:
    build_archive()
    assert archive_path(DEFAULT_PATHS.cache).stat().st_size > 10_000_000
    with KafkaServer(tmp_path / "archived") as kafka:
        maps = Path(f"/proc/{kafka.pid}/maps").read_text()
        assert archive_path(DEFAULT_PATHS.cache).name in maps
    # A cache of links to the same jars, with an archive that is none.
    cache = tmp_path / "cache"
    folder = jars_folder(cache)
    folder.mkdir(parents=True)
    for jar in fetch_jars():
        os.link(jar, folder / jar.name)
    archive_path(cache).write_bytes(b"not an archive")
    with KafkaServer(tmp_path / "plain", cache=cache) as kafka:
        assert kafka.is_ready()
