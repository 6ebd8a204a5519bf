from services.local.backoff import Backoff


def test_waits_double_up_to_the_longest_and_keep_within_their_upper_half() -> None:
    waits = Backoff(first_s=1.0, longest_s=4.0, seed=7)
    ceilings = [1.0, 2.0, 4.0, 4.0, 4.0]
    for ceiling in ceilings:
        assert ceiling / 2 <= waits.next_wait_s(ran_s=0.1) <= ceiling


def test_a_process_that_ran_well_is_forgiven() -> None:
    waits = Backoff(first_s=1.0, longest_s=64.0, seed=7)
    for _ in range(5):
        waits.next_wait_s(ran_s=0.1)
    assert waits.next_wait_s(ran_s=120.0) <= 1.0


def test_two_processes_that_died_together_do_not_come_back_in_step() -> None:
    first, second = Backoff(seed=1), Backoff(seed=2)
    assert [first.next_wait_s(0) for _ in range(4)] != [second.next_wait_s(0) for _ in range(4)]
