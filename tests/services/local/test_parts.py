import random

from services.local.child import Command
from services.local.parts import StackPart
from services.local.server import Program


def part(tmp_path, seed: int) -> StackPart:
    return StackPart(Program("part", Command(("true",)), tmp_path), rng=random.Random(seed))


def test_waits_grow_with_every_death_in_a_row_up_to_the_longest(tmp_path) -> None:
    dying = part(tmp_path, 7)
    waits = [dying.next_wait_s(ran_s=0.1) for _ in range(12)]
    assert max(waits[:2]) <= 0.4
    assert all(1.25 <= wait <= 5.0 for wait in waits[-4:])


def test_a_process_that_ran_well_is_forgiven(tmp_path) -> None:
    dying = part(tmp_path, 7)
    for _ in range(9):
        dying.next_wait_s(ran_s=0.1)
    assert dying.next_wait_s(ran_s=120.0) <= 0.2


def test_two_processes_that_died_together_do_not_come_back_in_step(tmp_path) -> None:
    first, second = part(tmp_path, 1), part(tmp_path, 2)
    assert [first.next_wait_s(0) for _ in range(4)] != [second.next_wait_s(0) for _ in range(4)]
