"""Query files for the benchmarks, and texts that match as often as is asked for."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

_SHAPES: Final = (
    "{0} OR {1} OR #{2} OR {3}",
    "{0} AND (lang:en OR {2}) NOT {3} OR {1}",
    '"{1} {2}" OR {0} OR @{3}',
    "{0} AND lang:en NOT ({1} OR {2} OR {3})",
    "({0} OR #{1}) AND (source:synthetic OR {2}) NOT {3}",
)


def watched_word(place: int) -> str:
    """Return the word that makes a post match query number `place`: letters only, of one length.

    Example:
        >>> watched_word(0), watched_word(27)
        ('zqxaaaa', 'zqxaabb')
    """
    letters = ""
    for _ in range(4):
        place, last = divmod(place, 26)
        letters = chr(97 + last) + letters
    return f"zqx{letters}"


def write_catalog(path: Path, number: int) -> Path:
    """Write a catalog of `number` queries of five shapes; query i matches `watched_word(i)`."""
    tables: list[str] = []
    for place in range(number):
        others = [watched_word(100_000 + 3 * place + step) for step in range(3)]
        expression = _SHAPES[place % len(_SHAPES)].format(watched_word(place), *others)
        tables.append(
            f"[queries.q{place}]\ntitle = \"Query {place}\"\nexpression = '''{expression}'''\n"
        )
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def plant(texts: Iterable[str], queries: int, seed: int, share: float = 0.5) -> Iterator[str]:
    """Yield the texts, a share of them with a watched word of one of the first `queries`.

    Which one falls as 1 / rank, as attention does: a few queries match often, most hardly ever.
    """
    rng = random.Random(seed)
    edges = list(accumulate(1 / (rank + 1) for rank in range(queries)))
    for text in texts:
        if rng.random() < share:
            place = bisect(edges, rng.random() * edges[-1], 0, queries - 1)
            yield f"{text} {watched_word(place)}"
        else:
            yield text
