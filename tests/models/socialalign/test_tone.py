"""The tone of texts: what was learnt is found again, what is not known says nothing."""

import numpy as np

from models.socialalign.tone import fit_tone

INSULTS = ["you fool", "what a fool", "fool of fools", "foolish fool"] * 5
THANKS = ["thank you", "so many thanks", "thanks a lot", "thank them"] * 5


def test_words_are_known_again_and_no_text_says_nothing() -> None:
    tone = fit_tone(INSULTS + THANKS, np.array([0] * 20 + [2] * 20), 3)
    insult, thanks, nothing, strange = tone.moved(["A FOOL", "thanks!", "", "ωψ"])
    assert insult[0] > 0 > insult[2]
    assert thanks[2] > 0 > thanks[0]
    assert not nothing.any()
    assert np.abs(strange).max() < 0.1, "but for the space about it"
    assert not tone.weights[:, 1].any(), "a label that no text had"


def test_a_text_is_read_the_same_alone_and_among_others() -> None:
    tone = fit_tone(INSULTS + THANKS, np.array([0] * 20 + [1] * 20), 2)
    texts = ["a fool", "", "thanks", "fool\ud800"]
    together = tone.moved(texts)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(tone.moved([text])[0], together[row], atol=1e-12)
    assert tone.moved([]).shape == (0, 2)


def test_three_labels_are_told_apart() -> None:
    texts = [*INSULTS, *THANKS, *["where is it", "where and when", "oh where"] * 5]
    labels = np.array([0] * 20 + [1] * 20 + [2] * 15)
    moved = fit_tone(texts, labels, 3).moved(["fool", "thanks", "where"])
    assert moved.argmax(axis=1).tolist() == [0, 1, 2]


def test_one_label_or_no_text_leaves_the_usual() -> None:
    tone = fit_tone(["a", "b", ""], np.array([1, 1, 1]), 2)
    assert not tone.moved(["a"]).any()
    assert tone.usual.argmax() == 1
