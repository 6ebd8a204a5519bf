from __future__ import annotations

from datetime import timedelta

import pytest

from core.codec import encode
from core.schemas import Progress
from core.settings import KafkaSettings, Settings
from services.ingest import late_posts
from services.ingest.late_posts import LatePosts, oldest_kept
from services.ingest.sources.base import Ignored, SourceItem
from services.local.kafka_server import KafkaServer
from testkit.builders import NOON, make_post


def test_posts_before_what_a_stack_keeps_are_counted_and_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    items = [
        SourceItem(make_post(n, claimed_at=NOON + timedelta(hours=n)), n) for n in range(10)
    ] + [SourceItem(Ignored(), 11)]
    look = LatePosts(NOON + timedelta(hours=4), lambda found: found[1:])
    assert look(items) == items[1:], "what the edge makes of them is what goes on"
    look.warn()
    printed = capsys.readouterr().out
    assert "late=4" in printed
    assert "posts=10" in printed
    assert "--fresh" in printed


def test_nothing_is_told_of_a_stack_that_is_empty_or_of_posts_in_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for floor in (None, NOON - timedelta(days=9)):
        look = LatePosts(floor, lambda found: found)
        look([SourceItem(make_post(1), 1)])
        look.warn()
    assert capsys.readouterr().out == ""


class _Record:
    def __init__(self, value: bytes | None) -> None:
        self.value = value


def test_what_is_kept_begins_retention_before_the_newest_watermark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = [
        _Record(encode(Progress(partition=p, cursor=1, event_cursor=-1, applied_at=NOON,
                                watermark=NOON + timedelta(hours=p))))
        for p in range(3)
    ] + [_Record(b"{broken"), _Record(None)]  # fmt: skip
    monkeypatch.setattr(late_posts, "read_topic", lambda *_args, **_options: iter(records))
    settings = Settings()
    kept = timedelta(seconds=settings.windows.retention_s)
    assert oldest_kept(settings) == NOON + timedelta(hours=2) - kept


@pytest.mark.integration
def test_stack_that_has_counted_nothing_keeps_everything(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_posts, "_PROGRESS", "no-progress-yet")
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
    assert oldest_kept(settings) is None
