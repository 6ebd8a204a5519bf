"""What is kept of a source is not believed unread."""

import math

import msgspec
import numpy as np
import pytest

from core.forecast_settings import ForecastSettings
from models.engagement.conformal import EPOCHS
from models.engagement.shrinkage import AS_MODELLED, FIRST
from models.engagement.source_records import SourceRecord, read_source
from models.engagement.sources import SourceState

CLOCK_S = 1_700_000_000.0
SETTLED = (b"k" * 12, [1, None, 0], [(0.0, 1.0, 2.0)] * 3)


def kept(**changed: object) -> bytes:
    """Return the record of a new source with some fields changed."""
    blob = SourceState("s", 3, ForecastSettings()).to_blob()
    record = msgspec.msgpack.decode(blob, type=SourceRecord)
    fields = {name: getattr(record, name) for name in record.__struct_fields__} | changed
    return msgspec.msgpack.encode(list(fields.values()))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("known_since_s", math.nan, "known_since_s nan"),
        ("known_since_s", -math.inf, "known_since_s -inf"),
        ("known_since_s", CLOCK_S + 1, "known_since_s 1700000001"),
        ("judged_since_s", (math.nan, 0.0), "judged_since_s of unknown authors nan"),
        ("judged_since_s", (0.0, CLOCK_S + 9), "judged_since_s of known authors 1700000009"),
        ("singles_at", (0.0, math.nan, 0.0), "singles_at"),
        ("singles_at", (0.0, 0.0, math.inf), "singles_at"),
        ("singles_at", (CLOCK_S + 1, 0.0, 0.0), "singles_at"),
        ("hedges", [([1 / 7] * 7, math.nan)] * 2, "hedges"),
        ("hedges", [([math.nan] * 7, 1.0)] * 2, "hedges"),
        ("trackers", [((math.nan, 1.0, 1.0), (0.2, 0.4, 0.4), 1)] * 12, "calibrators"),
        ("trackers", [((1.0, 1.0, 1.0), (0.2, 0.4, 0.4), 1)] * 6, "calibrators"),
        ("served", bytes(EPOCHS * 24), "served widths"),
        ("to_learn", [0] * 3, "posts to be learnt from"),
        ("to_learn", [10**12] * 16, "Expected `int` <="),
        ("to_settle", [(b"k" * 12, [1, 1, 1], [(0.0, math.nan, 2.0)] * 3)], "settled posts"),
        ("to_settle", [(b"k" * 12, [1, 1, 1], [(0.0, 1.0, math.inf)] * 3)], "settled posts"),
        ("to_settle", [(b"k" * 11, [1, 1, 1], [(0.0, 1.0, 2.0)] * 3)], "length >= 12"),
        ("to_settle", [(b"k" * 12, [-1, 1, 1], [(0.0, 1.0, 2.0)] * 3)], "Expected `int` >= 0"),
        ("shrunk", [([FIRST] * 3, [AS_MODELLED] * 3)], "shrunk widths"),
        ("shrunk", [([FIRST] * 2, [AS_MODELLED] * 3)] * 2, "shrunk widths"),
        ("shrunk", [([FIRST] * 3, [(math.nan, 0.0, 1.0)] * 3)] * 2, "shrunk widths"),
        ("shrunk", [([FIRST] * 3, [(0.0, 0.0, 1.1)] * 3)] * 2, "shrunk widths"),
        ("shrunk", [([(*FIRST[:5], math.inf, 0)] * 3, [AS_MODELLED] * 3)] * 2, "shrunk widths"),
        ("ordinary", [([0.0] * 16, [0.0] * 16)], "ordinary posts"),
        ("ordinary", [([0.0] * 15, [0.0] * 16)] * 2, "ordinary posts"),
        ("ordinary", [([0.0] * 16, [math.nan] * 16)] * 2, "ordinary posts"),
        ("ordinary", [([-1.0] * 16, [0.0] * 16)] * 2, "ordinary posts"),
        ("ordinary", [([math.inf] * 16, [0.0] * 16)] * 2, "ordinary posts"),
        ("layout", 3, "Expected `int` <= 2"),
        ("layout", 0, "Expected `int` >= 1"),
    ],
)
def test_a_source_with_a_number_that_was_never_written_is_refused_by_name(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        read_source(kept(**{name: value}), CLOCK_S)


def test_what_may_be_written_is_read_also_at_its_bounds() -> None:
    record = read_source(kept(to_settle=[SETTLED], known_since_s=CLOCK_S), CLOCK_S)
    assert record.known_since_s == CLOCK_S
    assert record.judged_since_s == (math.inf, math.inf)
    assert record.to_settle[0].finals == [1, None, 0]


def test_a_source_of_the_layout_before_goes_on_with_what_it_had_learnt() -> None:
    served = np.arange(1_000, 1_000 + EPOCHS * 6, dtype="<u2").reshape(EPOCHS, 6)
    trackers = [((1.0 + side, 1.0, 1.0), (0.2, 0.4, 0.4), 9) for side in range(6)]
    fields = msgspec.msgpack.decode(kept(
        layout=1, trackers=trackers, served=served.tobytes(), to_learn=(5, 1, 1), known_since_s=7.0
    ))  # fmt: skip
    found = SourceState.from_blob("s", msgspec.msgpack.encode(fields[:-3]), ForecastSettings())
    assert found.served[:, 0].tolist() == found.served[:, 1].tolist() == served.tolist()
    for widths in found.widths:
        assert [tracker.factors[0] for tracker in widths.all()] == [1, 2, 3, 4, 5, 6]
    assert found.judged_since_s == [7.0, 7.0]
    assert [widths.shrunk(0, 0.4, 0.7) for widths in found.shrunk] == [(0.4, 0.7)] * 2
    assert [posts.trust for posts in found.ordinary] == [0, 0]
    assert sum(found.to_learn) == 7
    assert SourceState.from_blob("s", found.to_blob(), ForecastSettings()).to_blob() == (
        found.to_blob()
    )
