"""Makes the public images that the project's files name, where none can be fetched."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from services.local.kafka_jars import fetch_jars
from services.local.paths import DEFAULT_PATHS
from testkit.compose.engine import ComposeTestFailed, Engine, run

_FOLDER: Final = Path(__file__).parent / "stand_ins"
_DEBIAN: Final = "groundswell-stand-in/debian:bookworm"
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
# What lets pip reach its index is the machine's own business: copied, never written here.
_OF_THE_MACHINE: Final = ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf")
_ENVIRONMENT: Final = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)
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


def make_bases(engine: Engine, root: Path) -> list[str]:
    """Make every public image that is not there as its recipe says, and return their tags."""
    _make_debian(engine)
    tags = public_images(root)
    with tempfile.TemporaryDirectory(dir=engine.cache) as folder:
        context = Path(folder, "context")
        shutil.copytree(_FOLDER, context, ignore=shutil.ignore_patterns("__pycache__"))
        (context / "jars").mkdir()
        for jar in fetch_jars(DEFAULT_PATHS.cache):
            shutil.copy(jar, context / "jars")
        lock = (root / "requirements/server.txt").read_text()
        (context / "triton.txt").write_text(locked_package(lock, "nvidia-pytriton"))
        for tag in tags:
            engine.docker(
                "build", "--network", "host", "--quiet", "--tag", tag,
                "--file", str(context / recipe_of(tag).name), str(context),
            )  # fmt: skip
    return tags


def _make_debian(engine: Engine) -> None:
    """Import a minimal Debian unless it is there with the machine's certificates of today."""
    files = [Path("/", name) for name in _OF_THE_MACHINE if Path("/", name).is_file()]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    label = f"groundswell.machine={key}"
    if engine.docker("images", "--quiet", "--filter", f"label={label}", _DEBIAN).strip():
        return
    with tempfile.TemporaryDirectory(dir=engine.cache) as folder:
        tree = Path(folder, "debian")
        run(("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(tree)),
            timeout_s=1_200.0)  # fmt: skip
        for path in files:
            shutil.copy(path, tree / path.relative_to("/"))
        changes = [word for line in _ENVIRONMENT for word in ("--change", f"ENV {line}")]
        archive = ("tar", "-C", str(tree), "-c", ".")
        pack = subprocess.Popen(archive, stdout=subprocess.PIPE)  # noqa: S603 -- fixed words
        done = subprocess.run(  # noqa: S603 -- fixed words
            ("/usr/bin/docker", "import", *changes, "--change", f"LABEL {label}", "-", _DEBIAN),
            stdin=pack.stdout, env=engine.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if pack.wait() or done.returncode:
            raise ComposeTestFailed(f"docker import: {done.stderr[-500:]}")
