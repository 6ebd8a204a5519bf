"""Leading replies are found while an event goes on; floors that know nothing find them less."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.responses import __main__ as program
from evaluation.responses.ranking import RANKINGS, ndcg, rank_events, spearman
from evaluation.responses.recorded_events import EventReply, delays, liked_by, load_events

WIDTH = 80


def made_up_events(events: int = 12, replies: int = 30) -> list[list[EventReply]]:
    """Return events whose likes have nothing to do with the time of a reply."""
    rng = np.random.default_rng(8)
    return [
        [
            EventReply(f"reply {row} of {event}", 1e9 + 1e5 * event + 100.0 * row, int(likes))
            for row, likes in enumerate(rng.geometric(0.04, replies) - 1)
        ]
        for event in range(events)
    ]


def write_scores(data: Path, events: list[list[EventReply]]) -> None:
    folder = data / "responses_reddit_scores"
    folder.mkdir(parents=True)
    with gzip.open(folder / "comments.csv.gz", "wt", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["source", "post", "author", "text", "score", "created_at"])
        for number, event in enumerate(events):
            for one in event:
                time = np.datetime64(int(one.at_s), "s")
                rows.writerow(["made-up", f"p{number}", "", one.text, one.likes, f"{time}Z"])


def test_the_best_order_has_all_gain_and_ties_do_not_matter() -> None:
    likes = np.array([0.0, 5, 5, 1, -3, 9, 2])
    assert ndcg([5, 2, 1, 6, 3], likes) == pytest.approx(1)
    assert ndcg([5, 1, 2, 6, 3], likes) == pytest.approx(1)
    assert ndcg([0, 4], likes) == 0
    assert np.isnan(ndcg([0, 1], np.zeros(6)))
    assert spearman(likes, 2 * likes) == pytest.approx(1)
    assert spearman(-likes, likes) == pytest.approx(-1)
    assert np.isnan(spearman(np.zeros(7), likes))


def test_likes_only_grow_and_all_have_come_in_the_end() -> None:
    event = made_up_events(1)[0]
    drawn = delays(event, "slow", np.random.default_rng(1))
    for reply, delay in zip(event, drawn, strict=True):
        by_age = [liked_by(delay, age_s) for age_s in (0, 60, 3_600, 86_400, 1e12)]
        assert by_age == sorted(by_age)
        assert by_age[-1] == reply.likes
    assert delays([EventReply("x", 0, -4)], "slow", np.random.default_rng(1))[0].size == 0


def test_what_knows_the_likes_beats_what_knows_the_clock_or_nothing() -> None:
    found = rank_events(made_up_events(), "slow", resamples=50)
    for ranking in ("shown", "expected"):
        for floor in ("oldest", "newest", "random"):
            assert found[f"6h.{ranking}.ndcg5"].low > found[f"6h.{floor}.ndcg5"].high
    # Young replies have had no time: expecting that is worth something beside counting.
    assert found["1h.expected.ndcg5"].value > found["1h.likes.ndcg5"].value - 0.01
    assert found["6h.random.spearman"].low < 0.05
    assert all(f"1h.{ranking}.ndcg5" in found for ranking in RANKINGS)


def test_the_command_ranks_what_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = made_up_events(6)
    write_scores(tmp_path, events)
    assert load_events(tmp_path, "reddit_scores") == events
    program.main(tmp_path, "reddit_scores", resamples=10)
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= WIDTH
    assert any("6 events ranked" in line for line in shown)


def test_events_with_too_few_replies_are_refused_by_folder(tmp_path: Path) -> None:
    write_scores(tmp_path, made_up_events(4, replies=3))
    with pytest.raises(ConfigError, match="responses_reddit_scores"):
        load_events(tmp_path, "reddit_scores")


@pytest.mark.parametrize("broken", [("score", "many"), ("created_at", "yesterday")])
def test_a_row_that_is_none_is_refused_by_folder(broken: tuple[str, str], tmp_path: Path) -> None:
    write_scores(tmp_path, made_up_events(2, replies=7))
    file = tmp_path / "responses_reddit_scores" / "comments.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows[3][broken[0]] = broken[1]
    with gzip.open(file, "wt", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ConfigError, match="responses_reddit_scores"):
        load_events(tmp_path, "reddit_scores")
