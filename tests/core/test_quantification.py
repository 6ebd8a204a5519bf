import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.quantification import (
    Correction,
    Corrections,
    adjusted_shares,
    corrected_intervals,
    load_corrections,
)

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


@given(corrections(), st.data())
@settings(max_examples=60)
def test_interval_holds_its_share_inside_all_shares(
    correction: Correction, data: st.DataObject
) -> None:
    classes = len(correction.labels)
    counts = data.draw(st.lists(st.floats(0.01, 1e9), min_size=classes, max_size=classes))
    posts = data.draw(st.lists(st.integers(1, 10**6), min_size=classes, max_size=classes))
    known = msgspec.structs.replace(correction, block_posts=tuple(posts))
    shares = adjusted_shares(counts, 50, known)
    for share, found in zip(shares, corrected_intervals(counts, 50, known), strict=True):
        assert 0 <= found.low <= found.value == share <= found.high <= 1


def test_more_posts_in_the_window_and_held_out_narrow_the_interval() -> None:
    def width(rated: int, held_out: int) -> float:
        known = msgspec.structs.replace(BINARY, block_posts=(held_out, held_out))
        found = corrected_intervals([0.55 * rated, 0.45 * rated], rated, known)[0]
        return found.high - found.low

    assert width(50, 100) > width(500, 100) > width(500, 1_000) > 0
    # Half of the posts truly of each class: 1.96 sqrt(2 (1/2 / 50 0.16 + ..)) with both columns.
    by_hand = (0.5 / 50 + 0.25 / 100) * (0.8 * 0.2 + 0.3 * 0.7) / 0.5**2
    assert width(50, 100) == pytest.approx(2 * 1.96 * by_hand**0.5, rel=1e-6)


def test_without_counts_of_held_out_posts_any_share_may_be_true() -> None:
    assert [(one.low, one.high) for one in corrected_intervals([65, 35], 100, BINARY)] == [
        (0, 1), (0, 1),
    ]  # fmt: skip


def test_intervals_hold_the_truth_of_windows_drawn_by_the_matrix() -> None:
    rng = random.Random(5)
    held = 0
    for _ in range(200):
        truly_yes = rng.randrange(101)
        said = sum(rng.random() < (0.7 if n < truly_yes else 0.2) for n in range(100))
        known = msgspec.structs.replace(BINARY, block_posts=(10**6, 10**6))
        found = corrected_intervals([100 - said, said], 100, known)[1]
        held += found.low - 1e-9 <= truly_yes / 100 <= found.high + 1e-9
    assert held >= 185  # 190 on average; fewer than 185 once in thirty such seeds


@pytest.mark.parametrize("posts", ["[5]", "[5, 0]"])
def test_counts_of_held_out_posts_that_fit_no_block_are_refused(tmp_path: Path, posts: str) -> None:
    file = tmp_path / "quantification.json"
    head = '{"labels": ["a", "b"], "blocks": [0, 1], "matrix": [[1, 0], [0, 1]], "block_posts": '
    file.write_text(f'{{"model_version": "m", "heads": {{"sentiment": {head}{posts}}}}}}}')
    with pytest.raises(ConfigError, match="a count of posts for each block"):
        load_corrections(file)
