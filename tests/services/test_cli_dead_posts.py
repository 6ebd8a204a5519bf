"""Dead letters and samples are shown without what they say, and opened for who has the key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.schemas import DeadPost
from core.sealing import Sealer
from core.settings import Secret
from services.cli import dead_posts
from services.cli.main import run
from services.dead_letters import Replayed, ReplayRefused
from services.ingest.samples import SampleStore
from services.kafka_client.messages import Record

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEALER = Sealer(Secret("key"))


def letter(reason: str, said: bytes) -> bytes:
    return encode(
        DeadPost(
            reason=reason, detail="source webhook: refused", topic="posts", partition=-1, offset=-1,
            size=len(said), dead_at=AT, payload=SEALER.seal(said), sealed_by=SEALER.key_id,
        )
    )  # fmt: skip


@pytest.fixture
def _kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = [letter("unmappable", b"ana says \x1b[2J"), b"junk", letter("too_large", b"ben says")]
    records = [Record(0, offset, b"k", value) for offset, value in enumerate(values)]
    monkeypatch.setattr(dead_posts, "read_topic", lambda *_: iter(records))
    monkeypatch.setenv("GROUNDSWELL__INGEST__CURSOR_DIR", str(tmp_path))
    SampleStore(tmp_path, "webhook", ManualClock(AT), SEALER).keep(b"ana says", "refused")


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("command", [["show"], ["samples", "webhook"]])
def test_messages_are_shown_to_who_asks_and_has_the_key(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert run(["dead-posts", *command]) == 0
    shown = capsys.readouterr().out
    assert "refused" in shown
    assert f"sealed by {SEALER.key_id}" in shown
    assert "ana" not in shown
    assert run(["dead-posts", *command, "--unseal"]) == 2
    told = capsys.readouterr()
    assert SEALER.key_id in told.err
    assert "ana" not in told.out
    monkeypatch.setenv("GROUNDSWELL__INGEST__AUTHOR_KEY", "key")
    assert run(["dead-posts", *command, "--unseal"]) == 0
    shown = capsys.readouterr().out
    assert "ana says" in shown
    assert "\x1b" not in shown


@pytest.mark.usefixtures("_kept")
def test_a_reason_chooses_and_what_is_no_dead_letter_is_said(
    capsys: pytest.CaptureFixture[str],
):
    assert run(["dead-posts", "show", "--reason", "too_large"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1
    assert "offset 1 is no dead letter: not_json" in shown.err
    assert run(["dead-posts", "show", "--reason", "not_json"]) == 1
    assert run(["dead-posts", "samples", "bluesky"]) == 1


def test_one_is_sent_again_and_a_refusal_says_that_nothing_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked: list[tuple[int, bytes | None]] = []

    def replay(_settings: object, place: int, repaired: bytes | None) -> Replayed:
        asked.append((place, repaired))
        if repaired == b"{}":
            raise ReplayRefused("the repaired record is still missing_field")
        return Replayed(place, "posts", "webhook", "p\x1b1")

    monkeypatch.setattr(dead_posts, "replay", replay)
    record = tmp_path / "record.json"
    record.write_bytes(b"{}")
    assert run(["dead-posts", "replay", "3"]) == 0
    assert capsys.readouterr().out == "sent to posts: p\\x1b1 of webhook\n"
    assert run(["dead-posts", "replay", "3", "--record", str(record)]) == 1
    assert capsys.readouterr().err == (
        "nothing was sent: the repaired record is still missing_field\n"
    )
    assert asked == [(3, None), (3, b"{}")]
    assert run(["dead-posts", "replay", "3", "--record", str(tmp_path / "none")]) == 2
    assert "--record = " in capsys.readouterr().err
    assert run(["dead-posts", "replay", "-1"]) == 2


def test_what_a_stranger_wrote_beside_a_message_moves_no_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said = "\x1b[2Jgone\nna\u00efve\u202e"
    strange = DeadPost(
        reason=said, detail=said, topic=said, partition=0, offset=0, size=1, dead_at=AT,
        payload=b"x", sealed_by=said,
    )  # fmt: skip
    records = [Record(0, 0, b"k", encode(strange))]
    monkeypatch.setattr(dead_posts, "read_topic", lambda *_: iter(records))
    monkeypatch.setenv("GROUNDSWELL__INGEST__CURSOR_DIR", str(tmp_path))
    SampleStore(tmp_path, "webhook", ManualClock(AT)).keep(b"x", said)
    for command in (["show"], ["samples", "webhook"]):
        assert run(["dead-posts", *command]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.isprintable()
        assert "\\x1b[2Jgone\\nna\u00efve\\u202e" in line
