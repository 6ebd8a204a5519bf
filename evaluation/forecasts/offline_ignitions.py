"""Made-up posts of which some take off, through a partition alone: what do other settings notice?

    python -m evaluation.forecasts.offline_ignitions --seeds 7,8 --false-share 1 --surprise 0.002

The posts, their lives and the ledger are those of `live_run ignitions`; there is no stack about the
partition, and no post encoder, so that a run takes minutes. It can be asked at settings other than
the shipped ones, to see what is missed for the sake of few false alarms.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from core.clock import epoch_ms
from core.config import build
from core.forecast_schemas import ForecastEvent
from core.forecast_settings import ForecastSettings
from core.report import write_report
from core.schemas import Post, PostEvent
from core.shape import shape_of
from evaluation.encoder.__main__ import refusing
from evaluation.forecasts.ignition_figures import Noticed, figures_of
from evaluation.forecasts.ignitions import IN_TIME_S
from evaluation.forecasts.live_ignitions import START, Watched
from evaluation.forecasts.serving import Ask, ask_of
from evaluation.options import JsonFile
from models.build_engagement import weights_of
from models.engagement.items import CountsSeen, Item, PostGone, PostSeen
from models.engagement.layout import TARGETS, author_key, post_key
from models.engagement.partition import ForecastPartition
from models.engagement.taking_off import HOUR_S
from models.engagement.telling import ALL
from models.scorers.engagement_in_process import InProcessEngagement
from models.serving.engagement import open_engagement
from services.ingest.sources.synthetic.options import Ignition, SyntheticOptions
from services.ingest.synthetic.conversation import Conversation
from services.ingest.synthetic.utterances import IgnitedPost, Utterance
from stream.worker.steps.decode_posts import event_time

_BATCH: Final = 256
_SINGLES: Final = {"like": "likes", "reply": "replies", "repost": "reposts"}


@dataclass(slots=True)
class Heard:
    """What was said so far: the posts that took off, and when each post was written.

    Attributes:
        ignited: The posts that took off, as the ledger has them.
        posted_s: Post id -> event time, in seconds since 1970.
    """

    ignited: list[IgnitedPost] = field(default_factory=list[IgnitedPost])
    posted_s: dict[str, float] = field(default_factory=dict[str, float])


def items_of(said: Iterable[Utterance], heard: Heard) -> Iterator[Item]:
    """Yield what the forecaster is told of what is said, and keep the truth about it.

    Args:
        said: In the order in which it arrives.
        heard: Takes the posts and those that took off.
    """
    for utterance in said:
        record = utterance.record
        if isinstance(record, Post) and utterance.kind == "post":
            item = _post(record)
            heard.posted_s[record.id] = item.at_s
            if utterance.ignited is not None:
                heard.ignited.append(utterance.ignited)
            yield item
        elif isinstance(record, PostEvent) and (event := _event(record)) is not None:
            yield event


def _at_s(record: Post | PostEvent) -> float:
    claimed_ms = None if record.claimed_at is None else epoch_ms(record.claimed_at)
    return event_time(claimed_ms, epoch_ms(record.ingested_at))[0] / 1000


def _post(post: Post) -> PostSeen:
    key = post_key(author_key(post.source, post.author), post.id)
    shape = shape_of(post.text or "", reply_to=post.reply_to, attached=post.attached)
    return PostSeen(key, post.id, post.source, post.author, _at_s(post), shape)


def _event(event: PostEvent) -> CountsSeen | PostGone | None:
    key = post_key(author_key(event.source, event.author), event.post_id)
    about = (key, event.post_id, event.source, event.author, _at_s(event))
    if event.kind == "delete":
        return PostGone(key, about[-1])
    if event.kind == "counts":
        return CountsSeen(*about, totals=(event.likes, event.replies, event.reposts))
    if event.kind in _SINGLES:
        return CountsSeen(*about, single=TARGETS.index(_SINGLES[event.kind]))
    return None


def watch_offline(
    options: SyntheticOptions, settings: ForecastSettings, ask: Ask, warm_s: float
) -> tuple[Watched, Noticed]:
    """Return what is noticed of made-up posts by one partition, in sum and of each that took off.

    Args:
        options: Of the source; `duration_s` must be set.
        settings: Of the forecaster.
        ask: The model.
        warm_s: Seconds until posts count: what is said of posts before is neither right nor false.
    """
    started = time.monotonic()
    heard, said = Heard(), dict[str, float]()
    partition = ForecastPartition(settings)
    ticks = Conversation(options, START).ticks()
    arrived = (one for _, of_tick in ticks for one in of_tick)
    end_ms = epoch_ms(START) + options.duration_s * 1000
    before = 0
    for events in told_of(items_of(_before(arrived, end_ms), heard), partition, ask):
        for event in events:
            if event.state == "firing":
                age_s = (event.decided_at - event.posted_at).total_seconds()
                said.setdefault(event.post_id, age_s)
        if partition.clock_s < START.timestamp() + warm_s:
            before = _held_back(partition)
    held_back = _held_back(partition) - before
    return _watched(heard, said, options.duration_s, warm_s, held_back, time.monotonic() - started)


def _watched(
    heard: Heard,
    said: Mapping[str, float],
    duration_s: float,
    warm_s: float,
    held_back: int,
    took_s: float,
) -> tuple[Watched, Noticed]:
    """Return what was noticed, given the ages at which posts were said to take off."""
    known_s = START.timestamp() + warm_s
    late = {post_id for post_id, at_s in heard.posted_s.items() if at_s >= known_s}
    counted = [post for post in heard.ignited if post.post_id in late]
    early = [post for post in heard.ignited if post.post_id not in late]
    noticed = [(post.factor, said.get(post.post_id, math.inf)) for post in counted]
    watched = Watched(
        tracked=len(late),
        hours=(duration_s - warm_s) / HOUR_S,
        ignited=len(counted),
        in_time=sum(age_s <= IN_TIME_S for _, age_s in noticed),
        noticed=sum(age_s < math.inf for _, age_s in noticed),
        early=len(early),
        early_in_time=sum(said.get(post.post_id, math.inf) <= IN_TIME_S for post in early),
        false=len((said.keys() & late) - {post.post_id for post in counted}),
        held_back=held_back,
        took_s=took_s,
    )
    return watched, noticed


def told_of(
    items: Iterator[Item], partition: ForecastPartition, ask: Ask
) -> Iterator[list[ForecastEvent]]:
    """Yield what a partition says of items, batch by batch."""
    for batch in iter(lambda: list(islice(items, _BATCH)), []):
        planned = partition.take(batch)
        rows = np.arange(planned.posts)
        answer = ask(rows, planned.features, planned.sequence) if planned.posts else None
        told = partition.finish(planned, answer)
        partition.changes()  # nobody keeps them here, and they would pile up
        yield told.events


def _held_back(partition: ForecastPartition) -> int:
    taking_off = partition.taking_off(ALL)
    return taking_off.held_back if taking_off is not None else 0


def _before(said: Iterator[Utterance], end_ms: float) -> Iterator[Utterance]:
    """Yield what arrives before a time: the lives of the last posts are not waited for."""
    for utterance in said:
        if utterance.arrival_ms >= end_ms:
            return
        yield utterance


def options_of(
    seed: int, hours: float, posts_an_hour: int, every_s: float, horizon_s: float
) -> SyntheticOptions:
    """Return the options of the source: every post lives for a horizon, some take off."""
    return SyntheticOptions(
        seed=seed, speed=0.0, duration_s=hours * HOUR_S, posts_per_s=posts_an_hour / HOUR_S,
        daily_cycle=0.0, engagement_share=1.0, life_s=horizon_s,
        ignitions=(Ignition(at_s=every_s, every_s=every_s),),
    )  # fmt: skip


def _numbers(seeds: str) -> Sequence[int]:
    return [int(word) for word in seeds.split(",")]


def main(
    seeds: Annotated[str, typer.Option(help="Comma-separated: a run each.")] = "1,2",
    hours: Annotated[float, typer.Option(min=1, help="Of event time.")] = 88.0,
    warm_hours: Annotated[float, typer.Option(min=0, help="Posts before do not count.")] = 48.0,
    posts_an_hour: Annotated[int, typer.Option(min=100, help="Of event time.")] = 600,
    every_s: Annotated[float, typer.Option(min=60, help="Between two ignitions.")] = 1_800.0,
    surprise: Annotated[float | None, typer.Option(help="Else as in the settings.")] = None,
    false_share: Annotated[float | None, typer.Option(help="Else as in the settings.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Let made-up posts take off before one partition, and compare its events with their ledger."""
    with refusing():
        asked = {"surprise": surprise, "false_share": false_share}
        given = {name: value for name, value in asked.items() if value is not None}
        settings = build({"forecasts": given}).forecasts
        ask = ask_of(
            InProcessEngagement(open_engagement(weights_of(settings.model), is_built=False))
        )
        found: list[Watched] = []
        noticed: list[tuple[float, float]] = []
        for seed in _numbers(seeds):
            options = options_of(seed, hours, posts_an_hour, every_s, float(settings.horizon_s))
            watched, ages = watch_offline(options, settings, ask, warm_hours * HOUR_S)
            found.append(watched)
            noticed += ages
            sys.stdout.write(f"seed {seed}: {watched.figures()}\n")
            sys.stdout.flush()
    figures = figures_of(sum(found[1:], found[0]), settings.horizon_s, noticed)
    sys.stdout.write(f"together: {figures}\n")
    if json_file is not None:
        said = {"seeds": seeds, "hours": hours, "warm_hours": warm_hours}
        said |= {"posts_an_hour": posts_an_hour, "every_s": every_s}
        write_report(
            json_file, "forecasts offline ignitions", figures,
            settings={**said, "forecasts": msgspec.to_builtins(settings)},
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
