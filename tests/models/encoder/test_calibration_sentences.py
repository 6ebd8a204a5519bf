from models.encoder.calibration_sentences import COUNT, SENTENCES_FILE, write_sentences
from models.serving.normalise import normalise


def test_shipped_sentences_are_those_the_program_writes() -> None:
    from models.build import WEIGHTS

    shipped = (WEIGHTS / SENTENCES_FILE).read_text(encoding="utf-8").splitlines()
    assert shipped == write_sentences()
    assert len(set(shipped)) == COUNT


def test_sentences_for_checking_are_others() -> None:
    checked, fitted = write_sentences(64, seed=8), set(write_sentences())
    assert len(fitted & set(checked[20:])) <= 3


def test_sentences_are_short_and_long() -> None:
    words = sorted(len(normalise(sentence).split()) for sentence in write_sentences())
    assert words[0] <= 2
    assert words[-1] >= 70
