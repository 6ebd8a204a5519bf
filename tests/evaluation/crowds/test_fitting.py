"""What is fitted is what is served: the tensors of a fit make a model that says what was learnt."""

import random

import numpy as np

from core.ports import CrowdQuestions
from evaluation.crowds.before_answers import HeadedEvent
from evaluation.crowds.fitting import heads_tensors, reaction_tensors
from evaluation.crowds.reactions import GivenAnswer
from evaluation.crowds.served import questions_of, served_shares
from models.serving.crowd import CrowdService
from models.socialalign.crowd_config import HEAD_CLASSES, CrowdConfig
from models.socialalign.reaction import AnsweredPost, PastReactions


def answers() -> list[GivenAnswer]:
    """Return answers of thirty persons who stay as they are."""
    draws, found = random.Random(3), []
    for _row in range(600):
        person = draws.randrange(30)
        answered = AnsweredPost("t", str(person), f"post {draws.randrange(99)}", "author")
        found.append(GivenAnswer(answered, ("bad", "so so", "good")[person % 3], person % 3))
    return found


def events() -> list[HeadedEvent]:
    """Return events whose crowds are as their first head says."""
    rng, found = np.random.default_rng(4), []
    for _row in range(90):
        heads = rng.uniform(size=HEAD_CLASSES)
        shares = np.array([heads[0], 0.2, 1 - heads[0]])
        found.append(HeadedEvent("reddit", "t", heads, 20 * shares / shares.sum()))
    return found


def test_fitted_tensors_are_those_of_a_model_and_say_what_was_learnt() -> None:
    tensors, penalty = heads_tensors(events())
    assert penalty > 0
    known = answers()
    service = CrowdService(CrowdConfig(version="v"), tensors | reaction_tensors(known))
    past = PastReactions(3)
    for one in known:
        past.learn(one.answered, one.text, one.label)
    asked = questions_of(past, [AnsweredPost("t", person, "post 1", "author") for person in "012"])
    assert service.expect(asked).reaction.argmax(axis=1).tolist() == [0, 1, 2]
    heads = np.full((2, HEAD_CLASSES), 0.5, np.float32)
    heads[:, 0] = 0.05, 0.95
    pair = CrowdQuestions(asked.usual[:2], heads, asked.seen[:2], asked.flags[:2], ["", ""])
    calm, angry = service.expect(pair).forecast
    assert angry[0] > calm[0] + 0.3


def test_the_shipped_model_is_asked_in_any_number_at_once() -> None:
    past = PastReactions(3)
    one = AnsweredPost("t", "p", "a post", "a")
    past.learn(one, "an answer", 2)
    found = served_shares(past, [one] * 300)
    assert found.shape == (300, 3)
    assert (found == found[0]).all()
    assert served_shares(past, []).shape == (0, 3)
