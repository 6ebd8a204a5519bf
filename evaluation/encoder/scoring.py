"""Probabilities of whole test sets from whatever scores posts: the built model, or a Triton.

Shapes: `N` posts, `C` classes.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from core.errors import ConfigError, InvalidAnswer
from core.ports import ScoreBatch
from models.scorers.edge import Asked, checked, joined
from models.serving.place import built_model

CHUNK_POSTS: Final = 1_024
Score = Callable[[Sequence[str], Sequence[str]], ScoreBatch]
"""Texts and language tags, of equal number, to a batch of scores."""


def score_all(score: Score, texts: Sequence[str], lang: str = "en") -> ScoreBatch:
    """Score in batches of `CHUNK_POSTS`, all tagged `lang`; needs at least one text.

    Raises:
        InvalidAnswer: A text was answered with what are no probabilities: nothing can be measured.
    """
    whole = joined(
        "the model that is measured",
        [
            score(part, [lang] * len(part))
            for part in (
                texts[start : start + CHUNK_POSTS] for start in range(0, len(texts), CHUNK_POSTS)
            )
        ],
    )
    if whole.wrong:
        row, found = next(iter(whole.wrong.items()))
        raise InvalidAnswer(
            f"{len(whole.wrong)} of {len(texts)} posts have no probabilities, number {row}: {found}"
        )
    return whole


def in_process(repository: Path) -> Score:
    """Return the int8 model that was built there, in this process; the shipped one if none was.

    A model of other weights than the shipped ones is measured as it is, and said.

    Raises:
        ConfigError: It cannot be built, or openvino is not installed here.
    """
    from models.build import WEIGHTS, build
    from models.encoder.config import CONFIG_FILE, load_config
    from models.serving.post_encoder import open_service

    folder = built_model(repository)
    if not (folder / CONFIG_FILE).is_file():
        build(repository)
    service = open_service(folder)
    shipped = load_config(WEIGHTS).version
    if service.version.partition(".")[0] != shipped:
        sys.stderr.write(
            f"{folder} holds {service.version}, which is not the shipped {shipped}: build it "
            "with `groundswell models build` if that was meant\n"
        )

    def score(texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        scored = service.score(texts, langs)
        asked = Asked("the built model", len(texts), service.heads)
        return checked(asked, service.version, scored.rated, scored.heads)

    return score


def through_triton(url: str) -> Score:
    """Return the model on a running Triton server, by gRPC at `host:port`."""
    from models.scorers.triton import TritonScorer

    def score(texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        async def once() -> ScoreBatch:
            scorer = TritonScorer(url)
            try:
                return await scorer.score_batch(texts, langs)
            finally:
                await scorer.close()

        return asyncio.run(once())

    return score


SCORERS: Final = ("openvino", "triton")


def open_scorer(kind: str, repository: Path, url: str) -> Score:
    """Return one of `SCORERS`: the model built in `repository`, or the Triton at `url`.

    Raises:
        ConfigError: There is no such kind, or no model can be had.
    """
    if kind not in SCORERS:
        raise ConfigError(f"--scorer is {' or '.join(SCORERS)}, not {kind!r}")
    return in_process(repository) if kind == "openvino" else through_triton(url)
