"""Personas: whatever the order, as of a time, nothing of those who want none, bounded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.socialalign.persona_history import Occasion, RememberedPost
from models.socialalign.persona_limits import PersonaLimits
from models.socialalign.personas import Personas

TONE = {"sentiment": (0.7, 0.2, 0.1)}
LIMITS = PersonaLimits(most_authors=8, most_posts=6, used_posts=4, text_s=50, lifetime_s=90)
Said = tuple[str, RememberedPost]
EXAMPLES = settings(max_examples=40)


def nobody(_author: str) -> bool:
    return False


def post(number: int, at: float, text: str = "rain again", thread: str = "") -> RememberedPost:
    return RememberedPost(at, f"p{number}", thread or f"t{number}", text, TONE)


def at(time: float, text: str = "rain", thread: str = "event") -> Occasion:
    return Occasion(time, thread, text, TONE)


def filled(posts: Sequence[Said], limits: PersonaLimits = LIMITS) -> Personas:
    personas = Personas(limits, nobody)
    for author, one in posts:
        personas.add(author, one)
    return personas


@st.composite
def histories(draw: st.DrawFn, most: int = 24) -> list[Said]:
    """Posts of three authors, each with an id of its own."""
    words = st.sampled_from(["rain", "sun", "train late", "so glad", ""])
    share = st.floats(0, 1, allow_subnormal=False)
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 99), words, share, st.booleans()),
            max_size=most,
        )
    )
    return [
        (author, RememberedPost(
            float(when), f"p{number}", "event" if own else f"t{number}", text,
            {"sentiment": (value, 1 - value, 0.0)},
        ))
        for number, (author, when, text, value, own) in enumerate(rows)
    ]  # fmt: skip


@EXAMPLES
@given(histories(), st.randoms(use_true_random=False), st.integers(0, 100))
def test_the_order_in_which_posts_come_changes_nothing(posts, random, when: int) -> None:
    shuffled = posts.copy()
    random.shuffle(shuffled)
    one, other = filled(posts), filled(shuffled)
    assert one.to_bytes() == other.to_bytes()
    assert one.dropped == other.dropped
    for author in "abc":
        assert one.as_of(author, at(when)) == other.as_of(author, at(when))


@EXAMPLES
@given(histories(), st.integers(0, 24), st.integers(0, 100))
def test_kept_and_restored_half_way_is_as_from_scratch(posts, half: int, when: int) -> None:
    again = Personas(LIMITS, nobody)
    again.restore(filled(posts[:half]).to_bytes())
    for author, one in posts[half:]:
        again.add(author, one)
    assert again.to_bytes() == filled(posts).to_bytes()
    assert again.as_of("a", at(when)) == filled(posts).as_of("a", at(when))


@EXAMPLES
@given(histories(), histories(), st.integers(1, 99))
def test_no_later_post_changes_a_persona_that_is_whole(posts, others, when: int) -> None:
    earlier = [(author, one) for author, one in posts if one.posted_at < when]
    later = [
        (author, RememberedPost(float(when + number), f"q{number}", "x", one.text, one.heads))
        for number, (author, one) in enumerate(others)
    ]
    whole = PersonaLimits(8, 100, 4, text_s=50, lifetime_s=90)
    truth = filled(earlier, whole)
    roomy, narrow = filled(later + earlier, whole), filled(later + earlier)
    for author in "abc":
        expected = truth.as_of(author, at(when))
        assert roomy.as_of(author, at(when)) == expected
        found = narrow.as_of(author, at(when))
        assert found is None or not found.is_whole or found == expected


@EXAMPLES
@given(histories(), st.integers(0, 200))
def test_those_who_opted_out_leave_no_trace_in_the_bytes(posts, now: int) -> None:
    out: set[str] = set()
    roomy = PersonaLimits(100, 6, 4, text_s=50, lifetime_s=90)
    personas = Personas(roomy, out.__contains__)
    for author, one in posts:
        personas.add(author, one)
        personas.delete(author, f"gone-{one.post_id}", 0.0)
    out.add("a")
    without = Personas(roomy, out.__contains__)
    for author, one in posts:
        if author != "a":
            without.add(author, one)
            without.delete(author, f"gone-{one.post_id}", 0.0)
    # Before anybody swept: the bytes and what is read have nothing of them already.
    assert personas.to_bytes() == without.to_bytes()
    assert personas.as_of("a", at(100)) is None
    personas.forget("a")
    assert personas.to_bytes() == without.to_bytes()
    personas.add("a", post(99, 50))
    personas.sweep(now)
    without.sweep(now)
    assert personas.to_bytes() == without.to_bytes()


@EXAMPLES
@given(histories(), st.integers(0, 200))
def test_no_text_and_no_post_outlives_its_time(posts, now: int) -> None:
    personas = filled(posts)
    personas.sweep(now)
    again = Personas(LIMITS, nobody)
    again.sweep(now)
    for author, one in posts:
        again.add(author, one)
    for some in (personas, again):
        for author in "abc":
            found = some.as_of(author, at(now, "rain sun train glad"))
            for kept in found.history if found else ():
                assert now - kept.posted_at < LIMITS.text_s
    oldest = [one.posted_at for _author, one in posts if one.posted_at > now - LIMITS.lifetime_s]
    if not oldest:
        assert len(personas) == len(again) == 0


def test_a_text_leaves_the_bytes_when_its_time_is_over() -> None:
    personas = filled([("a", post(1, 10, "a secret word"))])
    personas.sweep(59)
    assert b"secret" in personas.to_bytes()
    personas.sweep(60)
    assert b"secret" not in personas.to_bytes()
    assert personas.as_of("a", at(61)) is not None, "what the model said of it stays"
    personas.sweep(100)
    assert len(personas) == 0


def test_a_deleted_post_leaves_at_once_and_stays_away_if_it_comes_later() -> None:
    personas = filled([("a", post(1, 10, "a secret word")), ("a", post(2, 11))])
    personas.delete("a", "p1", 12)
    personas.delete("a", "p3", 12)
    personas.add("a", post(3, 11, "another secret"))
    assert b"secret" not in personas.to_bytes()
    found = personas.as_of("a", at(20))
    assert found is not None
    assert found.posts == 1
    assert personas.dropped["deleted"] == 2


def test_what_does_not_fit_is_dropped_counted_and_told() -> None:
    personas = filled([("a", post(number, number)) for number in range(10)])
    assert personas.dropped["posts"] == 4
    present, past = personas.as_of("a", at(20)), personas.as_of("a", at(6))
    assert present is not None
    assert (present.posts, present.is_whole) == (4, True)
    assert past is not None
    assert (past.posts, past.is_whole) == (2, False)
    many = filled([(f"author {number}", post(number, number)) for number in range(10)])
    assert (len(many), many.dropped["authors"]) == (8, 2)
    many.add("author 0", post(11, 20))
    back = many.as_of("author 0", at(30))
    assert back is not None
    assert not back.is_whole, "what it said before was dropped"


def test_a_long_text_is_cut_and_counted_and_a_repeat_counts_once() -> None:
    personas = filled([("a", post(1, 10, "rain " * 200)), ("a", post(1, 10))])
    found = personas.as_of("a", at(20))
    assert found is not None
    assert len(found.history[0].text) == LIMITS.most_letters
    assert personas.dropped == {"letters": 1, "repeated": 1}


def test_an_author_whose_posts_are_all_old_is_known_by_the_latest_of_them() -> None:
    limits = PersonaLimits(half_life_s=3_600)
    personas = filled([("a", post(1, 0)), ("a", post(2, 86_400))], limits)
    persona = personas.as_of("a", at(89 * 86_400))
    assert persona is not None
    assert persona.means["sentiment"] == pytest.approx(TONE["sentiment"])


@pytest.mark.parametrize("place", [1, 2, 3])
def test_bytes_with_a_time_that_is_none_are_refused(place: int) -> None:
    personas = filled([("a", post(1, 0))])
    kept = msgspec.msgpack.decode(personas.to_bytes())
    kept[place] = [["a", "p2", float("nan")]] if place == 1 else float("nan")
    with pytest.raises(ValueError, match="time"):
        personas.restore(msgspec.msgpack.encode(kept))
    personas.sweep(1_000)
    assert len(personas) == 0


def test_the_thread_of_the_event_is_no_history() -> None:
    personas = filled([("a", post(1, 10, thread="event"))])
    assert personas.as_of("a", at(20)) is None
    assert personas.as_of("a", at(20, thread="other")) is not None


def test_recent_posts_weigh_more() -> None:
    glad = RememberedPost(89.0, "p2", "t2", "sun", {"sentiment": (0.0, 0.0, 1.0)})
    personas = Personas(PersonaLimits(half_life_s=10), nobody)
    personas.add("a", post(1, 79))
    personas.add("a", glad)
    found = personas.as_of("a", at(89.5))
    assert found is not None
    assert found.means["sentiment"] == pytest.approx((0.7 / 3, 0.2 / 3, 2.1 / 3))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (RememberedPost(float("nan"), "p", "t", "", {}), "posted_at"),
        (RememberedPost(1.0, "", "t", "", {}), "post_id"),
        (RememberedPost(1.0, "p", "t", "half \ud800", {}), "half a character"),
        (RememberedPost(1.0, "p", "t", "", {"participation": (1.0, 0, 0, 0, 0)}), "participation"),
        (RememberedPost(1.0, "p", "t", "", {"sentiment": (1.0,)}), "1 classes, not 3"),
        (RememberedPost(1.0, "p", "t", "", {"sentiment": (1.0, float("nan"), 0)}), "no probab"),
    ],
)
def test_what_cannot_be_of_a_persona_is_refused_by_name(bad: RememberedPost, why: str) -> None:
    personas = Personas(LIMITS, nobody)
    with pytest.raises(ValueError, match=why):
        personas.add("a", bad)
    assert len(personas) == 0


def test_no_time_to_sweep_by_is_refused() -> None:
    with pytest.raises(ValueError, match="now nan"):
        filled([("a", post(1, 10))]).sweep(float("nan"))


def test_strange_bytes_are_refused_and_nothing_is_lost() -> None:
    personas = filled([("a", post(1, 10))])
    before = personas.to_bytes()
    for strange in (b"", b"\x93\x01\x02\x03", before[:-3]):
        with pytest.raises(ValueError, match="no personas"):
            personas.restore(strange)
    assert personas.to_bytes() == before


@pytest.mark.parametrize("bad", [{"used_posts": 65}, {"text_s": 0.0}, {"half_life_s": 0.0}])
def test_limits_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PersonaLimits(**bad)  # type: ignore[arg-type]
