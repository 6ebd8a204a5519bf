"""Sentiment of a post: negative, neutral or positive."""

from core.heads import SENTIMENT
from models.encoder.heads.exclusive import ExclusiveHead


class SentimentHead(ExclusiveHead):
    """Three exclusive classes.

    Balanced, since negatives are 16 % of the training posts and 32 % of the test, and the
    official metric is recall averaged over classes.
    """

    name = "sentiment"
    labels = SENTIMENT
