# ruff: noqa: S101 -- a battery of checks: asserting is its trade
"""What tests of models share: the checks that every scorer must pass, and sets made up for a test.

A test module collects `scorer_checks()` and runs each on each scorer; a new scorer is tested
before its author writes a test.
"""

import csv
import gzip
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidAnswer
from core.heads import HEADS, INDEPENDENT
from core.ports import ScoreBatch, Scorer
from testkit.scorers.nonsense import ANSWER_KINDS, ROW_KINDS, Answer, spoil_rows

EXAMPLES = (
    "What a lovely morning, thank you all!",
    "My flight was cancelled again and nobody answers the phone.",
    "The library opens at nine on Monday.",
    "RT @jane: soooo good https://example.org/x #NotAgain",
    "no",
    "",
    "   ",
    "\U0001f602\U0001f602\U0001f602",
    "12345 !!! ???",
    "a\x00b\x07 control characters",
    "broken \ud83d escape",
    "very long " * 40_000,
    "La biblioteca abre a las nueve de la mañana y cierra muy tarde.",
    "\u4eca\u65e5\u306f\u3068\u3066\u3082\u3044\u3044\u5929\u6c17\u3067\u3059\u306d\u3002",
    "&lt;b&gt;bold&lt;/b&gt; &amp; proud",
)
"""Made-up posts of the kinds that have made scorers stumble."""


def _assert_well_formed(batch: ScoreBatch, posts: int) -> None:
    assert batch.rated.shape == (posts,)
    assert batch.rated.dtype == np.bool_
    assert batch.heads
    for name, values in batch.heads.items():
        assert values.shape == (posts, len(HEADS[name])), name
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert (values <= 1).all()
        if name not in INDEPENDENT and batch.rated.any():
            np.testing.assert_allclose(values[batch.rated].sum(axis=1), 1.0, atol=1e-5)


def _no_langs(texts: Sequence[str]) -> list[str]:
    return [""] * len(texts)


async def gives_as_many_scores_as_posts(scorer: Scorer) -> None:
    """Row i belongs to text i, whatever the text."""
    _assert_well_formed(await scorer.score_batch(EXAMPLES, _no_langs(EXAMPLES)), len(EXAMPLES))


async def scores_an_empty_batch(scorer: Scorer) -> None:
    """No texts give empty arrays with the right widths, not an error."""
    _assert_well_formed(await scorer.score_batch([], []), 0)


async def reports_its_model_version(scorer: Scorer) -> None:
    """The same non-empty version on every batch, also an empty one."""
    versions = {
        (await scorer.score_batch(texts, _no_langs(texts))).model_version
        for texts in (EXAMPLES[:1], EXAMPLES[:3], ())
    }
    assert len(versions) == 1
    assert versions.pop()


async def is_ready_when_open(scorer: Scorer) -> None:
    """A scorer that scores says that it is ready."""
    assert await scorer.is_ready()


async def abstains_on_languages_it_does_not_know(scorer: Scorer) -> None:
    """A language tag outside the trained languages means not rated; one inside, rated."""
    text = EXAMPLES[0]
    batch = await scorer.score_batch([text] * 4, ["en", "en-GB", "fr", "ja"])
    assert batch.rated.tolist() == [True, True, False, False]


async def gives_a_text_the_same_bits_in_any_batch(scorer: Scorer) -> None:
    """Order, company and size of the batch change nothing."""
    texts = list(EXAMPLES)
    alone = [await scorer.score_batch([text], [""]) for text in texts]
    chooser = random.Random(5)
    for size in (2, 7, len(texts), 40):
        chosen = [chooser.randrange(len(texts)) for _ in range(size)]
        batch = await scorer.score_batch([texts[i] for i in chosen], [""] * size)
        for row, i in enumerate(chosen):
            assert batch.rated[row] == alone[i].rated[0]
            for name, values in batch.heads.items():
                assert values[row].tobytes() == alone[i].heads[name][0].tobytes(), name


Check = Callable[[Scorer], Awaitable[None]]


def scorer_checks() -> list[Check]:
    """Every check, in the order in which failures are easiest to understand."""
    return [
        is_ready_when_open,
        gives_as_many_scores_as_posts,
        scores_an_empty_batch,
        reports_its_model_version,
        abstains_on_languages_it_does_not_know,
        gives_a_text_the_same_bits_in_any_batch,
    ]


Answering = Callable[[Callable[[Answer], Answer]], Scorer]
"""Makes a scorer whose model answers as the function changes its right answers."""
_NONSENSE_TEXTS = tuple(f"{EXAMPLES[0]} {number}" for number in range(8))


async def leaves_out_the_rows_that_are_wrong(kind: str, answering: Answering) -> None:
    """Rows that are no probabilities are named; the others are what they would have been."""
    spoilt = (1, 2, 6)
    langs = _no_langs(_NONSENSE_TEXTS)
    right = await answering(lambda answer: answer).score_batch(_NONSENSE_TEXTS, langs)
    found = await answering(lambda answer: spoil_rows(kind, answer, spoilt)).score_batch(
        _NONSENSE_TEXTS, langs
    )
    assert right.rated.all()
    assert right.wrong == {}
    assert tuple(found.wrong) == spoilt
    _assert_well_formed(found, len(_NONSENSE_TEXTS))
    kept = [row for row in range(len(_NONSENSE_TEXTS)) if row not in spoilt]
    assert not found.rated[list(spoilt)].any()
    assert found.rated[kept].all()
    for name, values in found.heads.items():
        assert values[kept].tobytes() == right.heads[name][kept].tobytes(), name
        assert not values[list(spoilt)].any(), name
    for detail in found.wrong.values():
        assert any(detail.startswith(f"{head}: ") for head in HEADS)
        assert EXAMPLES[0] not in detail


async def is_unavailable_when_the_answer_is_wrong(kind: str, answering: Answering) -> None:
    """An answer of another shape, type or version is nobody's scores."""
    scorer = answering(ANSWER_KINDS[kind])
    with pytest.raises(InvalidAnswer):
        await scorer.score_batch(_NONSENSE_TEXTS, _no_langs(_NONSENSE_TEXTS))


NonsenseCheck = Callable[[str, Answering], Awaitable[None]]


def nonsense_checks() -> list[tuple[NonsenseCheck, str]]:
    """Every kind of nonsense with the check that a scorer must pass when its model answers it."""
    return [
        *((leaves_out_the_rows_that_are_wrong, kind) for kind in ROW_KINDS),
        *((is_unavailable_when_the_answer_is_wrong, kind) for kind in ANSWER_KINDS),
    ]


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a set in the form of the real ones, which `models.encoder.data.read_rows` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
