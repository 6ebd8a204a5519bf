"""The state machine of a partition's forecasts: what it keeps, tells, learns, refuses and drops."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import InvalidAnswer
from core.ports import EngagementAnswer
from models.engagement.exposure import Exposure
from models.engagement.items import CountsSeen, Item, PostSeen
from models.engagement.layout import HISTORY, PENDING
from models.engagement.top import top_posts
from testkit.forecasts import (
    HORIZON_S,
    START_S,
    ForecastStore,
    answer,
    counts,
    gone,
    post,
    settings,
    world,
)

WORLD = world(2, 100)
WHOLE = ForecastStore(settings()).run(WORLD)
HALF = ForecastStore(settings()).run(WORLD[: len(WORLD) // 2]).records


@hypothesis_settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    st.lists(st.integers(1, len(WORLD)), max_size=8),
    st.integers(0, 255),
    st.none() | st.integers(1, 5),
)
def test_batches_and_restarts_change_neither_the_state_nor_what_is_told(
    cuts: list[int], restarts: int, most_due: int | None
) -> None:
    store = ForecastStore(settings(), most_due)
    edges = sorted({0, *cuts, len(WORLD)})
    for number, (start, end) in enumerate(pairwise(edges)):
        if restarts >> number & 1:
            store.reload()
            assert not store.refused
        store.run(WORLD[start:end])
    assert store.records == WHOLE.records
    assert store.told == WHOLE.told
    assert store.partition.quality() == WHOLE.partition.quality()


def test_the_world_lives_through_everything() -> None:
    settled = [forecast for forecast in WHOLE.told.forecasts if forecast.settled]
    assert settled
    assert any(f.surprise is not None for f in WHOLE.told.forecasts)
    assert {event.state for event in WHOLE.told.events} == {"firing", "resolved"}
    assert {kind for kind, records in HALF.items() if records} == {
        "authors", "pending", "posts", "sources", "exposures", "queries", "top", "taking_off",
        "partition",
    }  # fmt: skip
    assert WHOLE.partition.counts["no_outcome"] > 0


@pytest.mark.parametrize("is_told", [True, False])
def test_what_is_due_after_a_long_silence_is_taken_in_parts(is_told: bool) -> None:
    posts, late = [post(f"p{n}", n) for n in range(20)], post("late", 3 * HORIZON_S)
    whole, parts = ForecastStore(settings()), ForecastStore(settings(), 7)
    for store in (whole, parts):
        store.run(posts)
    settled = []
    for _ in range(30):
        if is_told:
            planned = parts.partition.take([late])
            parts._note(parts.partition.finish(planned, answer(planned.features)))
            is_over = planned.taken == 1
        else:
            parts.tick(3 * HORIZON_S)
            is_over = parts.partition.clock_s >= START_S + 3 * HORIZON_S
        settled.append(parts.partition.counts["settled"])
        if is_over:
            break
    assert len(settled) > 20 // 7
    assert all(0 <= more <= 7 for more in np.diff([0, *settled]))
    _ = whole.run([late]) if is_told else whole.tick(3 * HORIZON_S)
    assert (parts.records, parts.told) == (whole.records, whole.told)


def test_one_item_at_a_time_is_the_same_as_all_at_once() -> None:
    assert ForecastStore(settings()).run(WORLD, batch=1).records == WHOLE.records


@pytest.mark.parametrize("seed", range(3))
def test_shuffling_everything_later_leaves_forecasts_as_they_were(seed: int) -> None:
    half = len(WORLD) // 2
    moment = max(item.at_s for item in WORLD[:half])
    later = WORLD[half:]
    mixed = _shuffled(later, seed)
    until = [f for f in WHOLE.told.forecasts if f.made_at.timestamp() < moment]
    other = ForecastStore(settings()).run([*WORLD[:half], *mixed])
    assert [f for f in other.told.forecasts if f.made_at.timestamp() < moment] == until
    assert len(until) > 50


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    mixed = list(items)
    random.Random(seed).shuffle(mixed)
    return mixed


def test_the_records_are_as_small_as_promised() -> None:
    store = ForecastStore(settings())
    store.run([post(str(number), number) for number in range(40)])
    sizes = {len(key) + len(record) for key, record in store.records["pending"].items()}
    assert sizes == {12 + PENDING.itemsize} == {64}
    assert {len(record) for record in store.records["authors"].values()} == {HISTORY.itemsize}
    assert HISTORY.itemsize <= 400
    assert len(store.records["posts"]) == 2 * settings().top_posts


def test_a_post_of_which_no_count_was_seen_has_no_outcome() -> None:
    first = post("1", 0)
    store = ForecastStore(settings()).run([first]).tick(HORIZON_S)
    (quality,) = store.partition.quality()
    assert quality.total.outcomes == 0
    assert store.partition.counts["no_outcome"] == 1
    assert store.partition.pending == 0


def test_where_single_likes_are_shown_a_post_without_any_has_zero_of_them() -> None:
    liked, unliked = post("1", 0, source="singles"), post("2", 10, source="singles", author="bob")
    store = ForecastStore(settings())
    store.run([liked, unliked, counts(liked, 60, single=0)]).tick(2 * HORIZON_S)
    last = {f.id: f for f in store.told.forecasts if f.settled}
    assert (last["1"].seen_likes, last["2"].seen_likes) == (1, 0)
    assert (last["1"].seen_replies, last["2"].seen_replies) == (None, None)
    assert last["1"].approximate
    (quality,) = store.partition.quality()
    assert quality.total.outcomes == 2


def test_a_horizon_after_the_last_single_like_nothing_is_taken_for_zero() -> None:
    liked, later = post("1", 0, source="singles"), post("2", 2 * HORIZON_S, source="singles")
    store = ForecastStore(settings())
    store.run([liked, counts(liked, 60, single=0), later]).tick(4 * HORIZON_S)
    assert store.partition.counts["no_outcome"] == 1


def test_a_target_that_totals_leave_out_stays_unknown() -> None:
    first = post("1", 0)
    store = ForecastStore(settings()).run([first, counts(first, 60, 4, None, 2)]).tick(HORIZON_S)
    (last,) = [f for f in store.told.forecasts if f.settled]
    assert (last.seen_likes, last.seen_replies, last.seen_reposts) == (4, None, 2)


def test_single_ones_no_longer_count_once_totals_were_seen() -> None:
    first = post("1", 0)
    events = [counts(first, 60, single=0), counts(first, 70, 9, 1, 1), counts(first, 80, single=0)]
    store = ForecastStore(settings()).run([first, *events]).tick(HORIZON_S)
    (last,) = [f for f in store.told.forecasts if f.settled]
    assert last.seen_likes == 9
    assert store.partition.counts["single_after_totals"] == 1


def test_counts_of_the_last_moment_belong_to_the_outcome_and_later_ones_do_not() -> None:
    first = post("1", 0)
    at_end, after = counts(first, HORIZON_S, 7, 7, 7), counts(first, HORIZON_S + 1, 9, 9, 9)
    store = ForecastStore(settings()).run([first, at_end, after])
    (last,) = [f for f in store.told.forecasts if f.settled]
    assert last.seen_likes == 7
    assert store.partition.counts["unknown_post"] == 1


def test_a_count_at_the_very_horizon_is_the_outcome_also_of_a_post_within_a_second() -> None:
    first = post("1", 0.4)
    at_end, after = counts(first, HORIZON_S + 0.4, 7, 7, 7), counts(first, HORIZON_S + 1.1, 9, 9, 9)
    store = ForecastStore(settings()).run([first, at_end, after])
    (last,) = [f for f in store.told.forecasts if f.settled]
    assert last.seen_likes == 7
    assert store.partition.counts["unknown_post"] == 1


def test_an_outcome_is_known_to_the_next_post_one_horizon_later_and_not_before() -> None:
    first = post("1", 0)
    early, late = post("2", HORIZON_S - 1), post("3", HORIZON_S)
    store = ForecastStore(settings()).run([first, counts(first, 60, 50, 1, 1), early, late])
    made = {f.id: f for f in store.told.forecasts if not f.settled}
    assert (made["2"].known, made["2"].normal) == (0, None)
    assert (made["3"].known, made["3"].normal) == (1, pytest.approx(50, rel=1e-3))


def test_counts_sharpen_the_forecast_at_the_next_age() -> None:
    first = post("1", 0, queries=("trains",))
    store = ForecastStore(settings()).run([first, counts(first, 100, 300, 0, 0)]).tick(300)
    made, aged = store.told.forecasts
    assert made.likes[4] < 100 < 300 <= aged.likes[0]
    assert aged.surprise is not None
    assert aged.surprise < 0.01
    assert aged.seen_likes == 300
    assert aged.queries == ("trains",)


def known(**changed: object) -> ForecastStore:
    """Return a store in which enough is known of forecasts of strangers: an outcome of nothing.

    The one before is of a forecast that was made blindly, and teaches nothing about later ones.
    """
    blind = post("blind", -2 * HORIZON_S - 120, author="yan")
    before = post("0", -HORIZON_S - 60, author="zed")
    return ForecastStore(settings(quality_outcomes=1, **changed)).run(
        [blind, counts(blind, -HORIZON_S - 150, 0, 0, 0), before, counts(before, -90, 0, 0, 0)]
    )


def test_nothing_takes_off_that_was_forecast_before_the_source_was_known() -> None:
    first = post("1", -HORIZON_S)
    store = known().run([first])
    later = post("2", 0)
    store.run([later, counts(first, -1, 400, 0, 0), counts(later, 60, 400, 0, 0)])
    assert [event.post_id for event in store.told.events] == ["2"]
    cold = ForecastStore(settings()).run([first, counts(first, -100, 400, 0, 0)]).tick(0)
    assert not cold.told.events
    cold.tick(HORIZON_S)
    learnt = Exposure.from_blob(cold.records["exposures"][b"totals"], HORIZON_S)
    assert learnt.at(300.0).offset == Exposure(HORIZON_S).at(300.0).offset


def test_a_post_that_takes_off_is_said_once_and_is_over_when_its_horizon_is() -> None:
    first = post("1", 0, queries=("trains",))
    events = [counts(first, 60 * minute, 40 * minute, 0, 0) for minute in range(1, 6)]
    store = known().run([first, *events])
    assert [(e.query, e.state) for e in store.told.events] == [
        ("all", "firing"),
        ("trains", "firing"),
    ]
    store.reload().tick(HORIZON_S)
    ended = store.told.events[2:]
    assert [(e.query, e.ended_as) for e in ended] == [("all", "settled"), ("trains", "settled")]
    assert {e.event_id for e in ended} == {e.event_id for e in store.told.events[:2]}


@pytest.mark.parametrize(("share", "is_said"), [(0.95, True), (0.951, False)])
def test_nothing_begins_in_the_last_twentieth_of_a_horizon_and_what_began_goes_on(
    share: float, is_said: bool
) -> None:
    store = known()
    early, late = post("1", 0), post("2", 1, author="bob")
    at_s = 1 + share * HORIZON_S
    store.run([early, late, counts(early, 60, 400, 0, 0)])
    store.run([counts(early, at_s, 4_000, 0, 0), counts(late, at_s, 400_000, 0, 0)])
    began = {event.post_id for event in store.told.events if event.state == "firing"}
    assert began == ({"1", "2"} if is_said else {"1"})
    assert not [event for event in store.told.events if event.state == "resolved"]
    store.tick(HORIZON_S + 2)
    ended = {event.post_id for event in store.told.events if event.ended_as == "settled"}
    assert ended == began


def test_authors_are_not_judged_before_enough_is_known_of_such_forecasts() -> None:
    (cold,) = ForecastStore(settings()).run([post("1", 0)]).partition.quality()
    assert cold.not_judged == ("strangers", "known")
    (strangers,) = known().tick(0).partition.quality()
    assert strangers.not_judged == ("known",)
    again = post("again", 0, author="zed")
    store = known().run([again, counts(again, 60, 0, 0, 0)]).tick(HORIZON_S).reload()
    (both,) = store.partition.quality()
    assert both.not_judged == ()


def test_a_post_of_no_query_that_takes_off_is_named_by_its_counts() -> None:
    others = [post(f"o{n}", n, author=f"a{n}", queries=("trains",)) for n in range(6)]
    for other in others:
        assert other.post_id
    ranked = [counts(other, 20, 900, 900, 900) for other in others]
    first = post("1", 30)
    store = known(events_per_hour=99).run([*others, *ranked]).tick(301)
    store.run([post("1", 310)])
    assert first.key not in store.records["posts"]
    store.run([counts(first, 400, 80, 0, 0)])
    assert [e.post_id for e in store.told.events if e.query == "all"][-1] == "1"
    assert first.key in store.records["posts"]


def test_a_deleted_post_leaves_nothing_and_ends_what_it_began() -> None:
    first = post("1", 0, queries=("trains",))
    store = known().run([first, counts(first, 60, 400, 0, 0)])
    assert top_posts(store.records["top"][b"trains"])
    store.run([gone(first, 90)])
    assert [e.ended_as for e in store.told.events if e.state == "resolved"] == ["deleted"] * 2
    assert not store.records["pending"]
    assert not store.records["posts"]
    assert not store.records["top"]
    store.tick(HORIZON_S)
    assert not [f for f in store.told.forecasts if f.settled and f.id == "1"]


def test_the_top_posts_of_a_query_are_those_expected_to_go_furthest() -> None:
    posts = [post(str(n), n, author=f"a{n}", queries=("trains",)) for n in range(9)]
    seen = [counts(p, 100, 10 * n, 0, 0) for n, p in enumerate(posts)]
    store = ForecastStore(settings()).run([*posts, *seen]).tick(310)
    assert [top.post_id for top in store.partition.top("trains")] == ["8", "7", "6"]
    assert [top.seen for top in store.partition.top("all")] == [(n, 0, 0) for n in (80, 70, 60)]


def test_repeats_are_dropped_and_counted() -> None:
    store = ForecastStore(settings()).run([post("1", 0), post("1", 0)])
    assert store.partition.counts["repeated"] == 1
    assert len(store.told.forecasts) == 1


def test_posts_older_than_their_horizon_are_not_tracked() -> None:
    store = ForecastStore(settings()).run([post("1", HORIZON_S), post("2", 0)])
    assert store.partition.counts["too_late"] == 1


def test_beyond_the_bound_new_posts_are_not_tracked() -> None:
    store = ForecastStore(settings(max_pending=2)).run([post(str(n), n) for n in range(5)])
    assert (store.partition.pending, store.partition.counts["untracked"]) == (2, 3)


def test_the_longest_silent_author_is_forgotten_first() -> None:
    posts = [post(str(n), n, author=name) for n, name in enumerate(("ann", "bob", "ann", "cy"))]
    store = ForecastStore(settings(max_authors=2)).run(posts)
    assert {post.key[:8] for post in (posts[2], posts[3])} == set(store.records["authors"])
    assert store.partition.counts["forgotten"] == 1


def test_authors_expire() -> None:
    store = ForecastStore(settings(author_ttl_s=9_000)).run(
        [post("1", 0), post("2", 1, author="bob")]
    )
    store.run([post("3", 8_000)]).tick(9_002)
    assert store.partition.authors == 1
    assert store.partition.counts["expired"] == 1


def test_authors_are_sampled_and_what_a_query_watches_is_tracked() -> None:
    many = [post(str(n), n, author=f"a{n}") for n in range(200)]
    store = ForecastStore(settings(track_one_in=4)).run(many)
    assert 20 < store.partition.pending < 90
    assert store.partition.pending + store.partition.counts["not_sampled"] == 200
    left = next(p for p in many if p.key not in store.records["pending"])
    watched = post("w", 300, author=left.author, queries=("trains",))
    again = post("v", 301, author=left.author)
    before = store.partition.pending
    store.run([watched, again])
    assert store.partition.pending == before + 2


def test_shedding_tracks_fewer_authors_and_is_kept() -> None:
    store = ForecastStore(settings())
    store.partition.divisor = 8
    store.run([post(str(n), n, author=f"a{n}") for n in range(200)])
    assert store.partition.pending < 50
    assert store.reload().partition.divisor == 8


def test_marks_are_kept() -> None:
    store = ForecastStore(settings())
    store.partition.marks["posts"] = 7
    store.keep()
    assert store.reload().partition.marks == {"posts": 7}


def test_times_that_cannot_be_are_dropped_and_counted() -> None:
    bad = [post("1", math.nan), post("2", -1e12), post("3", 1e12)]
    store = ForecastStore(settings()).run(bad)
    assert store.partition.counts["impossible_time"] == 3
    assert store.partition.clock_s == 0


def wrong_answers() -> list[tuple[str, np.ndarray]]:
    good = np.tile(np.arange(5, dtype=np.float32), (1, 3, 1))
    worse = [good.copy() for _ in range(3)]
    worse[0][0, 1, 2] = np.nan
    worse[1][0, 0, 0] = -1
    worse[2][0, 2, 3] = 1
    return [
        ("shape", good[:, :2]),
        ("shape", np.concatenate([good, good])),
        ("real numbers", good.astype(np.int64)),
        ("not finite", worse[0]),
        ("below zero", worse[1]),
        ("below the quantile before it", worse[2]),
    ]


@pytest.mark.parametrize(("why", "quantiles"), wrong_answers())
def test_an_answer_that_cannot_be_one_is_refused_and_another_is_taken(
    why: str, quantiles: np.ndarray
) -> None:
    store = ForecastStore(settings())
    planned = store.partition.take([post("1", 0)])
    with pytest.raises(InvalidAnswer, match=why):
        store.partition.finish(planned, EngagementAnswer("bad", quantiles))
    told = store.partition.finish(planned, answer(planned.features))
    assert [f.id for f in told.forecasts] == ["1"]


def test_one_batch_is_finished_before_the_next_one_is_taken() -> None:
    partition = ForecastStore(settings()).partition
    planned = partition.take([post("1", 0)])
    for act in (lambda: partition.take([]), partition.changes, lambda: partition.tick(START_S)):
        with pytest.raises(RuntimeError, match="not finished"):
            act()
    partition.finish(planned, answer(planned.features))
    with pytest.raises(RuntimeError, match="not what was taken last"):
        partition.finish(planned, answer(planned.features))


@pytest.mark.parametrize("kind", sorted(HALF))
@pytest.mark.parametrize("damage", ["cut", "empty", "other layout", "noise"])
def test_a_damaged_record_is_refused_by_name_and_the_rest_lives(kind: str, damage: str) -> None:
    store = ForecastStore(settings())
    store.records = {name: dict(records) for name, records in HALF.items()}
    key, record = next(iter(sorted(store.records[kind].items())))
    at = 1 if kind in ("sources", "queries", "top", "partition") else 0  # after msgpack's head
    store.records[kind][key] = {
        "cut": record[:-1],
        "empty": b"",
        "other layout": record[:at] + b"\x09" + record[at + 1 :],
        "noise": bytes(reversed(record)),
    }[damage]
    store.reload()
    assert any(refused.startswith(f"{kind} ") for refused in store.refused)
    assert store.partition.counts["refused"] == len(store.refused)
    lived = ForecastStore(settings())
    lived.partition, lived.records = store.partition, store.records
    lived.run(world(2, 30))
    assert not lived.reload().refused


def test_records_of_no_kind_and_of_no_source_are_refused() -> None:
    store = ForecastStore(settings())
    store.records = {
        "spells": {b"x": b"y"},
        "pending": dict(HALF["pending"]),
        "partition": {b"watch": b"z"},
        "top": {b"\xff": b"z"},
    }
    refused = store.reload().refused
    assert len(refused) == 3 + len(HALF["pending"])
    assert any("of source" in why for why in refused)


def test_an_author_whose_record_is_lost_begins_anew() -> None:
    first = post("1", 0)
    store = ForecastStore(settings()).run([first, counts(first, 60, 5, 5, 5)]).tick(HORIZON_S)
    store.records["authors"][first.key[:8]] = b"\0" * HISTORY.itemsize
    store.reload().run([post("2", HORIZON_S + 1)])
    assert store.told.forecasts[-1].known == 0


def test_exported_quality_is_that_of_the_forecasts_that_were_told() -> None:
    posts = [post(str(n), 200 * n, queries=("trains",)) for n in range(150)]
    rng = np.random.default_rng(3)
    items: list[Item] = list(posts)
    items += [counts(p, p.at_s - START_S + HORIZON_S, int(rng.poisson(30)), 0, 0) for p in posts]
    items.sort(key=lambda item: (item.at_s, isinstance(item, PostSeen)))
    assert isinstance(items[-1], CountsSeen)
    store = ForecastStore(settings(max_pending=10_000)).run(items).tick(1e6)
    first = {f.id: f for f in reversed(store.told.forecasts) if not f.settled}
    settled = [f for f in store.told.forecasts if f.settled]
    pairs = [(first[f.id], math.log1p(f.seen_likes or 0)) for f in settled]
    known = [(f, outcome) for f, outcome in pairs if f.normal is not None]
    errors = sum(abs(math.log1p(f.likes[2]) - outcome) for f, outcome in known)
    floors = sum(abs(math.log1p(f.normal or 0) - outcome) for f, outcome in known)
    source, query = store.partition.quality()
    assert source.total.outcomes == len(posts) == len(settled)
    assert source.total.judged == len(known)
    assert source.total.error == pytest.approx(errors, rel=1e-3)
    assert source.total.floor_error == pytest.approx(floors, rel=1e-3)
    assert query.total == source.total
    assert source.recent.outcomes == settings().quality_outcomes
