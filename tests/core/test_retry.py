import random

from core.retry import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s


def test_pauses_grow_to_a_longest_one_and_are_spread() -> None:
    rng = random.Random(1)
    first = [pause_s(0, rng) for _ in range(200)]
    late = [pause_s(1_000, rng) for _ in range(200)]
    assert FIRST_PAUSE_S / 4 <= min(first) < max(first) <= FIRST_PAUSE_S
    assert LONGEST_PAUSE_S / 4 <= min(late) < max(late) <= LONGEST_PAUSE_S
    assert len(set(late)) > 100
