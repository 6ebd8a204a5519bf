import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.near_duplicates import NearDuplicates
from services.minhash import MIN_LETTERS, MINIMA, RUN, letters_of, signatures

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentence(chance: random.Random, words: int = 16) -> str:
    return " ".join("".join(chance.choices(LETTERS, k=chance.randint(3, 9))) for _ in range(words))


def slow_signature(letters: str) -> set[str]:
    return {letters[i : i + RUN] for i in range(len(letters) - RUN + 1)}


def test_a_copy_with_another_link_mention_case_and_mark_is_found():
    first = (
        "Everybody to the station at noon, bring your letters to the council! https://a.example/1"
    )
    again = "@ann EVERYBODY to the station at noon bring your letters to the council!! 🚂 www.b.io"
    other = "Something else about harbours and markets"
    assert NearDuplicates(100).mark([first, again, other]) == [False, True, False]


def test_one_word_more_is_found_and_another_half_is_not():
    chance = random.Random(3)
    found = missed = 0
    memory = NearDuplicates(10_000)
    originals = [sentence(chance) for _ in range(200)]
    memory.mark(originals)
    for text in originals:
        found += memory.mark([f"{text} really"])[0]
    for text in originals:
        words = text.split()
        missed += not memory.mark([" ".join(words[:5]) + sentence(chance, 11)])[0]
    assert found >= 195
    assert missed >= 195


def test_texts_without_spaces_are_compared_too():
    text = "駅前の広場で明日の正午に集まりましょう手紙を持ってきてください市長に渡します"
    assert NearDuplicates(10).mark([text, f"{text}!!"]) == [False, True]


def test_greetings_are_nobodys_copies():
    short = "Good morning everyone"
    assert len(letters_of(short)) < MIN_LETTERS
    assert NearDuplicates(10).mark([short, short, "", "🚂"]) == [False] * 4


def test_what_is_beyond_the_capacity_is_forgotten_and_what_is_inside_is_not():
    chance = random.Random(5)
    texts = [sentence(chance) for _ in range(60)]
    memory = NearDuplicates(50)
    assert not any(memory.mark(texts))
    assert memory.mark([texts[0]]) == [False]
    assert memory.mark([texts[20], texts[59]]) == [True, True]


def test_memory_is_that_of_the_capacity_whatever_comes():
    memory = NearDuplicates(64)
    before = [len(table) for table in memory._tables], memory._signatures.shape
    chance = random.Random(7)
    for _ in range(50):
        memory.mark([sentence(chance, 4) for _ in range(40)])
    assert ([len(table) for table in memory._tables], memory._signatures.shape) == before


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=30),
    st.lists(st.integers(1, 7), min_size=1, max_size=10),
)
def test_how_texts_are_divided_over_calls_changes_no_mark(picks: list[int], cuts: list[int]):
    chance = random.Random(11)
    pool = [sentence(chance, 5) for _ in range(6)]
    pool += [f"{text} again" for text in pool] + ["short"]
    texts = [pool[pick] for pick in picks]
    whole = NearDuplicates(20).mark(texts)
    memory, parts, at = NearDuplicates(20), [], 0
    for cut in cuts * len(texts):
        parts += memory.mark(texts[at : at + cut])
        at += cut
    assert parts == whole


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(min_size=RUN, max_size=40), min_size=1, max_size=8))
def test_minima_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]):
    together = signatures(texts)
    assert together.shape == (len(texts), MINIMA)
    for row, text in zip(together, texts, strict=True):
        assert row.tolist() == signatures([text])[0].tolist()


def test_agreeing_minima_estimate_the_share_of_common_runs():
    chance = random.Random(13)
    errors = []
    for _ in range(200):
        words = sentence(chance, 12).split()
        kept = chance.randrange(2, 12)
        one, other = "".join(words), "".join(words[:kept]) + sentence(chance, 3).replace(" ", "")
        runs = slow_signature(one), slow_signature(other)
        share = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
        found = signatures([one, other])
        errors.append(float((found[0] == found[1]).mean()) - share)
    assert abs(sum(errors) / len(errors)) < 0.02  # a hash that is no good is off by more
    assert max(map(abs, errors)) < 0.45


@pytest.mark.parametrize("broken", ["\ud800" * 30, "\x00" * 50, "a" * 100_000])
def test_no_text_is_too_odd(broken: str):
    assert NearDuplicates(10).mark([broken]) == [False]
