"""What a responder answers becomes replies that can be shown, or is refused."""

import numpy as np
import pytest

from core.errors import ScorerUnavailable
from core.ports import Generated
from models.popalm.columns import reply_columns
from models.scorers.edge import Asked
from models.scorers.responder_edge import checked_replies
from testkit.scorers.responder import NONSENSE_REPLIES, FakeResponder, ResponderFaults

POST = "They moved the concert again."
MADE = Generated("v1", ("so sad", "what a mess", "again?"), (2.0, 1.0, -1.5), {"name": 2}, 7)
ASKED = Asked("the model", 1, ())


def checked(made: Generated, number: int = 3) -> Generated:
    return checked_replies(ASKED, POST, number, 7, reply_columns(made))


def test_right_answer_comes_through_as_it_was_made() -> None:
    assert checked(MADE) == MADE
    nothing = Generated("v1", (), (), {"post_harm": 1}, 7)
    assert checked(nothing) == nothing


@pytest.mark.parametrize("kind", NONSENSE_REPLIES)
async def test_nonsense_counts_as_no_answer(kind: str) -> None:
    faults = ResponderFaults(spoil=NONSENSE_REPLIES[kind])
    with pytest.raises(ScorerUnavailable, match="the fake responder answered"):
        await FakeResponder(faults=faults).reply(POST, 3, 7)


def test_reply_that_slipped_through_is_refused_here_and_counted() -> None:
    for text, reason in (
        ("ask @bob", "handle"), ("see foo.com", "link"), ("what a mess", "twin"),
        ("", "empty"), ("two\nlines", "characters"), ("They moved the concert", "copy"),
        ("kevin did it", "name"), ("go kill yourself", "harm"),
    ):  # fmt: skip
        made = Generated("v1", ("so sad", "what a mess", text), MADE.scores, {"name": 2}, 7)
        found = checked(made)
        assert found.texts == ("so sad", "what a mess")
        assert found.scores == (2.0, 1.0)
        assert found.refused == ({"name": 3} if reason == "name" else {"name": 2, reason: 1})


async def test_fake_keeps_to_the_port_and_can_be_told_to_fail() -> None:
    fake = FakeResponder()
    made = await fake.reply(POST, 3, 7)
    assert made == await fake.reply(POST, 3, 7)
    assert len(made.texts) == 3
    assert made.texts != (await fake.reply(POST, 3, 8)).texts
    assert (await fake.reply("kill yourself", 3, 7)).refused == {"post_harm": 1}
    assert np.isfinite(made.scores).all()
    with pytest.raises(ValueError, match="number 0"):
        await fake.reply(POST, 0, 7)
    fake.faults.is_down = True
    assert not await fake.is_ready()
    with pytest.raises(ScorerUnavailable):
        await fake.reply(POST, 3, 7)
