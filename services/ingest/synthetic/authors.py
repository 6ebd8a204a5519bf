"""Who speaks: accounts with very different rates, a language each, interests and habits."""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.lexicons import TOPICS, Draw, Habits

PARETO_SHAPE: Final = 1.2
"""Few write most of it: about a fifth of the authors write four fifths of the posts."""
_FIRST: Final = (
    "amber", "basil", "cedar", "delta", "ember", "fable", "grove", "hazel", "indigo", "juniper",
    "koala", "lunar", "maple", "nectar", "otter", "pixel", "quartz", "river", "saffron", "tango",
)  # fmt: skip
_LAST: Final = (
    "walker", "reads", "onwheels", "kitchen", "fan", "notes", "daily", "garden", "rocks", "vibes",
    "travels", "codes", "runs", "teacher", "nurse", "mum", "dad", "fc", "bikes", "talks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Author:
    """An account."""

    name: str
    language: str
    topics: tuple[str, ...]
    weight: float
    habits: Habits


@dataclass(frozen=True, slots=True)
class Pool:
    """The authors of one topic and language, drawn by their rates."""

    authors: tuple[Author, ...]
    edges: tuple[float, ...]

    def pick(self, draw: Draw) -> Author:
        """Return one, the busy ones more often."""
        return self.authors[bisect(self.edges, draw() * self.edges[-1], 0, len(self.edges) - 1)]


def make_authors(options: SyntheticOptions) -> tuple[Author, ...]:
    """Return all authors of a run, the same for the same seed and number."""
    rng = random.Random(f"authors:{options.seed}")
    names = [name for name, weight in options.languages.items() if weight > 0]
    weights = [options.languages[name] for name in names]
    return tuple(_author(rng, number, names, weights) for number in range(options.authors))


def _author(rng: random.Random, number: int, names: list[str], weights: list[float]) -> Author:
    # The first few cover every language, so that a small crowd has nobody silent.
    language = names[number] if number < len(names) else rng.choices(names, weights)[0]
    return Author(
        name=f"{rng.choice(_FIRST)}_{rng.choice(_LAST)}{number}",
        language=language,
        topics=tuple(rng.sample(TOPICS, rng.randint(1, 4))),
        weight=min(rng.paretovariate(PARETO_SHAPE), 200.0),
        habits=Habits(
            opener=rng.betavariate(2, 3),
            second_sentence=rng.betavariate(2, 3),
            tail=rng.betavariate(2, 3),
            hashtag=rng.betavariate(1, 2),
            emoji=rng.betavariate(1, 3),
            link=rng.betavariate(1, 9),
            mention=rng.betavariate(1, 5),
            lower_case=rng.choice((0.0, 0.0, 0.05, 0.9)),
            shouting=rng.choice((0.0, 0.0, 0.01, 0.1)),
        ),
    )


def make_pools(authors: tuple[Author, ...]) -> dict[tuple[str, str], Pool]:
    """Return (topic, language) -> who may speak; everybody where nobody has the interest."""
    pools: dict[tuple[str, str], Pool] = {}
    for language in {author.language for author in authors}:
        speakers = tuple(author for author in authors if author.language == language)
        for topic in TOPICS:
            chosen = tuple(a for a in speakers if topic in a.topics) or speakers
            pools[topic, language] = Pool(chosen, tuple(accumulate(a.weight for a in chosen)))
    return pools
