"""The model gives a text the same bits in any batch, on every engine: windows depend on it."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.processor import read_flags
from core.routes import SENT
from models.build import MODEL_NAME
from models.build_student import choose_answers
from models.encoder.calibration_sentences import write_sentences
from models.encoder.config import load_config
from models.serving.candidates import CANDIDATES, candidate
from models.serving.post_encoder import PostEncoderService, ScoredTexts, open_service
from models.serving.reference import load_reference
from models.serving.trials import try_engine
from models.student.config import Answers

pytestmark = pytest.mark.server

TEXTS = [*write_sentences(160, seed=99), "word " * 400, "x", "no " * 60]


def bits_of(scored: ScoredTexts, row: int) -> bytes:
    """The numbers of every head for a row, bit for bit."""
    return b"".join(values[row].tobytes() for values in scored.heads.values())


CPU_ENGINES = [each.name for each in CANDIDATES if each.device == "cpu"]


@pytest.fixture(scope="module", params=CPU_ENGINES)
def engine(request: pytest.FixtureRequest, built_repository: Path) -> str:
    """Each engine that can be chosen on this processor; the others must not open."""
    folder, name = built_repository / MODEL_NAME / "1", request.param
    config = load_config(folder)
    trial = try_engine(
        candidate(name), folder, config, load_reference(folder, config), read_flags(),
        measure=lambda *_: (1.0, 1.0),
    )  # fmt: skip
    if trial.refused:
        with pytest.raises(ConfigError, match=name):
            open_service(folder, cached=0, engine=name)
        pytest.skip(f"{name} cannot be chosen here: {trial.refused}")
    return name


@pytest.fixture(scope="module")
def service(built_repository: Path, engine: str) -> PostEncoderService:
    # Without the cache: it would hide differences by giving back the first answer.
    return open_service(built_repository / MODEL_NAME / "1", cached=0, engine=engine)


@pytest.fixture(scope="module")
def alone(service: PostEncoderService) -> list[tuple[bytes, bytes]]:
    """Probabilities of all heads, and embedding, of each text scored by itself."""
    found = []
    for text in TEXTS:
        scored = service.score([text], ["en"], with_embedding=True)
        assert scored.embedding is not None
        found.append((bits_of(scored, 0), scored.embedding[0].tobytes()))
    return found


@settings(max_examples=15)
@given(size=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_any_batch_gives_a_text_the_bits_it_has_alone(
    service: PostEncoderService, alone: list[tuple[bytes, bytes]], size: int, seed: int
) -> None:
    chooser = random.Random(seed)
    chosen = [chooser.randrange(len(TEXTS)) for _ in range(size)]
    scored = service.score([TEXTS[i] for i in chosen], ["en"] * size, with_embedding=True)
    assert scored.embedding is not None
    for row, i in enumerate(chosen):
        assert bits_of(scored, row) == alone[i][0]
        assert scored.embedding[row].tobytes() == alone[i][1]


def test_threads_do_not_change_the_numbers(
    built_repository: Path, engine: str, alone: list[tuple[bytes, bytes]]
) -> None:
    folder = built_repository / MODEL_NAME / "1"
    single = open_service(folder, threads=1, cached=0, engine=engine)
    scored = single.score(TEXTS, ["en"] * len(TEXTS))
    assert [bits_of(scored, row) for row in range(len(TEXTS))] == [first for first, _ in alone]


@pytest.fixture(scope="module")
def cascade(built_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> PostEncoderService:
    place = tmp_path_factory.mktemp("cascade") / "repository" / MODEL_NAME
    shutil.copytree(built_repository / MODEL_NAME, place)
    choose_answers(place, Answers.CASCADE)
    return open_service(place / "1", cached=0)


@pytest.fixture(scope="module")
def cascade_alone(cascade: PostEncoderService) -> list[tuple[bytes, int]]:
    """Probabilities of all heads, and the route, of each text scored by itself."""
    found = []
    for text in TEXTS:
        scored = cascade.score([text], ["en"])
        assert scored.routes is not None
        found.append((bits_of(scored, 0), int(scored.routes.bits[0])))
    return found


@settings(max_examples=20)
@given(size=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_any_batch_gives_a_text_the_answer_and_the_route_it_has_alone(
    cascade: PostEncoderService, cascade_alone: list[tuple[bytes, int]], size: int, seed: int
) -> None:
    chosen = random.Random(seed).choices(range(len(TEXTS)), k=size)
    scored = cascade.score([TEXTS[i] for i in chosen], ["en"] * size)
    assert scored.routes is not None
    for row, i in enumerate(chosen):
        assert (bits_of(scored, row), int(scored.routes.bits[row])) == cascade_alone[i]


def test_student_and_encoder_both_answer_some(cascade_alone: list[tuple[bytes, int]]) -> None:
    sent = sum(bool(route & SENT) for _, route in cascade_alone)
    assert 0 < sent < len(TEXTS)
