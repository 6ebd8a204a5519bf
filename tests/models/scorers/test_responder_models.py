"""The battery of responders: in this process, on Triton, and the fake for other tests."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from core.config import build as settings_of
from core.errors import ConfigError, ScorerTimedOut, ScorerUnavailable
from core.giving_way import NICE
from core.ports import Responder
from models.build_responder import build_responder
from models.popalm.safety import REASONS, reply_fault
from models.scorers import RESPONDERS
from models.serving.reply_judge import by_likelihood
from models.serving.responder import open_responder
from services.local.ports import reserved_port
from services.local.triton_server import TritonServer
from testkit.decoders import write_responder

pytestmark = pytest.mark.server
POSTS = ("They moved the concert again.", "my cat is so funny", "Why is it always the trains?", "")


def opened(kind: str, repository: Path, url: str = "", **responder: str) -> Responder:
    settings = settings_of(
        {
            "responder": {"kind": kind, **responder},
            "scorer": {"repository": str(repository), **({"url": url} if url else {})},
        }
    )
    return RESPONDERS.get(kind)(settings.responder, settings.scorer)


@contextlib.asynccontextmanager
async def closing(responder: Responder) -> AsyncIterator[Responder]:
    try:
        yield responder
    finally:
        await responder.close()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a tiny responder that was written and built just now."""
    folder = tmp_path_factory.mktemp("responder")
    write_responder(folder / "weights", reward="en-heldout")
    assert not build_responder(folder / "repository", folder / "weights", folder / "weights")[1]
    return folder / "repository"


async def battery(responder: Responder) -> None:
    """What every responder keeps."""
    assert await responder.is_ready()
    some = 0
    for post in POSTS:
        for number in (1, 3, 8):
            made = await responder.reply(post, number, seed=7)
            assert made == await responder.reply(post, number, seed=7)
            assert made.seed == 7
            assert len(made.texts) == len(made.scores) <= number
            assert list(made.scores) == sorted(made.scores, reverse=True)
            assert all(reply_fault(post, text) == "" for text in made.texts)
            assert set(made.refused) <= set(REASONS)
            some += len(made.texts)
    assert some > 10
    together = await asyncio.gather(*(responder.reply(post, 3, 5) for post in POSTS))
    assert together == [await responder.reply(post, 3, 5) for post in POSTS]
    assert (await responder.reply("go kill yourself", 3, 7)).refused == {"post_harm": 1}
    for number, seed in ((0, 1), (9, 1), (1, -1), (1, 2**31)):
        with pytest.raises(ValueError, match="expected"):
            await responder.reply("a post", number, seed)
    odd = await responder.reply("a lone \ud800 surrogate", 2, 1)
    assert odd.seed == 1


@pytest.mark.parametrize("kind", ["in_process", "fake"])
async def test_battery_of_responders_without_a_server(kind: str, repository: Path) -> None:
    async with closing(opened(kind, repository)) as responder:
        await battery(responder)


async def test_another_seed_and_another_post_give_other_replies(repository: Path) -> None:
    async with closing(opened("in_process", repository)) as responder:
        asked = [(post, seed) for post in POSTS[:3] for seed in (1, 2, 3)]
        made = {(await responder.reply(post, 8, seed)).texts for post, seed in asked}
    assert len(made) == 9


async def test_closed_responder_answers_no_more(repository: Path) -> None:
    responder = opened("in_process", repository)
    await responder.close()
    assert not await responder.is_ready()
    with pytest.raises(ScorerUnavailable):
        await responder.reply("a post", 1, 1)


async def test_no_server_is_unavailable_and_not_ready(tmp_path: Path) -> None:
    with reserved_port() as port:
        async with closing(opened("triton", tmp_path, f"127.0.0.1:{port}")) as responder:
            assert not await responder.is_ready()
            with pytest.raises(ScorerUnavailable):
                await responder.reply("a post", 1, 1)


def nicenesses(server: TritonServer) -> dict[str, list[int]]:
    """Role of a process of the server -> how nice each of its threads is."""
    found: dict[str, list[int]] = {}
    for process in psutil.Process(server.pid).children(recursive=True):
        role = "model" if "stub" in Path(process.cmdline()[0]).name else "server"
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        stats = [(one / "stat").read_text().rpartition(")")[2].split() for one in threads]
        found.setdefault(role, []).extend(int(fields[16]) for fields in stats)
    return found


@pytest.mark.integration
async def test_triton_writes_what_this_process_writes(repository: Path, tmp_path: Path) -> None:
    here = opened("in_process", repository)
    with TritonServer(tmp_path, repository=repository) as server:
        async with closing(opened("triton", repository, server.grpc_address)) as there:
            await battery(there)
            for post in POSTS:
                assert await here.reply(post, 4, 11) == await there.reply(post, 4, 11)
        url = server.grpc_address
        async with closing(opened("triton", repository, url, model="nobody")) as absent:
            assert not await absent.is_ready()
            with pytest.raises(ScorerUnavailable, match="nobody"):
                await absent.reply("a post", 1, 1)
        # Replies may be late, and what else the server answers may not: its model gives way, with
        # the threads of its engine, and the server does not, which sets some of its threads to 0.
        mine, nice = os.nice(0), nicenesses(server)
        assert set(nice["server"]) <= {mine, 0}
        assert nice["model"].count(min(mine + NICE, 19)) > len(nice["model"]) / 2, nice


def test_changed_files_are_refused_and_built_anew(repository: Path, tmp_path: Path) -> None:
    copy, weights = tmp_path / "repository", repository.parent / "weights"
    shutil.copytree(repository, copy)
    version, was_current = build_responder(copy, weights, weights)
    assert was_current
    assert f'string_value: "{version}"' in (copy / "responder" / "config.pbtxt").read_text()
    network = copy / "responder" / "1" / "model.bin"
    whole = network.read_bytes()
    network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ConfigError, match="changed after the build"):
        opened("in_process", copy)
    # The same parts give the same bits, whatever this process has built before.
    assert build_responder(copy, weights, weights) == (version, False)
    assert network.read_bytes() == whole


async def test_reward_puts_replies_in_order_and_another_one_is_refused(
    repository: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    folder = copy / "responder" / "1"
    service = open_responder(folder)
    assert ".en-heldout-" in service.version
    post = POSTS[1]
    by_reward = service.reply(post, 2, 3)
    service.judge = by_likelihood
    by_itself = service.reply(post, 2, 3)
    assert set(by_reward.scores).isdisjoint(by_itself.scores)
    assert len(by_reward.texts) == len(by_itself.texts) == 2
    tensors = folder / "reward" / "model.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ConfigError, match="changed after the build"):
        open_responder(folder)


def test_on_a_machine_too_busy_for_an_answer_a_responder_is_loaded_all_the_same(
    repository: Path,
) -> None:
    service = open_responder(repository / "responder" / "1", 1)
    service.config = replace(service.config, limit_s=1e-9)
    service.warm_up()
    with pytest.raises(ScorerTimedOut, match="the machine is too busy"):
        service.reply("a post", 2, 7)
