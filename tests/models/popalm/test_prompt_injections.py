"""Orders in posts change nothing but text: what is asked, and what may be shown."""

import re

import pytest

from models.popalm.prompt import HEAD, TAIL, as_data, prompt
from models.popalm.safety import REASONS, reply_fault, tidied
from testkit.injections import NUMBER, Injection, injections

ALL = injections()
MARK = re.compile(r"<\|[^|]*\|>")


def test_two_hundred_different_posts_are_tried() -> None:
    assert len({one.post for one in ALL}) == NUMBER == 200


@pytest.mark.parametrize("one", ALL, ids=range(len(ALL)))
def test_order_in_a_post_stays_within_the_turn_of_the_post(one: Injection) -> None:
    asked = prompt(one.post)
    assert asked.startswith(HEAD)
    assert asked.endswith(TAIL)
    inside = asked[len(HEAD) : -len(TAIL)]
    assert not MARK.search(inside)
    assert "\n" not in inside
    assert MARK.findall(asked) == MARK.findall(prompt("a harmless post"))
    assert as_data(as_data(one.post)) == as_data(one.post)


@pytest.mark.parametrize("one", ALL, ids=range(len(ALL)))
def test_decoder_that_obeyed_would_show_nothing_of_it(one: Injection) -> None:
    line = tidied(one.wanted, has_ended=True)
    assert reply_fault(one.post, line) in REASONS
