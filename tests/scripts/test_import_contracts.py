"""Each import contract of `pyproject.toml` fails when an import breaks it, and is then named."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
CONTRACTS = [contract["name"] for contract in PROJECT["importlinter"]["contracts"]]
INSIDE = "def late() -> None:\n    {}\n"
"""An import inside a function is an import."""
FOR_TYPES = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    {}\n"

# What breaks, the file it is written into, the line, and where in the file it stands.
BREAKS = [
    ("Imports go testkit", "core/__init__.py", "import stream.topics", "{}\n"),
    ("Imports go testkit", "stream/__init__.py", "import models.backbone", "{}\n"),
    ("Imports go testkit", "models/__init__.py", "import stream.topics", "{}\n"),
    ("Imports go testkit", "models/__init__.py", "import services.kafka_client", INSIDE),
    ("The product", "services/__init__.py", "import evaluation.encoder.command", INSIDE),
    ("The product", "models/__init__.py", "from testkit import builders", FOR_TYPES),
    ("Imports go testkit", "services/__init__.py", "import testkit.builders", "{}\n"),
    ("Imports go testkit", "evaluation/shares/__init__.py", "from testkit import builders", "{}\n"),
    ("groundswell.client", "groundswell/client/live.py", "import core.clock", INSIDE),
    ("Inside stream", "stream/store/__init__.py", "import {worker}", "{}\n"),
    ("Inside stream", "stream/store/__init__.py", "import {runtime}", INSIDE),
    ("Inside stream", "{worker}", "import {runtime}", "{}\n"),
    ("kafka is", "services/__init__.py", "import kafka", "{}\n"),
    ("kafka is", "services/__init__.py", "from kafka.structs import TopicPartition", INSIDE),
    ("faust and", "services/__init__.py", "import faust", "{}\n"),
    ("faust and", "stream/store/__init__.py", "from aiokafka.errors import KafkaError", FOR_TYPES),
    ("mode is", "services/__init__.py", "import mode", "{}\n"),
    ("redis is", "services/__init__.py", "import redis", "{}\n"),
    ("redis is", "stream/windows/__init__.py", "import redis.asyncio as aioredis", INSIDE),
    ("tritonclient is", "services/__init__.py", "import tritonclient", "{}\n"),
    ("tritonclient is", "models/__init__.py", "import tritonclient.grpc as triton", INSIDE),
    ("fastapi, uvicorn", "services/cli/__init__.py", "import fastapi", INSIDE),
    ("fastapi, uvicorn", "services/__init__.py", "from pydantic import BaseModel", FOR_TYPES),
    ("torch is", "services/__init__.py", "import torch", "{}\n"),
    ("torch is", "models/__init__.py", "from torch import Tensor", FOR_TYPES),
    ("models know no broker", "models/__init__.py", "import redis", INSIDE),
    ("stream and core know no model", "core/__init__.py", "import openvino", "{}\n"),
    ("services, serving and scoring", "models/scorers/__init__.py",
     "import models.encoder.model", INSIDE),
]  # fmt: skip
if any("-> windows" in name for name in CONTRACTS):
    BREAKS.append(("Inside stream", "stream/windows/__init__.py", "import stream.store", INSIDE))


def at(tree: Path, text: str) -> str:
    """Return a text with the modules of the stream's upper layers, wherever they live."""
    moved = (tree / "stream" / "worker").is_dir()
    names = {
        "worker": "stream.worker.waiting" if moved else "stream.waiting",
        "runtime": "stream.runtime.transport" if moved else "stream.transport",
    }
    if text == "{worker}":
        return names["worker"].replace(".", "/") + ".py"
    return text.format(**names)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the contracts are about."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PROJECT["importlinter"]["root_packages"]:
        shutil.copytree(
            ROOT / package, copy / package,
            ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".py")],
        )  # fmt: skip
    shutil.copy2(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def broken(tree: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Add an import to a file of the copy for as long as the test runs; return the contract."""
    contract, file, line, place = request.param
    path = tree / at(tree, file)
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{place.format(at(tree, line))}", encoding="utf-8")
    yield contract
    path.write_text(before, encoding="utf-8")


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(program), "--no-logo", "--no-cache"],
        cwd=tree, capture_output=True, text=True, check=False, env={"COLUMNS": "400"},
    )  # fmt: skip


def broken_contracts(output: str) -> list[str]:
    return [line for line in output.splitlines() if " BROKEN" in line]


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    ended = lint_imports(tree)
    assert ended.returncode == 0, ended.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in ended.stdout


@pytest.mark.parametrize(
    "broken", BREAKS, indirect=True, ids=[f"{name}: {line}" for name, _, line, _ in BREAKS]
)
def test_an_import_that_a_contract_forbids_fails_and_names_it(tree: Path, broken: str) -> None:
    ended = lint_imports(tree)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    found = broken_contracts(ended.stdout)
    assert any(name.startswith(broken) for name in found), found


def test_every_contract_is_broken_once_by_a_test_here() -> None:
    for name in CONTRACTS:
        assert any(name.startswith(begin) for begin, *_ in BREAKS), name
