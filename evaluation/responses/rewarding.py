"""How well a reward puts real replies in order, beside floors that need no model.

A post that the shipped weights learnt from is judged by those of them that left its fold out, any
other by those from all posts; nothing is chosen here.

Shapes: `N` pairs, `E` events, `R` replies of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.encoder.bootstrap import Measured, bootstrap
from evaluation.responses.judging import known_mean
from evaluation.responses.ranking import SHOWN, ndcg
from evaluation.responses.real_replies import (
    Scores,
    event_heads,
    known_replies,
    pairs_ahead,
    remembering,
)
from evaluation.responses.text_floor import floor_ahead, floors_by_fold
from models.popalm.encoders import TextVectors, letter_vectors
from models.popalm.expected_likes import ExpectedLikes
from models.popalm.pairs import PairBuilder, normalised
from models.popalm.reward import Reward, fold_of
from models.popalm.training.reward_data import (
    LikedEvent,
    WeiboPairs,
    pairs_of,
    reddit_events,
    weibo_pairs,
    weibo_posts,
)

_AGED: Final = {
    "reward": "whole", "liking": "text", "among": "among", "total": "total", "longer": "longer",
    "arrival": "arrival", "tfidf": "tfidf", "placed": "reward",
}  # fmt: skip
"""What pairs of near age are judged by, and the scores that it goes by."""
_OVER: Final = {"placed_over_arrival": ("placed", "arrival")}
"""Differences that have an interval of their own."""
TEXT_SHARE: Final = 0.25
"""The weight of the text prior beside the logarithm of the place: set beforehand."""


def pair_measures(
    posts: Sequence[str],
    ahead: Scores,
    resamples: int,
    over: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[dict[str, Measured], int]:
    """Return the share of pairs in their order by system, drawn again by post, and the posts.

    Args:
        posts: The post of each pair.
        ahead: System -> (N,) score of the preferred reply less that of the other one; a tie counts
            half.
        resamples: Of the bootstrap.
        over: Name -> two systems whose difference is measured too.
    """
    number = {post: row for row, post in enumerate(dict.fromkeys(posts))}
    rows = np.array([number[post] for post in posts])
    size = np.bincount(rows)
    right = {
        name: np.bincount(rows, (values > 0) + 0.5 * (values == 0))
        for name, values in ahead.items()
    }

    def measure(drawn: NDArray[np.integer[Any]]) -> dict[str, float]:
        whole = size[drawn].sum()
        found = {name: float(values[drawn].sum() / whole) for name, values in right.items()}
        return found | {
            name: found[one] - found[other] for name, (one, other) in (over or {}).items()
        }

    return bootstrap(measure, len(number), resamples), len(number)


def topic_ahead(
    reward: Reward, encode: TextVectors, pairs: WeiboPairs, replies: Mapping[str, Sequence[str]]
) -> Scores:
    """Return how far the own reply of each pair is ahead of the foreign one.

    Args:
        reward: The reward.
        encode: Its encoder.
        pairs: The pairs.
        replies: The known replies to each post, by its normalised text.
    """
    found: dict[str, list[float]] = {"reward": [], "alone": [], "letters": [], "overlap": []}
    known = {post: list(own) for post, own in replies.items()}
    texts = list(
        dict.fromkeys(
            text
            for pair in pairs.off_topic
            for text in (pair.post, pair.own, pair.foreign, *known.get(normalised(pair.post), ()))
        )
    )
    vectors = dict(zip(texts, encode(texts), strict=True))
    for pair in pairs.off_topic:
        own = normalised(pair.own)
        rest = [text for text in known.get(normalised(pair.post), ()) if normalised(text) != own]
        others = np.stack([vectors[text] for text in rest]) if rest else None
        both = np.stack([vectors[pair.own], vectors[pair.foreign]])
        spelt = letter_vectors([pair.post, pair.own, pair.foreign])
        shared = [
            len(set(pair.post) & set(text)) / len(set(text)) for text in (pair.own, pair.foreign)
        ]
        fold = reward.fold_for(pair.post)
        for name, values in (
            ("reward", reward.relevance(vectors[pair.post], both, others, fold)),
            ("alone", reward.relevance(vectors[pair.post], both, None, fold)),
            ("letters", spelt[1:] @ spelt[0]), ("overlap", np.array(shared)),
        ):  # fmt: skip
            found[name].append(float(values[0] - values[1]))
    return {name: np.array(values) for name, values in found.items()}


def weibo_figures(
    data: Path, reward: Reward, encode: TextVectors, resamples: int
) -> dict[str, float | None]:
    """Return `reward_zh.*` and `offtopic.*`; the judged pairs are those that likes confirm."""
    pairs = weibo_pairs(data)
    figures: dict[str, float | None] = {}
    floors = floors_by_fold(pairs.rebuilt, "zh")
    known = known_replies(weibo_posts(data), [*pairs.recorded, *pairs.rebuilt])
    encode = remembering(encode)  # the same posts and replies are read with two sets of others
    # The best known replies are known because they were liked; of those in pairs half were not.
    few = known_replies((), [*pairs.recorded, *pairs.rebuilt])
    ahead = {**pairs_ahead(reward, encode, pairs.recorded, known),
             "few_others": pairs_ahead(reward, encode, pairs.recorded, few)["reward"],
             "tfidf": floor_ahead(floors, pairs.recorded)}  # fmt: skip
    found, posts = pair_measures([pair.post for pair in pairs.recorded], ahead, resamples)
    for name, measured in found.items():
        figures |= measured.figures(_named("reward_zh", name))
    figures["reward_zh.low"] = found["reward"].low
    figures |= {"reward_zh.pairs": len(pairs.recorded), "reward_zh.posts": posts}
    figures |= {f"reward_zh.refused.{why}": count for why, count in pairs.refused.items()}
    if pairs.off_topic:
        replies: dict[str, list[str]] = {}
        for row in weibo_posts(data):
            replies.setdefault(normalised(row["post"]), []).extend(row["replies"])
        ahead = topic_ahead(reward, encode, pairs, replies)
        found, _posts = pair_measures([pair.post for pair in pairs.off_topic], ahead, resamples)
        for name, measured in found.items():
            figures |= measured.figures(_named("offtopic", name))
        figures["offtopic.pairs"] = len(pairs.off_topic)
    return figures


def _named(group: str, system: str) -> str:
    return f"{group}.pair_accuracy" if system == "reward" else f"{group}.{system}_pair_accuracy"


def reddit_figures(
    data: Path, reward: Reward, encode: TextVectors, resamples: int
) -> dict[str, float | None]:
    """Return `reddit_scores.*`: leading replies found before any like, and pairs of near age."""
    events = [event for event in reddit_events(data) if len(event.replies) > SHOWN]
    heads = {event.post: event_heads(reward, encode, event) for event in events}
    floors, posts = floors_by_fold(pairs_of(events), "en"), list[str]()
    table: dict[str, list[float]] = {}
    ahead: dict[str, list[float]] = {name: [] for name in _AGED}
    for row, event in enumerate(events):
        others = [one for one in events if fold_of(one.post) != fold_of(event.post)]
        words = floors[fold_of(event.post)].scores([reply.text for reply in event.replies])
        scores = {**event_scores(event, heads[event.post], learnt_places(others)), "tfidf": words}
        likes = np.array([reply.likes for reply in event.replies], np.float64)
        ties = np.random.default_rng(row).permutation(len(likes))
        for name, values in scores.items():
            order = np.lexsort((ties, -values)).tolist()
            table.setdefault(name, []).append(ndcg(order, likes))
        (builder := PairBuilder()).add_all(event.post, event.replies)
        by_text = {reply.text: place for place, reply in enumerate(event.replies)}
        for pair in builder.pairs:
            one, other = by_text[pair.preferred], by_text[pair.rejected]
            posts.append(event.post)
            for name, key in _AGED.items():
                ahead[name].append(float(scores[key][one] - scores[key][other]))
    columns = {name: np.array(values) for name, values in table.items()}

    def measure(rows: NDArray[np.integer[Any]]) -> dict[str, float]:
        found = {name: float(known_mean(values[rows])) for name, values in columns.items()}
        return found | {"over": found["reward"] - found["arrival"]}

    figures: dict[str, float | None] = {"reddit_scores.events": len(events)}
    for name, measured in bootstrap(measure, len(events), resamples).items():
        named = {"reward": "ndcg5", "over": "ndcg5_over_arrival"}.get(name, f"{name}_ndcg5")
        figures |= measured.figures(f"reddit_scores.{named}")
    judged = {name: np.array(values) for name, values in ahead.items()}
    found, _posts = pair_measures(posts, judged, resamples, _OVER)
    for name, measured in found.items():
        figures |= measured.figures(f"reddit_scores.{_aged(name)}")
    return figures | {"reddit_scores.aged_pairs": len(posts)}


def _aged(system: str) -> str:
    if system in _OVER:
        return f"aged_{system}"
    return "aged_pair_accuracy" if system == "reward" else f"aged_{system}_pair_accuracy"


def learnt_places(events: Sequence[LikedEvent]) -> ExpectedLikes:
    """Return what settled events teach about places in the order of arrival."""
    expected = ExpectedLikes()
    for event in events:
        places = range(len(event.replies))
        level = expected.level((reply.likes for reply in event.replies), places)
        for place, reply in enumerate(event.replies):
            expected.learn(place, reply.likes, {}, level)
    return expected


def event_scores(event: LikedEvent, heads: Scores, expected: ExpectedLikes) -> Scores:
    """Return (R,) scores of an event's replies in order of arrival, before any like is seen."""
    places = np.arange(len(event.replies), dtype=np.float64)
    arrival = -np.log1p(places)
    return {
        "reward": arrival + TEXT_SHARE * heads["liking"],
        "arrival": arrival,
        "expected": np.array([expected.mean(int(place)) for place in places]),
        "text": heads["liking"],
        "whole": heads["reward"],
        "among": heads["among"],
        "total": heads["total"],
        "longer": np.array([len(reply.text) for reply in event.replies], np.float64),
    }


Part = Callable[[Path, int], Mapping[str, float | None]]
"""A folder of data and the resamples to figures by name. One part of `models evaluate popalm`."""
