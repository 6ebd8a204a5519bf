"""What is told to people of a shift: terms, example posts, a sentence. Pure functions.

Texts come in and never go out: an alert carries terms that many people used, and ids of posts.
"""

from __future__ import annotations

from stream.shifts.explanation.alerts import to_alert
from stream.shifts.explanation.examples import ExampleCandidate, choose_examples
from stream.shifts.explanation.sentences import sentence
from stream.shifts.explanation.terms import telling_terms, term_counts

__all__ = [
    "ExampleCandidate",
    "choose_examples",
    "sentence",
    "telling_terms",
    "term_counts",
    "to_alert",
]
