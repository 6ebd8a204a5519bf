"""Heads by name: one file each, one line here."""

from core.registry import Registry

HEADS = Registry("head")
HEADS.add("sentiment", "models.encoder.heads.sentiment:SentimentHead")
HEADS.add("emotion", "models.encoder.heads.emotion:EmotionHead")
HEADS.add("topics", "models.encoder.heads.topics:TopicsHead")
HEADS.add("participation", "models.encoder.heads.participation:ParticipationHead")
HEADS.add("problem", "models.encoder.heads.problem:ProblemHead")
