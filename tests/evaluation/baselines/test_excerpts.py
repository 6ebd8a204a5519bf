from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation.baselines.excerpts import (
    Dictionary,
    excerpt,
    load_dictionary,
    passages,
    pooled,
    sentences,
)

MARCH = Dictionary(["march", "protest*", "We"])
TEXT = "Cold today. The bus was late. We protested loudly! Others came. They sang. The end."


def test_the_densest_sentence_comes_with_its_neighbours() -> None:
    assert excerpt(TEXT, MARCH) == "The bus was late. We protested loudly! Others came."


def test_excerpts_stop_at_the_ends_of_the_text() -> None:
    assert excerpt("We protest. Then rain fell. All left.", MARCH) == "We protest. Then rain fell."
    assert excerpt("Rain fell. We march.", MARCH) == "Rain fell. We march."


def test_of_equally_dense_sentences_the_first_is_taken() -> None:
    text = "Before. We march. Between it rained. And later. We march. After."
    assert excerpt(text, MARCH) == "Before. We march. Between it rained."


def test_a_message_with_one_match_has_no_excerpt() -> None:
    assert excerpt("They march today. It rains.", MARCH) is None
    assert excerpt("", MARCH) is None


def test_case_matters_and_a_star_is_a_prefix() -> None:
    assert MARCH.matches(["we", "We", "March", "march", "protesters", "protes"]) == 3
    assert Dictionary(["*", ""]).matches(["anything"]) == 0


def test_a_dictionary_is_a_file_of_terms(tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    file.write_text("# public words only\nmarch\n\nprotest*\n")
    assert load_dictionary(file).matches(["march", "protesting", "#"]) == 2
    file.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="holds no term"):
        load_dictionary(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_dictionary(tmp_path / "none")


def test_sentences_keep_abbreviating_dots_inside_words_and_split_lines() -> None:
    assert sentences("It cost 3.50 at U.N.I. today\nnext line") == [
        "It cost 3.50 at U.N.I. today",
        "next line",
    ]
    assert sentences("  ") == []


def test_short_sentences_join_the_one_before_and_nothing_is_lost() -> None:
    assert passages("We should all go there. Yes! OK. Who will come along?") == [
        "We should all go there. Yes! OK.",
        "Who will come along?",
    ]
    assert passages("") == [""]


def test_pooling_takes_the_most_participating_sentence_of_each_text() -> None:
    asked: list[str] = []

    def classify(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        yes = np.array([0.9 if "march" in text else 0.2 for text in texts])
        return np.stack([1 - yes, yes], 1)

    found = pooled(["It rains today. We will march now. So it goes on.", "Rain again."], classify)
    assert found[:, 1].tolist() == [0.9, 0.2]
    assert len(asked) == 4
