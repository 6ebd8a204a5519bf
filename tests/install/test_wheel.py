"""The wheel, installed where there is no checkout: its commands work with their defaults.

On this Python everything is made as a stranger's first `groundswell setup` makes it, but for the
broker's jars, which are those of the checkout: they are fetched by a lock with digests, as is
tested beside them. The other Pythons share that model server's environment, its model and jars.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.local.kafka_jars import are_cached, jars_folder
from services.local.paths import DEFAULT_PATHS
from services.local.setup import find_uv, installed_pythons
from testkit.growth import CHECKOUT, GrowingTree

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
PACKAGES = ("core", "groundswell", "stream", "models", "services")
OTHERS = ("3.12", "3.13")
_ELSEWHERE = {
    "asyncpraw", "gguf", "huggingface_hub", "nncf", "onnx", "onnxruntime", "onnxscript", "openvino",
    "peft", "safetensors", "scipy", "sklearn", "tokenizers", "torch", "transformers",
    "triton_python_backend_utils",
}  # fmt: skip
"""What modules of models import that only another environment has, or an extra."""
_IMPORT_ALL = """
import importlib, json, pkgutil, sys
absent = set()
for package in sys.argv[1:]:
    places = list(importlib.import_module(package).__path__)
    for module in pkgutil.walk_packages(places, package + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            absent.add(error.name.partition(".")[0])
print(json.dumps([len([name for name in sys.modules if name.split(".")[0] in sys.argv]), *absent]))
"""


def interpreters() -> dict[str, str]:
    """Return version -> program of the other Pythons that are installed on this machine."""
    found = {version: installed_pythons(find_uv(), version) for version in OTHERS}
    return {version: programs[0] for version, programs in found.items() if programs}


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own.

    Attributes:
        program: its `groundswell`.
        folder: an empty folder in which commands are given.
        variables: laid over an environment that knows nothing of the checkout.
    """

    program: Path
    folder: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME", "GROUNDSWELL")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        ways = [way for way in kept["PATH"].split(":") if str(CHECKOUT) not in way]
        return kept | {"PATH": ":".join(ways)} | self.variables

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.execute(str(self.program), *words)

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.execute(str(self.program.with_name("python")), *words)

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert "Traceback" not in ended.stdout + ended.stderr, ended.stdout + ended.stderr
        return ended

    def expect(self, status: int, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what git has, so that nothing left in the checkout gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = GrowingTree.copy_to(folder / "tree")
    words = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*words, "--wheel-dir", str(folder), str(tree.root)], check=True, timeout=300)
    return next(folder.glob("*.whl"))


def install(wheel: Path, python: str, folder: Path, **variables: str) -> Installed:
    """Install the wheel and what the lock names; `folder` gets the environment and an empty one."""
    uv, home = find_uv(), folder / "environment"
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(home)], check=True)
    into = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(home / "bin" / "python")]
    lock = CHECKOUT / "requirements" / "main.txt"
    subprocess.run([*into, "--require-hashes", "-r", str(lock)], check=True, timeout=600)
    subprocess.run([*into, str(wheel)], check=True)
    empty = folder / "empty"
    empty.mkdir()
    return Installed(home / "bin" / "groundswell", empty, variables)


def share_jars(cache: Path) -> None:
    """Give a cache the jars of the checkout, and the class archive beside them."""
    assert are_cached(DEFAULT_PATHS.cache), "the checkout has no jars: make setup"
    jars = jars_folder(DEFAULT_PATHS.cache)
    shutil.copytree(jars, cache / jars.name, copy_function=os.link)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel on this Python."""
    made = install(wheel, sys.executable, tmp_path_factory.mktemp("installed"))
    yield made
    made.run("down")


def test_the_wheel_holds_the_product_and_what_it_reads_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    shipped = {name.removeprefix("core/shipped/") for name in names if "/shipped/" in name}
    assert all((CHECKOUT / name).is_file() for name in shipped)
    assert {"configs/queries.toml", "deploy/kafka/jgo.lock.toml", "requirements/server.txt"} < (
        shipped
    )
    assert not [name for name in names if "/test_" in name or name.startswith("tests")]


def test_setup_makes_everything_once_in_an_empty_folder(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    found = interpreters()
    with capsys.disabled():
        ran, absent = [sys.version.split()[0], *found], set(OTHERS) - set(found)
        sys.stdout.write(f"\nthe wheel runs on {', '.join(ran)}; not here: {sorted(absent)}\n")
    before = installed.expect(1, "doctor")
    assert "groundswell setup" in before
    assert "make " not in before

    share_jars(installed.folder / ".groundswell" / "cache")
    made = installed.expect(0, "setup")
    assert "model server: installed in " in made
    assert "model: built in " in made
    again = installed.expect(0, "setup")
    assert again.splitlines() == [made.splitlines()[-1]]
    installed.expect(0, "doctor")


def test_a_recording_is_replayed_and_the_stack_is_stopped(installed: Installed) -> None:
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with (installed.folder / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "created_at", "text", "author"])
        for n in range(400):
            at = began + timedelta(seconds=n)
            rows.writerow([n, at.isoformat(), f"the flood took our street {n}", f"user{n % 9}"])
    up = ("up", "--source", "replay", "--data", "posts.csv", "--detach", "--until-idle")
    assert "every accepted post is accounted for" in installed.expect(0, *up)
    assert "2026-03-01" in installed.expect(0, "windows", "show", "all")
    assert "stopped kafka" in installed.expect(0, "down")
    assert "no stack is running" in installed.expect(1, "down")


def test_a_demo_ends_well_with_its_defaults(installed: Installed) -> None:
    installed.expect(0, "demo", "--duration", "30", "--json", "demo.json")
    figures = json.loads((installed.folder / "demo.json").read_text())["figures"]
    assert figures["faults"] == 0
    assert figures["counted"] > 0
    assert figures["windows_closed"] > 0


@pytest.mark.parametrize(
    "words",
    [("chaos",), ("backtest",), ("tune",), ("bench", "queries"), ("models", "evaluate", "all")],
    ids=lambda words: " ".join(words),
)
def test_a_command_that_is_not_shipped_says_where_it_is_to_be_had(
    installed: Installed, words: tuple[str, ...]
) -> None:
    said = installed.expect(2, *words)
    assert "run it in a checkout of the project" in said
    assert len(said.strip().splitlines()) == 1
    assert f" {words[0]} " not in installed.expect(0, "--help") or words[0] == "models"


@pytest.mark.parametrize("version", [*interpreters()])
def test_other_pythons_run_it_too(
    version: str, wheel: Path, installed: Installed, tmp_path: Path
) -> None:
    made, home = installed.folder / ".groundswell", tmp_path / "home"
    server = made / "server" / "bin" / "python"
    assert server.exists(), "the environment that is shared is made by the first test here"
    share_jars(home / "cache")
    shutil.copytree(made / "model_repository", home / "model_repository")
    other = install(
        wheel, interpreters()[version], tmp_path,
        GROUNDSWELL_HOME=str(home), GROUNDSWELL_SERVER_PYTHON=str(server),
    )  # fmt: skip
    asked = other.python("-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    assert asked.stdout.strip() == version
    imported = other.python("-c", _IMPORT_ALL, *PACKAGES)
    assert imported.returncode == 0, imported.stderr
    number, *absent = json.loads(imported.stdout)
    assert number > 200
    assert set(absent) <= _ELSEWHERE
    other.expect(0, "doctor")
    assert "flood-relief" in other.expect(0, "queries", "check", "--text", "#help in the flood")
    other.expect(0, "demo", "--duration", "20", "--no-metrics", "--json", "demo.json")
    assert json.loads((other.folder / "demo.json").read_text())["figures"]["faults"] == 0
    assert (home / "author.key").is_file()
    assert not (other.folder / ".groundswell").exists()
