"""Edits and deletions as one apply: what is asked of the store, in the order it was said."""

from datetime import timedelta

import numpy as np

from core import reasons
from core.clock import ManualClock, epoch_ms
from core.codec import encode, post_event_decoder, scored_post_decoder
from core.heads import COUNTED, HEADS
from core.ports import ScoreBatch
from core.schemas import PostEvent
from stream.store.ids import id_hash
from stream.store.increments import DELETED, ApplyBatch, CountedPost
from stream.topics import POST_EVENTS
from stream.windows.layout import INDEX
from stream.windows.strata import LanguageFold
from stream.worker.batch import PostBatch
from stream.worker.scoring import REFUSED, Scored
from stream.worker.steps.amend import DELETED_MS, KINDS, Amend
from stream.worker.steps.decode_events import DecodeEvents
from stream.worker.steps.drop_unscored import DropUnscored
from stream.worker.steps.match import QUERIES
from stream.worker.steps.measure import Measure
from stream.worker.steps.render import RENDERED, Render
from stream.worker.steps.score import SCORED
from testkit.builders import NOON, make_event
from testkit.stream import batch_of

NAMES = ("all", "trains", "late")


def _decoded(*events: PostEvent) -> PostBatch:
    batch = batch_of(*(encode(event) for event in events), topic=POST_EVENTS)
    DecodeEvents(10_000, ManualClock(NOON)).run(batch)
    return batch


def _scores(positive: list[float], rated: list[bool] | None = None) -> ScoreBatch:
    """Return scores whose sentiment tells the rows apart; the topics are all unlikely."""
    size = len(positive)
    heads = {name: np.zeros((size, len(labels)), np.float32) for name, labels in HEADS.items()}
    heads["sentiment"][:, 2] = positive
    flags = np.ones(size, bool) if rated is None else np.array(rated)
    return ScoreBatch("m-1", flags, heads)


def _work(batch: PostBatch, scored: Scored, matches: list[tuple[int, ...]]) -> ApplyBatch:
    batch[SCORED] = scored
    batch[QUERIES] = [[NAMES[index] for index in match] for match in matches]
    for step in (DropUnscored(), Measure(LanguageFold(["en"])), Amend(), Render()):
        step.run(batch)
    return batch.apply


def _hash(event: PostEvent) -> bytes:
    return id_hash(event.source, event.post_id)


def test_deletions_and_edits_go_to_the_store_in_the_order_they_were_said() -> None:
    events = [
        make_event("edit", 1, text="one", lang="en"),
        make_event("delete", 1),
        make_event("like", 2),
        make_event("edit", 3, text="three", lang="eu"),
    ]
    batch = _decoded(*events)
    apply = _work(batch, Scored(_scores([0.5, 0.25]), {}), [(0, 1), (0, 2)])
    assert [hashed for hashed, _ in apply.operations] == [
        _hash(events[0]), _hash(events[1]), _hash(events[3]),
    ]  # fmt: skip
    first, deletion, second = (blob for _, blob in apply.operations)
    assert deletion == DELETED
    made = [CountedPost(0, s, _counters(p), q).packed() for s, p, q in (
        ("synthetic|en|none", 500_000, ["all", "trains"]),
        ("synthetic|other|none", 250_000, ["all", "late"]),
    )]  # fmt: skip
    assert [first, second] == made
    assert batch[KINDS] == {"edit": 2, "delete": 1, "like": 1}
    assert batch[DELETED_MS] == [epoch_ms(events[1].ingested_at)]
    assert apply.told_ms == max(epoch_ms(event.ingested_at) for event in events)
    assert apply.totals == {"events": 4, "dead:post-events": 0}


def _counters(positive: int) -> list[int]:
    counters = [0] * len(INDEX)
    counters[INDEX["posts"]] = counters[INDEX["rated"]] = 1
    for head in (head.name for head in COUNTED if head.name != "sentiment"):
        counters[INDEX[f"{head}_posts"]] = 1
    counters[INDEX["sentiment_sum"]] = counters[INDEX["sentiment_positive"]] = positive
    counters[INDEX["sentiment_square"]] = positive * positive // 1_000_000
    return counters


def test_an_edit_that_the_scorer_refuses_is_dead_and_the_others_keep_their_scores() -> None:
    events = [make_event("edit", n, text=f"text {n}", lang="en") for n in range(3)]
    batch = _decoded(make_event("delete", 9), *events)
    apply = _work(batch, Scored(_scores([0.25, 0.75]), {1: REFUSED}), [(0,), (0, 1), (0, 2)])
    (dead,) = batch.dead
    assert (dead.offset, dead.reason) == (12, reasons.SCORER_REFUSED)
    assert post_event_decoder.decode(dead.value) == events[1]
    assert [hashed for hashed, _ in apply.operations[1:]] == [_hash(events[0]), _hash(events[2])]
    posts = [scored_post_decoder.decode(value) for _, value, _ in batch[RENDERED]]
    assert [post.scores["sentiment"][2] for post in posts] == [250_000, 750_000]
    assert [post.queries for post in posts] == [["all"], ["all", "late"]]
    assert [offset for _, _, offset in batch[RENDERED]] == [11, 13]
    assert apply.totals == {"events": 3, "dead:post-events": 1}


def test_when_every_edit_is_refused_the_deletions_are_carried_out_all_the_same() -> None:
    batch = _decoded(make_event("edit", 1, text="x", lang="en"), make_event("delete", 2))
    apply = _work(batch, Scored(None, {0: REFUSED}), [(0,)])
    assert [blob for _, blob in apply.operations] == [DELETED]
    assert batch[RENDERED] == []
    assert len(batch.dead) == 1


def test_an_edit_is_told_as_one_with_the_time_it_claims_or_else_that_of_its_arrival() -> None:
    claimed = make_event("edit", 1, text="x", lang="en")
    silent = make_event("edit", 2, text="y", lang="en", claimed_at=None)
    batch = _decoded(claimed, silent)
    _work(batch, Scored(_scores([0.5, 0.5], [True, False]), {}), [(0,), (0,)])
    first, second = (scored_post_decoder.decode(value) for _, value, _ in batch[RENDERED])
    assert (first.event_at, second.event_at) == (claimed.claimed_at, silent.ingested_at)
    assert first.edit
    assert first.pane_start is None
    assert (first.rated, second.rated) == (True, False)
    assert (first.model_version, first.stratum) == ("m-1", "synthetic|en|none")
    keys = [key for key, _, _ in batch[RENDERED]]
    assert keys == [claimed.author.encode(), silent.author.encode()]


def test_a_run_without_events_has_told_nothing() -> None:
    batch = batch_of(b"{", topic=POST_EVENTS)
    DecodeEvents(10_000, ManualClock(NOON)).run(batch)
    apply = _work(batch, Scored(None, {}), [])
    assert apply.told_ms == -1
    assert batch[KINDS] == {}


def test_the_latest_arrival_is_what_was_told_whatever_the_order() -> None:
    late = make_event("delete", 1, ingested_at=NOON + timedelta(hours=3))
    apply = _work(_decoded(late, make_event("delete", 2)), Scored(None, {}), [])
    assert apply.told_ms == epoch_ms(NOON) + 3 * 3_600_000
