"""How one person reacts: what is known says something, what is not says nothing."""

import numpy as np
import pytest

from models.socialalign.reaction import AnsweredPost, PastReactions, feature_count, fit_reactions


def answered(person: str, post: str = "so?", author: str = "a") -> AnsweredPost:
    return AnsweredPost("topic", person, author, post)


def past() -> PastReactions:
    """Of two persons one is always against, the other always for."""
    found = PastReactions(3)
    for number in range(10):
        found.learn(answered("cross", f"p{number}"), "", 0)
        found.learn(answered("glad", f"p{number}"), "", 2)
    return found


def test_a_model_learns_that_people_stay_as_they_are() -> None:
    known = past()
    asked = [answered("cross"), answered("glad")] * 20
    model = fit_reactions(known.features(asked), np.array([0, 2] * 20), 3)
    cross, glad, nobody = model.shares(
        known.features([answered("cross"), answered("glad"), answered("nobody")])
    )
    assert cross[0] > nobody[0] > glad[0]
    assert glad[2] > nobody[2] > cross[2]
    assert np.sum(nobody) == pytest.approx(1)


def test_the_same_name_under_another_topic_is_another_person() -> None:
    elsewhere = AnsweredPost("other", "cross", "a", "so?")
    stranger = AnsweredPost("other", "nobody", "a", "so?")
    found = past().features([elsewhere, stranger])
    np.testing.assert_array_equal(found[0], found[1])


def test_nothing_that_comes_later_changes_what_was_known() -> None:
    known = past()
    before = known.features([answered("cross")])
    assert before.shape == (1, feature_count(3))
    again = past()
    np.testing.assert_array_equal(again.features([answered("cross")]), before)
    again.learn(answered("cross"), "later", 2)
    assert not np.array_equal(again.features([answered("cross")]), before)


def test_an_answer_is_known_again_when_others_answer_it() -> None:
    known = past()
    known.learn(answered("cross", "so?"), "never!", 0)
    moved = known.features([answered("x", "never!")]) - known.features([answered("x", "newer!")])
    assert np.abs(moved).max() > 0.1


def test_the_event_itself_is_no_post_that_was_answered() -> None:
    known = PastReactions(3)
    known.learn(answered("x", "", ""), "one", 0)
    known.learn(answered("y", "", ""), "two", 0)
    features = known.features([answered("z", "", "")])
    # Only the usual shares move; nothing was said of a post, an author or this person.
    assert np.abs(features[0, 3:]).max() == 0


def test_fitting_finds_the_shares_where_nothing_else_is_known() -> None:
    model = fit_reactions(np.zeros((10, 4)), np.array([0] * 7 + [1] * 3), 2)
    assert model.shares(np.zeros((1, 4)))[0].tolist() == pytest.approx([0.7, 0.3], abs=1e-3)


def test_no_posts_have_no_features_and_a_label_that_is_none_is_refused() -> None:
    assert past().features([]).shape == (0, feature_count(3))
    with pytest.raises(ValueError, match="label 3: expected one of 0 to 2"):
        past().learn(answered("x"), "", 3)
