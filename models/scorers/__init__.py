"""Scorers by name; each entry takes the `scorer` settings and returns a `core.ports.Scorer`."""

from core.registry import Registry

SCORERS = Registry("scorer")
SCORERS.add("triton", "models.scorers.triton:from_settings")
SCORERS.add("openvino", "models.scorers.openvino_scorer:from_settings")
SCORERS.add("fake", "testkit.scorers.fake:from_settings")
