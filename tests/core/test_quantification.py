from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.quantification import Correction, Corrections, adjusted_shares, load_corrections

BINARY = Correction(labels=("no", "yes"), blocks=(0, 1), matrix=((0.8, 0.3), (0.2, 0.7)))


def simplex(classes: int) -> st.SearchStrategy[tuple[float, ...]]:
    weights = st.lists(st.floats(0.0, 1.0), min_size=classes, max_size=classes)
    return weights.filter(lambda w: sum(w) > 0.01).map(lambda w: tuple(x / sum(w) for x in w))


@st.composite
def corrections(draw: st.DrawFn, diagonal: float = 0.0) -> Correction:
    """Any confusion of 2 to 5 classes; `diagonal` is the least that a class keeps of its own."""
    classes = draw(st.integers(2, 5))
    columns = [draw(simplex(classes)) for _ in range(classes)]
    matrix = tuple(
        tuple(diagonal * (i == j) + (1 - diagonal) * columns[j][i] for j in range(classes))
        for i in range(classes)
    )
    return Correction(
        labels=tuple("abcde"[:classes]),
        blocks=tuple(range(classes)),
        matrix=matrix,
        ridge=draw(st.sampled_from([0.0, 3.0])),
    )


def confused(shares: tuple[float, ...], correction: Correction) -> list[float]:
    return [
        sum(value * share for value, share in zip(row, shares, strict=True))
        for row in correction.matrix
    ]


@given(corrections(diagonal=0.55), st.data())
@settings(max_examples=60)
def test_a_known_confusion_is_undone_exactly(correction: Correction, data: st.DataObject) -> None:
    truth = data.draw(simplex(len(correction.labels)))
    exact = msgspec.structs.replace(correction, ridge=0.0)
    found = adjusted_shares([1_000 * q for q in confused(truth, exact)], 1_000, exact)
    assert found == pytest.approx(truth, abs=1e-5)


@given(corrections(), st.data())
@settings(max_examples=60)
def test_shares_are_shares_whatever_was_counted(
    correction: Correction, data: st.DataObject
) -> None:
    classes = len(correction.labels)
    counts = data.draw(st.lists(st.floats(0, 1e9), min_size=classes, max_size=classes))
    found = adjusted_shares(counts, data.draw(st.integers(1, 10**6)), correction)
    if sum(counts) == 0:
        assert found == ()
        return
    assert sum(found) == pytest.approx(1.0)
    assert min(found) >= 0.0


def objective(shares: tuple[float, ...], q: list[float], rated: float, c: Correction) -> float:
    gap = sum((x - y) ** 2 for x, y in zip(confused(shares, c), q, strict=True))
    pull = sum((x - y) ** 2 for x, y in zip(shares, q, strict=True))
    return gap + c.ridge / rated * pull


@given(corrections(diagonal=0.2), st.data())
@settings(max_examples=60)
def test_no_other_shares_explain_the_counts_better(
    correction: Correction, data: st.DataObject
) -> None:
    classes = len(correction.labels)
    q = list(data.draw(simplex(classes)))
    found = adjusted_shares([50 * x for x in q], 50, correction)
    other = data.draw(simplex(classes))
    for step in (1.0, 0.1, 0.001):
        moved = tuple(a + step * (b - a) for a, b in zip(found, other, strict=True))
        assert objective(found, q, 50, correction) <= objective(moved, q, 50, correction) + 1e-8


def test_fewer_posts_are_corrected_less() -> None:
    cautious = msgspec.structs.replace(BINARY, ridge=10.0)
    few, many = (adjusted_shares([0.6 * n, 0.4 * n], n, cautious)[1] for n in (10, 10_000))
    assert 0.39 < many < 0.401  # (0.4 - 0.2) / 0.5
    assert few == pytest.approx(0.4, abs=0.001)
    few, many = (adjusted_shares([0.35 * n, 0.65 * n], n, cautious)[1] for n in (10, 10_000))
    assert many == pytest.approx(0.9, abs=0.01)
    assert 0.65 < few < 0.8


def test_counts_beyond_what_confusion_can_make_stop_at_the_edge() -> None:
    assert adjusted_shares([100.0, 0.0], 100, BINARY) == pytest.approx((1.0, 0.0))
    assert adjusted_shares([10.0, 90.0], 100, BINARY) == pytest.approx((0.0, 1.0))


def test_classes_of_one_block_keep_their_mix() -> None:
    merged = msgspec.structs.replace(BINARY, labels=("none", "low", "high"), blocks=(0, 1, 1))
    found = adjusted_shares([65.0, 30.0, 5.0], 100, merged)
    assert found == pytest.approx((0.7, 0.3 * 6 / 7, 0.3 / 7))
    assert sum(adjusted_shares([100.0, 0.0, 0.0], 100, merged)) == pytest.approx(1.0)


def test_an_empty_window_has_no_shares() -> None:
    assert adjusted_shares([0.0, 0.0], 0, BINARY) == ()


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes, 3"):
        adjusted_shares([1, 1, 1], 3, BINARY)


def test_corrections_belong_to_the_weights_they_were_fitted_to(tmp_path: Path) -> None:
    file = tmp_path / "quantification.json"
    made = Corrections(model_version="post-encoder-2+abc", heads={"sentiment": BINARY})
    file.write_bytes(msgspec.json.encode(made))
    found = load_corrections(file)
    assert found == made
    assert found.head("sentiment", "post-encoder-2+abc.int8") == BINARY
    assert found.head("sentiment", "post-encoder-2+abcd.int8") is None
    assert found.head("emotion", "post-encoder-2+abc") is None


def test_a_file_that_holds_no_corrections_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.json"):
        load_corrections(tmp_path / "gone.json")
    broken = tmp_path / "broken.json"
    head = {"labels": ["a", "b"], "blocks": [0, 1], "matrix": [[1.0]]}
    broken.write_bytes(msgspec.json.encode({"model_version": "v", "heads": {"x": head}}))
    with pytest.raises(ConfigError, match="square matrix"):
        load_corrections(broken)
    head["blocks"] = [0, 0]
    broken.write_bytes(msgspec.json.encode({"model_version": "v", "heads": {"x": head}}))
    with pytest.raises(ConfigError, match="expected 2 to 8"):
        load_corrections(broken)
    broken.write_text("{}")
    with pytest.raises(ConfigError, match="does not hold corrections"):
        load_corrections(broken)
