"""Heads by name: one file each, one line here."""

from core.registry import Registry

HEADS = Registry("head")
HEADS.add("sentiment", "models.encoder.heads.sentiment:SentimentHead")
