"""Scorers, engagement and crowd models, and responders by name: places of functions of settings."""

import os

from core.registry import Registry

# Whoever asks a server over gRPC and starts programs must not have its handlers run in the child:
# under load one start in seven died by them (SIGSEGV) before the program began. Read by gRPC when
# it first opens a channel.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

SCORERS = Registry("scorer")
"""Each takes the `scorer` settings and returns a `core.ports.Scorer`."""
SCORERS.add("triton", "models.scorers.triton:from_settings")
SCORERS.add("openvino", "models.scorers.openvino_scorer:from_settings")
SCORERS.add("fake", "testkit.scorers.fake:from_settings")

ENGAGEMENT = Registry("engagement model")
"""Each takes the `forecasts` and `scorer` settings and returns a `core.ports.EngagementModel`."""
ENGAGEMENT.add("triton", "models.scorers.engagement_triton:from_settings")
ENGAGEMENT.add("in_process", "models.scorers.engagement_in_process:from_settings")
ENGAGEMENT.add("fake", "testkit.scorers.engagement:from_settings")

RESPONDERS = Registry("responder")
"""Each takes the `responder` and `scorer` settings and returns a `core.ports.Responder`."""
RESPONDERS.add("triton", "models.scorers.responder_triton:from_settings")
RESPONDERS.add("in_process", "models.scorers.responder_in_process:from_settings")
RESPONDERS.add("fake", "testkit.scorers.responder:from_settings")

CROWDS = Registry("crowd model")
"""Each takes the `scorer` settings and returns a `core.ports.CrowdModel`."""
CROWDS.add("triton", "models.scorers.crowd_triton:from_settings")
CROWDS.add("in_process", "models.scorers.crowd_in_process:from_settings")
CROWDS.add("fake", "testkit.scorers.crowd:from_settings")
