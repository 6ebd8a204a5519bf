"""The battery of crowd models: on Triton and in this process; and what the edge refuses."""

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import build as settings_of
from core.errors import ConfigError, InvalidAnswer, ScorerRefused, ScorerUnavailable
from core.ports import CrowdAnswer, CrowdModel, CrowdQuestions
from models.build_crowd import CROWD, CROWD_WEIGHTS, build_crowd
from models.scorers import CROWDS
from models.scorers.crowd_edge import as_sent, checked_crowd, joined_crowds
from models.scorers.crowd_triton import TritonCrowd
from models.scorers.edge import Asked
from models.scorers.pooled import PooledCrowd, one_or_pooled
from models.serving.crowd import open_crowd
from models.socialalign.tone import MOST_LETTERS
from services.local.ports import reserved_port
from services.local.triton_server import TritonServer
from tests.models.scorers.served_models import (
    answers_no_more_when_closed,
    closing,
    is_away,
    is_built_again_when_changed,
)

TEXTS = ("", "what a day", "this is the worst thing ever said", "太好了 真的太好了", "a\ud800b" * 9)


def opened(kind: str, repository: Path, url: str = "") -> CrowdModel:
    scorer = {"repository": str(repository), **({"url": url} if url else {})}
    return CROWDS.get(kind)(settings_of({"scorer": scorer}).scorer)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the crowd model alone."""
    folder = tmp_path_factory.mktemp("crowd") / "repository"
    assert not build_crowd(folder)[1]
    return folder


def questions(rows: int, seed: int = 1) -> CrowdQuestions:
    rng = np.random.default_rng(seed)
    heads = rng.uniform(size=(rows, 7)).astype(np.float32)
    heads[::5] = np.nan
    seen = rng.poisson(0.7, (rows, 7, 3)).astype(np.float32)
    flags = rng.integers(2, size=(rows, 2)).astype(np.float32)
    usual = rng.dirichlet((2, 3, 2), rows).astype(np.float32)
    texts = [TEXTS[row % len(TEXTS)] + " ha" * (row % 7) for row in range(rows)]
    return CrowdQuestions(usual, heads, seen, flags, texts)


def part(whole: CrowdQuestions, rows: slice) -> CrowdQuestions:
    return CrowdQuestions(
        whole.usual[rows], whole.heads[rows], whole.seen[rows], whole.flags[rows],
        whole.texts[rows],
    )  # fmt: skip


async def battery(model: CrowdModel) -> None:
    """What every crowd model keeps."""
    assert await model.is_ready()
    asked = questions(600)
    whole = await model.expect(asked)
    for shares in (whole.forecast, whole.reaction):
        assert shares.shape == (600, 3)
        assert (shares > 0).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    some = [slice(row, row + 3) for row in range(0, 300, 17)]
    answers = await asyncio.gather(*(model.expect(part(asked, rows)) for rows in some))
    for rows, answer in zip(some, answers, strict=True):
        assert answer.model_version == whole.model_version
        assert answer.forecast.tobytes() == whole.forecast[rows].tobytes()
        assert answer.reaction.tobytes() == whole.reaction[rows].tobytes()
    none = await model.expect(part(asked, slice(0)))
    assert none.model_version == whole.model_version
    assert none.forecast.shape == none.reaction.shape == (0, 3)
    with pytest.raises(ScorerRefused):
        await model.expect(replace(asked, usual=0 * asked.usual))
    assert (await model.expect(asked)).reaction.tobytes() == whole.reaction.tobytes()


async def test_battery_in_this_process(repository: Path) -> None:
    async with closing(opened("in_process", repository)) as model:
        await battery(model)


@pytest.mark.integration
async def test_triton_serves_the_bits_of_this_process(repository: Path, tmp_path: Path) -> None:
    with TritonServer(tmp_path, repository=repository) as server:
        here = opened("in_process", repository)
        async with closing(opened("triton", repository, server.grpc_address)) as there:
            await battery(there)
            asked = questions(500, seed=9)
            one, other = await here.expect(asked), await there.expect(asked)
            assert one.model_version == other.model_version
            assert one.forecast.tobytes() == other.forecast.tobytes()
            assert one.reaction.tobytes() == other.reaction.tobytes()


def test_an_event_costs_far_less_of_a_core_than_is_promised() -> None:
    service = open_crowd(CROWD_WEIGHTS, is_built=False)
    longest = replace(part(questions(1), slice(1)), texts=["so it goes " * 100])
    service.expect(longest)
    started_s = time.thread_time()  # not of a clock on the wall: others use the machine, too
    for _ in range(20):
        service.expect(longest)
    assert (time.thread_time() - started_s) / 20 < 0.02


async def test_closed_model_answers_no_more(repository: Path) -> None:
    model = opened("in_process", repository)
    await answers_no_more_when_closed(model, lambda closed: closed.expect(questions(1)))


async def test_no_server_is_unavailable_and_not_ready(tmp_path: Path) -> None:
    with reserved_port() as port:
        async with closing(opened("triton", tmp_path, f"127.0.0.1:{port}")) as model:
            await is_away(model, lambda absent: absent.expect(questions(1)))


def test_a_persons_past_moves_the_reaction_and_not_the_forecast() -> None:
    service = open_crowd(CROWD_WEIGHTS, is_built=False)
    one = part(questions(1), slice(1))
    calm, angry = 0 * one.seen, 0 * one.seen
    angry[:, (0, 6), 0] = 6
    shares = [service.expect(replace(one, seen=seen)) for seen in (calm, angry)]
    assert shares[1].reaction[0, 0] > shares[0].reaction[0, 0] + 0.1
    assert shares[1].forecast.tobytes() == shares[0].forecast.tobytes()


def test_a_posts_own_tone_moves_the_forecast() -> None:
    service = open_crowd(CROWD_WEIGHTS, is_built=False)
    one = part(questions(1), slice(1))
    heads = np.zeros((2, 1, 7), np.float32)
    heads[0, :, (0, 3)] = heads[1, :, (2, 4)] = 1
    angry, glad = (service.expect(replace(one, heads=of_post)).forecast[0] for of_post in heads)
    assert angry[0] > glad[0]
    assert glad[2] > angry[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [("usual", -0.1), ("usual", np.nan), ("heads", 1.5), ("seen", -1.0), ("seen", np.inf),
     ("flags", 0.5), ("flags", np.nan)],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_row(name: str, value: float) -> None:
    asked = questions(4)
    getattr(asked, name)[2].reshape(-1)[1] = value
    with pytest.raises(ValueError, match=f"{name} of row 2 cannot be"):
        open_crowd(CROWD_WEIGHTS, is_built=False).expect(asked)


def test_other_shapes_are_refused() -> None:
    asked = questions(4)
    with pytest.raises(ValueError, match="heads of shape"):
        open_crowd(CROWD_WEIGHTS, is_built=False).expect(replace(asked, heads=asked.heads[:, :6]))


def test_a_model_is_sent_what_it_reads_and_nothing_that_utf8_cannot_say() -> None:
    asked = replace(
        part(questions(2), slice(2)), texts=["a" * MOST_LETTERS + "unread", "lone \ud800"],
        usual=np.asfortranarray(questions(2).usual, np.float64),
    )  # fmt: skip
    sent = as_sent(asked)
    assert sent.texts == ["a" * MOST_LETTERS, "lone ?"]
    for values in (sent.usual, sent.heads, sent.seen, sent.flags):
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
    service = open_crowd(CROWD_WEIGHTS, is_built=False)
    whole, cut = service.expect(asked), service.expect(sent)
    assert whole.reaction[0].tobytes() == cut.reaction[0].tobytes()


class Stand:
    """A crowd model behind an address, which may be away."""

    def __init__(self, version: str) -> None:
        self.version, self.asked, self.is_away, self.is_closed = version, 0, False, False

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        self.asked += 1
        if self.is_away:
            raise ScorerUnavailable("away")
        shares = np.full((len(questions.texts), 3), 1 / 3, np.float32)
        return CrowdAnswer(self.version, shares, shares)

    async def is_ready(self) -> bool:
        return not self.is_away

    async def close(self) -> None:
        self.is_closed = True


async def test_of_several_servers_one_that_is_away_is_left_out_and_another_answers() -> None:
    stands = {"a:1": Stand("v"), "b:1": Stand("v")}
    pool = one_or_pooled(tuple(stands), stands.__getitem__, PooledCrowd, 5.0)
    stands["a:1"].is_away = True
    for _ in range(4):
        assert (await pool.expect(questions(2))).model_version == "v"
    assert (stands["a:1"].asked, stands["b:1"].asked) == (1, 4)
    stands["b:1"].is_away = True
    with pytest.raises(ScorerUnavailable, match="none of 2 servers answers"):
        await pool.expect(questions(2))
    assert not await pool.is_ready()
    await pool.close()
    assert all(stand.is_closed for stand in stands.values())


@pytest.mark.parametrize(("url", "kind"), [("a:1", TritonCrowd), ("a:1,b:1", PooledCrowd)])
async def test_settings_name_one_server_or_several(url: str, kind: type, tmp_path: Path) -> None:
    async with closing(opened("triton", tmp_path, url)) as model:
        assert type(model) is kind


SHARES = np.full((2, 3), 1 / 3, np.float32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(SHARES.astype(np.float64), "of type"), (SHARES[:1], "of shape"), (SHARES * 2, "of row 0"),
     (SHARES * np.float32("nan"), "of row 0"),
     (np.array([[1, 0, 0], [-1, 1, 1]], np.float32), "of row 1")],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(wrong: object, said: str) -> None:
    asked = Asked("a model", 2, ())
    assert checked_crowd(asked, "v", SHARES, SHARES).model_version == "v"
    for pair in ((wrong, SHARES), (SHARES, wrong)):
        with pytest.raises(InvalidAnswer, match=said):
            checked_crowd(asked, "v", *pair)


def test_answers_of_two_versions_are_not_joined() -> None:
    parts = [CrowdAnswer(version, SHARES, SHARES) for version in ("a", "b")]
    with pytest.raises(InvalidAnswer, match="changed within a batch"):
        joined_crowds("a model", parts)


def test_repository_is_complete_and_building_again_does_nothing(
    repository: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    is_built_again_when_changed(
        copy / CROWD, lambda: build_crowd(copy), lambda: opened("in_process", copy)
    )
    assert [path.name for path in copy.iterdir()] == [CROWD]


def test_without_weights_a_build_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no weights"):
        build_crowd(tmp_path / "repository", weights=tmp_path)
