"""Real threads that would be said to have turned: by their answers in time, and none by others."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evaluation.crowds.live_threads import LiveAnswer, LiveThread
from evaluation.crowds.live_turns import LEAST, main, most_evidence
from tests.evaluation.crowds.test_live_threads import START_S


def thread(name: str, labels: list[int | None]) -> LiveThread:
    said = tuple(LiveAnswer(f"{name}-{n}", START_S + n, one) for n, one in enumerate(labels))
    return LiveThread(name, "t", START_S, said)


def test_a_thread_that_turns_has_more_evidence_than_any_that_does_not() -> None:
    threads = [
        thread("calm", [1, 0] * 17), thread("turns", [1] * 18 + [0] * 16),
        thread("unrated", [None] * 30),
    ]  # fmt: skip
    found = most_evidence(threads)
    assert set(found) == {"calm", "turns"}
    assert found["calm"] < LEAST[0]
    assert found["turns"] > LEAST[1]


def test_the_command_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "threads.json"
    file.write_bytes(msgspec.json.encode([thread("turns", [1] * 18 + [0] * 16),
                                          thread("calm", [1, 0] * 17)]))  # fmt: skip
    main(file)
    assert capsys.readouterr().out == "threads: 2\nturned_at_6.6: 1\nturned_at_9.5: 1\n"
