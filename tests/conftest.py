"""Servers that tests may ask for: real ones, started once per run, on free loopback ports.

They are shared by all tests of a run, so a test uses topic names, key prefixes and consumer
groups of its own. A test that kills a server starts its own (`testkit.local`).

The model server and training have environments of their own. A file that needs a package which
is not here is not collected at all, so nothing is skipped: `make test` runs pytest in each.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from services.local.triton_server import TritonServer
from testkit import local as testing

_SERVERS = "make test-servers"
_NEEDS = {
    "torch": (
        "evaluation/baselines/test_heavy.py",
        "evaluation/encoder/test_ablate.py",
        "evaluation/encoder/test_crossvalidate.py",
        "models/encoder/test_distil.py",
        "models/encoder/test_heads.py",
        "models/encoder/test_model.py",
        "models/encoder/test_refit.py",
        "models/encoder/test_soft.py",
        "models/encoder/test_student.py",
        "models/encoder/test_teachers.py",
        "models/encoder/test_train.py",
        "models/engagement/training/test_train.py",
        "models/engagement/training/test_shrinking.py",
        "models/popalm/training",
        "models/socialalign/test_pac_lora.py",
        "models/socialalign/training",
        "models/test_assemble.py",
        "models/encoder/test_lora.py",
    ),
    "openvino": (
        "evaluation/encoder/test_bench_bare.py",
        "evaluation/encoder/test_bench_model.py",
        "evaluation/encoder/test_built_model.py",
        "evaluation/encoder/test_frontier.py",
        "models/engagement/training/test_heads.py",
        "models/scorers/test_openvino_scorer.py",
        "models/scorers/test_responder_models.py",
        "models/popalm/test_decoder.py",
        "models/popalm/test_engine_parity.py",
        "models/serving/test_batch_invariance.py",
        "models/serving/test_post_encoder.py",
        "models/test_build.py",
        "models/test_parity.py",
    ),
    "sklearn": (
        "evaluation/baselines/test_linear.py",
        "evaluation/crowds/test_judging.py",
        "evaluation/crowds/test_reactions.py",
        "evaluation/crowds/test_stance.py",
        "evaluation/responses/test_text_floor.py",
        "evaluation/crowds/test_fitting.py",
        "models/socialalign/test_tone.py",
    ),
    "onnxruntime": ("models/test_assemble.py", "models/test_row_scales.py"),
    "tritonclient": (
        "models/scorers/test_crowd_models.py",
        "models/scorers/test_engagement_models.py",
        "models/scorers/test_triton.py",
    ),
    "fasttext": ("models/serving/test_language.py",),
    "jieba": ("evaluation/responses/test_floors.py", "evaluation/responses/test_lift.py"),
    "huggingface_hub": ("models/test_backbone_hub.py",),
}

collect_ignore = [
    file
    for package, files in _NEEDS.items()
    if importlib.util.find_spec(package) is None
    for file in files
]

_LEFT_OUT = pytest.StashKey[Counter[str]]()
_ELSEWHERE = {"server": "make test-server", "train": "make test-train", "integration": _SERVERS,
              "slow": _SERVERS}  # fmt: skip


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what a marker expression leaves out, by the first mark that says why."""
    if not items or items[0].config.option.keyword:
        return  # somebody wanted a few
    for item in items:
        found = next((mark for mark in _ELSEWHERE if item.get_closest_marker(mark)), "")
        item.config.stash.setdefault(_LEFT_OUT, Counter())[found] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker of pytest-xdist has counted to the process that reports."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(_LEFT_OUT, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker has counted; each of them sees every test."""
    node.config.stash[_LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out, and what runs it."""
    for mark, number in config.stash.get(_LEFT_OUT, Counter[str]()).items():
        where = f"marked {mark}: {_ELSEWHERE[mark]}" if mark else "of another choice"
        terminalreporter.write_line(f"left out: {number} tests {where}")
    if _LEFT_OUT in config.stash and collect_ignore:
        others = f"{len(collect_ignore)} files that need packages of another environment"
        terminalreporter.write_line(f"left out: {others}: make test-server, make test-train")


# How long an example takes says nothing about the code on a machine that others share.
settings.register_profile(
    "house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka broker; `kafka.bootstrap` is its address. Topics are not created by use."""
    with testing.kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server; `redis_server.url` is its address."""
    with testing.redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A Triton with the shipped model; `triton.grpc_address` is where it serves."""
    with testing.triton_server(tmp_path_factory.mktemp("triton")) as server:
        yield server


@pytest.fixture(scope="session")
def built_repository() -> Path:
    """The project's model repository, built now if it is not up to date (server environment)."""
    from models.build import DEFAULT_OUTPUT, build

    build(DEFAULT_OUTPUT)
    return DEFAULT_OUTPUT
