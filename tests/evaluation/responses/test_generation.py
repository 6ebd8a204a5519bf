"""Answers of decoders are judged beside floors, on the posts that they were given."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.responses.floors import Answer
from evaluation.responses.generation import (
    FLOORS,
    MEASURES,
    answered_threads,
    generation_figures,
    judged,
    judged_threads,
    read_answers,
)
from evaluation.responses.threads import ThreadSet
from tests.evaluation.responses.recorded import made_up

TEST = made_up(24, seed=2)
SET = ThreadSet("generation", "en", made_up(30, seed=1, order="train"), TEST, {})


def letters(texts: list[str]) -> np.ndarray:
    """Vectors by which words are alike that share letters."""
    rows = np.array([[1.0 + text.count(sign) for sign in "abdefgiklmnoprstuvz"] for text in texts])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def shortness(posts: list[str], texts: list[str]) -> np.ndarray:
    assert len(posts) == len(texts)
    return np.array([-float(len(text)) for text in texts])


def write_answers(folder: Path, name: str, answers: list[list[str]], posts: int = 24) -> None:
    folder.mkdir(exist_ok=True)
    rows = zip(TEST[:posts], answers[:posts], strict=True)
    lines = [json.dumps({"post": one.post, "answers": given}) for one, given in rows]
    (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))


ON_TOPIC = [[" ".join(one.post.split()[7:10])] * 3 for one in TEST]
SAME = [["the of and to is that"]] * 24


def test_who_speaks_of_the_post_has_lift_over_who_says_the_same_to_all(tmp_path: Path) -> None:
    write_answers(tmp_path, "sft", ON_TOPIC)
    write_answers(tmp_path, "base", SAME)
    systems = read_answers(tmp_path, SET)
    assert [len(draws) for draws in systems.values()] == [1, 3]
    found = judged(SET, systems, letters, shortness, resamples=50)
    assert {f"{name}.{one}" for name in ("base", "sft", *FLOORS) for one in MEASURES} < set(found)
    assert found["base.content_lift"].value == pytest.approx(0, abs=1e-9)
    assert found["sft_over_base.embedding_lift"].low > 0
    assert found["sft.distinct"].value == 1
    assert found["base.distinct"].value == pytest.approx(1 / 24)
    assert found["base.reward"].value == -21


def test_a_difference_is_narrower_than_its_parts(tmp_path: Path) -> None:
    """Both are judged on the same posts, so their interval is that of pairs."""
    del tmp_path
    one = [[Answer(given[0]) for given in ON_TOPIC]]
    found = judged(SET, {"sft": one, "base": one}, letters, None, resamples=50)
    assert found["sft_over_base.embedding_lift"].high == 0
    assert found["sft.embedding_lift"].high > found["sft.embedding_lift"].low
    assert np.isnan(found["sft.reward"].value)


def test_what_the_filter_refuses_is_in_no_figure_of_what_is_shown() -> None:
    own = [Answer(f"never heard about that {one.post.split()[7]}") for one in TEST]
    copies, nothing = [Answer(one.post) for one in TEST], [Answer("see www.example.org")] * 24
    found = judged(SET, {"sft": [copies, own], "base": [own, own], "dpo": [nothing]}, letters,
                   shortness, resamples=20)  # fmt: skip
    assert found["sft.copy"].value == found["sft.refused_copy"].value == 0.5
    assert (found["sft_shown.copy"].value, found["sft.unanswered"].value) == (0, 0)
    for measure in MEASURES:
        assert found[f"sft_shown.{measure}"] == found[f"base_shown.{measure}"]
    assert np.isnan(found["dpo_shown.reward"].value)
    assert found["dpo.unanswered"].value == 1


def test_only_posts_that_all_systems_answer_are_judged(tmp_path: Path) -> None:
    write_answers(tmp_path, "sft", ON_TOPIC)
    write_answers(tmp_path, "base", SAME, posts=10)
    assert len(answered_threads(SET, tmp_path).test) == 10
    write_answers(tmp_path, "base", SAME, posts=1)
    with pytest.raises(ConfigError, match="1 judged posts in common"):
        answered_threads(SET, tmp_path)


@pytest.mark.parametrize("line", ["{", '{"post": "x", "answers": ["y"]}'])
def test_a_file_that_answers_other_posts_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "sft.jsonl").write_text(line + "\n")
    with pytest.raises(ConfigError, match=r"sft\.jsonl does not answer"):
        read_answers(tmp_path, SET)


def test_no_answers_and_no_sets_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file SYSTEM\.jsonl"):
        read_answers(tmp_path, SET)
    with pytest.raises(ConfigError, match="none of the sets"):
        judged_threads(tmp_path)


def test_fewer_judged_posts_are_a_part_of_more_and_figures_have_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "responses_reddit_pairs").mkdir(parents=True)
    rows = [
        {"date": f"2015-02-{row // 5 + 1:02}", "post": one.post, "replies": one.replies}
        for row, one in enumerate(made_up(120, seed=4))
    ]
    with gzip.open(data / "responses_reddit_pairs" / "threads.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    few, more = (judged_threads(data, posts).test for posts in (8, 16))
    assert {one.post for one in few} < {one.post for one in more}
    assert (len(few), len(more)) == (8, 16)
    answers = [{"post": one.post, "answers": ["so it is"]} for one in few]
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    figures = generation_figures(data, tmp_path, letters, shortness, resamples=20)
    assert figures["generation.posts"] == 8
    for measure in ("embedding_lift", "content_lift", "distinct", "copy", "reward"):
        assert figures[f"generation.sft.{measure}_low"] <= figures[f"generation.sft.{measure}"]
