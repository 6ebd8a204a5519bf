"""What matching costs, and how little it depends on the number of queries.

    groundswell bench matcher --json matcher.json

Every figure that is compared comes from one run: the settings take turns inside each round, and
the ratios are medians over rounds. Posts are made of invented words with word frequencies that
fall as 1 / rank; watched words are planted, so each setting sees the same number of hits:

- `silent`: the same posts; of 2,000 queries only the ten of the small set ever match;
- `spread`: as many hits per post, but spread over all the queries of the set;
- `near`: 2,000 queries of a NEAR each, with two of their words next to each other in a post, beside
  the same with AND (`near_by_and`).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence

from benchmarks.harness import Measured, Options, run_benchmark
from evaluation.drawing import bars
from stream.queries import Query, parse
from stream.queries.matcher import Matcher

BATCH_POSTS = 256
BATCHES = 16
POST_CHARACTERS = 100
HIT_SHARE = 0.6  # chance that a watched word is planted in a post
LETTERS = "etaoinshrdlcumwfgypbvk"


def invent_words(rng: random.Random, count: int, shortest: int, longest: int) -> list[str]:
    """Return `count` distinct words of `shortest` to `longest` letters."""
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choices(LETTERS, k=rng.randint(shortest, longest)))] = None
    return list(words)


def invent_queries(words: Sequence[str], count: int) -> list[Query]:
    """Return `count` queries of a realistic mix of shapes over four words each."""
    shapes = (
        "{0} OR {1} OR #{2} OR {3}",
        "{0} AND ({1} OR {2}) NOT {3}",
        '"{0} {1}" OR {2}* OR @{3}',
        "{0} AND lang:en NOT ({1} OR {2} OR {3})",
        "({0} OR #{1}) AND (source:synthetic OR {2}) NOT {3}",
    )
    return [
        Query(
            f"q{i}",
            parse(shapes[i % len(shapes)].format(*words[4 * i : 4 * i + 4])),
        )
        for i in range(count)
    ]


def invent_pairs(words: Sequence[str], operator: str) -> list[Query]:
    """Return a query on two of each four words, joined by an operator."""
    return [
        Query(f"q{i}", parse(f"{one} {operator} ({two} OR {three}) NOT {four}"))
        for i, (one, two, three, four) in enumerate(zip(*[iter(words)] * 4, strict=True))
    ]


def invent_posts(
    rng: random.Random, common: Sequence[str], watched: Sequence[str], accents: float, count: int
) -> list[str]:
    """Return `count` posts of about 100 characters, a share of them with `accents`."""
    weights = [1 / (rank + 1) for rank in range(len(common))]
    posts: list[str] = []
    for _ in range(count):
        words = rng.choices(common, weights, k=15)
        if rng.random() < HIT_SHARE:
            words[rng.randrange(8)] = rng.choice(watched)
        text = " ".join(words)[:POST_CHARACTERS].capitalize()
        posts.append(f"{text} é🔥" if rng.random() < accents else text)
    return posts


def time_matching(matcher: Matcher, posts: Sequence[str]) -> float:
    """Return seconds to match all posts, in batches."""
    authors, langs = ["someone"] * BATCH_POSTS, ["en"] * BATCH_POSTS
    sources = ["synthetic"] * BATCH_POSTS
    started = time.perf_counter()
    for first in range(0, len(posts), BATCH_POSTS):
        matcher.match_batch(posts[first : first + BATCH_POSTS], authors, langs, sources)
    return time.perf_counter() - started


def count_matches(matcher: Matcher, posts: Sequence[str]) -> int:
    """Return the number of (post, query) matches, `all` left out."""
    columns = ["someone"] * len(posts), ["en"] * len(posts), ["synthetic"] * len(posts)
    return sum(len(found) - 1 for found in matcher.match_batch(posts, *columns))


def measure_matching(rounds: int, seed: int, count: int) -> dict[str, float]:
    """Run every setting `rounds` times on `count` posts, taking turns; return the figures."""
    rng = random.Random(seed)
    common = invent_words(rng, 20_000, shortest=2, longest=9)
    # Long enough that none begins a common word, so hits are the planted ones only; of one
    # length, so the choice of triggers, and with it the number of tests, is the same everywhere.
    watched = invent_words(rng, 8_000, shortest=7, longest=7)
    queries = invent_queries(watched, 2_000)
    ten, hundred, thousands = (Matcher(queries[:n]) for n in (10, 100, 2_000))
    planted = {n: [watched[4 * i] for i in range(n)] for n in (10, 100, 2_000)}
    posts = {n: invent_posts(rng, common, planted[n], accents=0.0, count=count) for n in planted}
    mixed = invent_posts(rng, common, planted[100], accents=0.3, count=count)
    pairs = [f"{watched[i]} {watched[i + 1]}" for i in range(0, len(watched), 4)]
    paired = invent_posts(rng, common, pairs, accents=0.0, count=count)
    near, by_and = (Matcher(invent_pairs(watched, operator)) for operator in ("NEAR/5", "AND"))
    settings: dict[str, Callable[[], float]] = {
        "ten": lambda: time_matching(ten, posts[10]),
        "hundred": lambda: time_matching(hundred, posts[100]),
        "hundred_mixed_scripts": lambda: time_matching(hundred, mixed),
        "thousands_silent": lambda: time_matching(thousands, posts[10]),
        "thousands_spread": lambda: time_matching(thousands, posts[2_000]),
        "thousands_near": lambda: time_matching(near, paired),
        "thousands_near_by_and": lambda: time_matching(by_and, paired),
    }
    for run in settings.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(rounds):
        for name, run in settings.items():
            taken[name].append(run())
    figures = {
        f"{name}_us_per_post": round(statistics.median(seconds) / count * 1e6, 3)
        for name, seconds in taken.items()
    }
    for name, beside in (
        ("thousands_silent", "ten"),
        ("thousands_spread", "ten"),
        ("thousands_near", "thousands_near_by_and"),
    ):
        ratios = [b / a for a, b in zip(taken[beside], taken[name], strict=True)]
        figures[f"{name}_over_{beside.removeprefix(f'{name}_by_')}_ratio"] = round(
            statistics.median(ratios), 3
        )
    for name, matcher, texts in (
        ("ten", ten, posts[10]),
        ("hundred", hundred, posts[100]),
        ("thousands_silent", thousands, posts[10]),
        ("thousands_spread", thousands, posts[2_000]),
        ("thousands_near", near, paired),
        ("thousands_near_by_and", by_and, paired),
    ):
        figures[f"{name}_matches_per_post"] = round(count_matches(matcher, texts) / count, 3)
    return figures


def measure(options: Options) -> Measured:
    """Measure matching alone, five times as many rounds as asked for: they are short."""
    rounds = 5 * options.rounds
    count = BATCH_POSTS * max(1, round(BATCHES * options.scale))
    figures = measure_matching(rounds, options.seed, count)
    settings = {
        "matching_rounds": rounds,
        "batch_posts": BATCH_POSTS,
        "posts": count,
        "post_characters": POST_CHARACTERS,
        "hit_share": HIT_SHARE,
    }
    rows = [
        (name.removesuffix("_us_per_post").replace("_", " "), value, value, value)
        for name, value in figures.items()
        if name.endswith("_us_per_post")
    ]
    return Measured(figures, settings, bars("Matching alone", "us a post", rows))


if __name__ == "__main__":
    run_benchmark(measure)
