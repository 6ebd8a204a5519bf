"""Makes the public images that the project's files name, where none can be fetched."""

from __future__ import annotations

import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from services.local.kafka_jars import fetch_jars
from services.local.paths import DEFAULT_PATHS
from testkit.compose.distribution import DEBIAN, import_debian
from testkit.compose.engine import Engine
from testkit.compose.failures import ComposeTestFailed
from testkit.compose.stages import Stages

_FOLDER: Final = Path(__file__).parent / "stand_ins"
_SERVERS: Final = "groundswell-stand-in/servers:bookworm"
_AT_ONCE: Final = 4
"""Recipes followed at the same time: most of each is waiting for packages."""
STAND_INS: Final = {
    "python": "python", "apache/kafka": "kafka", "redis": "redis", "prom/prometheus": "prometheus",
    "prom/alertmanager": "alertmanager", "grafana/grafana": "grafana",
    "nvcr.io/nvidia/tritonserver": "triton",
}  # fmt: skip
"""The name of a public image -> the recipe in `stand_ins/` that takes its place."""


def public_images(root: Path) -> list[str]:
    """Return the tags of public images that the files of a checkout name, each once."""
    named = set(re.findall(r"(?m)^ +image: (?!groundswell/)(\S+)$",
                           (root / "docker-compose.yml").read_text()))  # fmt: skip
    for path in (root / "deploy/docker").glob("*.Dockerfile"):
        named |= set(re.findall(r"(?m)^ARG \w+_IMAGE=(\S+)$", path.read_text()))
    return sorted(named)


def recipe_of(tag: str) -> Path:
    """Return the recipe for a public image.

    Raises:
        ComposeTestFailed: There is none; a new image needs a stand-in.
    """
    name = tag.rpartition(":")[0]
    if name not in STAND_INS:
        raise ComposeTestFailed(f"{tag}: no stand-in in {_FOLDER}")
    return _FOLDER / f"{STAND_INS[name]}.Dockerfile"


def locked_package(lock: str, name: str) -> str:
    """Return the lines of a hash-locked requirement file that hold one package.

    Raises:
        ComposeTestFailed: The lock does not have it.
    """
    found = re.search(rf"(?m)^{re.escape(name)}==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", lock)
    if found is None:
        raise ComposeTestFailed(f"the lock has no package {name}")
    return found[0]


def make_bases(engine: Engine, root: Path, stages: Stages) -> None:
    """Make every public image that is not there as its recipe says.

    Raises:
        ComposeTestFailed: One could not be made.
        NoEngine: The engine that runs starts no containers.
    """
    with stages("a base system"):
        import_debian(engine.environment)
    engine.require_containers(DEBIAN)
    tags = public_images(root)
    with tempfile.TemporaryDirectory(dir=engine.cache) as folder:
        context = Path(folder, "context")
        shutil.copytree(_FOLDER, context, ignore=shutil.ignore_patterns("__pycache__"))
        (context / "jars").mkdir()
        for jar in fetch_jars(DEFAULT_PATHS.cache):
            shutil.copy(jar, context / "jars")
        lock = (root / "requirements/server.txt").read_text()
        (context / "triton.txt").write_text(locked_package(lock, "nvidia-pytriton"))
        with stages("stand-ins"), ThreadPoolExecutor(_AT_ONCE) as pool:
            follow = partial(_follow, engine, context)
            # Two of them wait for packages; what is made of these takes no time.
            first = {_SERVERS: _FOLDER / "servers.Dockerfile"} | {
                tag: recipe_of(tag) for tag in tags if not _is_of_servers(recipe_of(tag))
            }
            rest = {tag: recipe_of(tag) for tag in tags if tag not in first}
            for recipes in (first, rest):
                list(pool.map(follow, recipes, recipes.values()))


def _is_of_servers(recipe: Path) -> bool:
    return f"FROM {_SERVERS}" in recipe.read_text()


def _follow(engine: Engine, context: Path, tag: str, recipe: Path) -> None:
    engine.docker(
        "build", "--network", "host", "--quiet", "--tag", tag,
        "--file", str(context / recipe.name), str(context),
    )  # fmt: skip
