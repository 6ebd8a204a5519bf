"""What a batch of posts counts, remembers and says of itself."""

from datetime import UTC, timedelta, timezone

import numpy as np
import pytest

from core.clock import ManualClock, epoch_ms
from core.codec import encode, scored_post_decoder
from core.heads import HEADS
from core.ports import ScoreBatch
from core.schemas import Post
from stream import heartbeat
from stream.windows.strata import LanguageFold
from stream.worker.batch import DeadRecord, PostBatch
from stream.worker.scoring import Scored
from stream.worker.steps.count import COUNTED_MS, UNRATED, Count
from stream.worker.steps.decode_posts import DECODED, INGESTED_MS, DecodePosts
from stream.worker.steps.drop_unscored import SCORES, DropUnscored
from stream.worker.steps.match import MATCHES, QUERIES, QUERY_NAMES
from stream.worker.steps.measure import Measure
from stream.worker.steps.place_in_time import PlaceInTime
from stream.worker.steps.render import RENDERED, Render
from stream.worker.steps.score import SCORED
from stream.worker.steps.send_progress import _is_only_heartbeats
from testkit.builders import NOON, make_post
from testkit.stream import batch_of

NOON_MS = epoch_ms(NOON)
HOUR_MS = 3_600_000
NAMES = ("all", "trains", "late")
DEAD = DeadRecord(5, "not_json", "", b"{")


def _at(number, at, **changes) -> Post:
    return make_post(number, claimed_at=at, ingested_at=at, **changes)


def _placed(*posts: Post) -> PostBatch:
    batch = batch_of(*(encode(post) for post in posts))
    DecodePosts(10_000, ManualClock(NOON)).run(batch)
    PlaceInTime(60).run(batch)
    return batch


def _scored(positive: list[float], rated: list[bool]) -> Scored:
    size = len(positive)
    heads = {name: np.zeros((size, len(labels)), np.float32) for name, labels in HEADS.items()}
    heads["sentiment"][:, 2] = positive
    return Scored(ScoreBatch("m-1", np.array(rated), heads), {})


def _work(batch: PostBatch, scored: Scored, matches: list[tuple[int, ...]]) -> None:
    batch[SCORED], batch[QUERY_NAMES], batch[MATCHES] = scored, NAMES, matches
    batch[QUERIES] = [[NAMES[index] for index in match] for match in matches]
    for step in (DropUnscored(), Measure(LanguageFold(["en", "es"])), Count(), Render()):
        step.run(batch)


def test_a_batch_tells_what_it_counted_and_what_it_did_not() -> None:
    batch = _placed(
        _at(1, NOON), _at(2, NOON + timedelta(seconds=60), near_duplicate=True, lang="eu"),
        _at(3, NOON, source=heartbeat.SOURCE),
    )  # fmt: skip
    batch.dead.append(DEAD)
    _work(batch, _scored([0.5, 0.25, 0.0], [True, False, False]), [(0, 1), (0,), (0,)])
    assert batch[UNRATED] == 2
    assert batch[SCORES].model_version == "m-1"
    assert batch[COUNTED_MS] == batch[INGESTED_MS]
    assert batch.apply.totals == {"counted": 2, heartbeat.TOTAL: 1, "dead:posts": 1}
    assert not _is_only_heartbeats(batch)
    posts = [scored_post_decoder.decode(value) for _, value, _ in batch[RENDERED]]
    assert [post.queries for post in posts[:2]] == [["all", "trains"], ["all"]]
    assert [post.pane_start for post in posts[:2]] == [NOON, NOON + timedelta(seconds=60)]
    assert [post.rated for post in posts] == [True, False, False]
    assert [post.near_duplicate for post in posts] == [False, True, False]
    assert [post.scores["sentiment"][2] for post in posts] == [500_000, 250_000, 0]
    assert [post.event_at for post in posts[:2]] == [NOON, NOON + timedelta(seconds=60)]
    assert [post.edit for post in posts] == [False] * 3
    assert [offset for _, _, offset in batch[RENDERED]] == [10, 11, 12]
    assert posts[1].stratum.split("|")[:2] == ["synthetic", "other"]
    seconds = NOON_MS // 1000
    assert set(batch.apply.panes) == {seconds, seconds + 60}
    assert sum(len(ids) for ids in batch.apply.seen.values()) == 3
    assert {hour for hour, _ in batch.apply.seen} == {NOON_MS // HOUR_MS}
    assert sum(len(pairs) for pairs in batch.apply.kept.values()) == 6


def test_a_batch_of_which_nothing_is_left_still_tells_its_dead() -> None:
    batch = batch_of(b"{")
    DecodePosts(10_000, ManualClock(NOON)).run(batch)
    PlaceInTime(60).run(batch)
    _work(batch, Scored(None, {}), [])
    assert batch.apply.totals == {"counted": 0, heartbeat.TOTAL: 0, "dead:posts": 1}
    assert (batch[RENDERED], batch.apply.panes, batch.apply.seen) == ([], {}, {})


@pytest.mark.parametrize(
    ("counted", "heartbeats", "dead", "is_only"),
    [(0, 2, 0, True), (1, 2, 0, False), (0, 2, 1, False), (0, 0, 0, False), (0, 1, 0, True)],
)
def test_only_a_batch_of_heartbeats_and_nothing_else_says_nothing_of_posts(
    counted: int, heartbeats: int, dead: int, is_only: bool
) -> None:
    batch = batch_of(b"")
    batch.apply.totals.update({"counted": counted, heartbeat.TOTAL: heartbeats})
    batch.dead += [DEAD] * dead
    assert _is_only_heartbeats(batch) is is_only


def test_the_event_time_is_the_claim_itself_only_where_it_was_not_clamped() -> None:
    elsewhere = timezone(timedelta(hours=2))
    first = _at(1, NOON + timedelta(microseconds=7))
    batch = _placed(
        first,
        make_post(2, claimed_at=NOON + timedelta(days=1), ingested_at=NOON),
        make_post(3, claimed_at=None, ingested_at=NOON),
        first,
    )
    batch[DECODED][3] = _at(1, NOON.astimezone(elsewhere))
    _work(batch, _scored([0.5] * 4, [True] * 4), [(0,)] * 4)
    found = [scored_post_decoder.decode(value).event_at for _, value, _ in batch[RENDERED]]
    assert found[0] == NOON + timedelta(microseconds=7)
    assert found[1] == NOON + timedelta(minutes=1)
    assert found[3].tzinfo is UTC
