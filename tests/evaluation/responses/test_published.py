"""The published overlap is the libraries' own, the fast ROUGE-1 too, and no script is lost."""

import pytest

from evaluation.responses.published import OVERLAPS, closest, overlaps, rouge1

TEXTS = (
    "今天的天气真好啊！",
    "今天天气不好，真的。",
    "Good morning, good people of the town",
    "доброе утро",
    "good 今天 …… of？！ the",
    "good good good",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_wholly_like_itself_in_every_script(text: str) -> None:
    found = overlaps(text, [text])
    assert found["rouge1"] == pytest.approx(1)
    assert found["rougel"] == pytest.approx(1)
    assert found["bleu4"] == pytest.approx(1)


@pytest.mark.parametrize("prediction", TEXTS)
@pytest.mark.parametrize("reply", TEXTS)
def test_the_fast_rouge_is_that_of_the_library(prediction: str, reply: str) -> None:
    assert rouge1(prediction, reply) == pytest.approx(overlaps(prediction, [reply])["rouge1"])


def test_the_closest_reply_counts_for_all_four() -> None:
    replies = ["nothing at all", "a good morning to the town", "good people"]
    assert closest("a good morning to you", replies) == 1
    assert overlaps("a good morning to you", replies) == overlaps(
        "a good morning to you", replies[1:2]
    )


def test_of_replies_as_close_the_first_counts() -> None:
    assert closest("one two", ["two three", "one four"]) == 0


@pytest.mark.parametrize(("prediction", "reply"), [("", "words"), ("words", " "), (" ", "")])
def test_what_has_no_token_overlaps_nothing(prediction: str, reply: str) -> None:
    assert overlaps(prediction, [reply]) == dict.fromkeys(OVERLAPS, 0.0)
