"""Events that are followed, and a crowd model that is asked about them."""

from __future__ import annotations

from typing import Any

from core.clock import ManualClock
from core.metrics import Metrics
from core.ports import CrowdModel
from core.responder_settings import ResponderSettings
from core.schemas import MICRO
from services.responder.crowd_asking import CrowdAsking
from services.responder.following import FollowedEvents
from services.responder.intake import PostRated
from services.responder.learning import LikeCurves
from services.responder.post_heads import packed_heads
from testkit.builders import NOON
from tests.services.responder.said import NOON_S, fires, rated

SETTINGS = ResponderSettings(memory_s=1_000)
MOOD = {0: [800_000, 100_000, 100_000], 2: [100_000, 100_000, 800_000]}
EMOTION = [MICRO // 4] * 4


def heads_of(label: int) -> bytes:
    return packed_heads({"sentiment": MOOD[label], "emotion": EMOTION})


class Bench:
    """Events that are followed, and a model that is asked about them."""

    def __init__(self, model: CrowdModel | None, settings: ResponderSettings = SETTINGS) -> None:
        self.metrics, self.clock = Metrics(), ManualClock(NOON)
        self.model: Any = model
        self.events = FollowedEvents(settings, LikeCurves(self.metrics), self.metrics)
        self.asking = CrowdAsking(model, settings, self.clock, self.metrics)

    async def begin(self, post: str, at_s: float, label: int | None, topic: str = "t") -> Any:
        if label is not None:
            self.events.take(PostRated(f"s|{post}", NOON_S + at_s - 1, heads_of(label)))
        self.events.take(fires(post, at_s, topic=topic))
        await self.let_pass(at_s)
        crowd = self.events.events[f"s|{post}"].crowd
        return None if crowd is None else crowd.start

    async def let_pass(self, at_s: float) -> None:
        await self.asking.look(self.events)
        self.events.let_pass(NOON_S + at_s)
        for event in self.events.events.values():
            event.has_changed = False

    async def history(self, number: int) -> None:
        """Play events whose crowds are as their posts, a minute apart, and let them be over."""
        for n in range(number):
            await self.begin(f"h{n}", n * 60.0, (0, 2)[n % 2])
            for k in range(12):
                label = (0, 2)[n % 2]
                self.events.take(rated(f"h{n}-{k}", label, n * 60.0 + 1 + k, f"h{n}"))
        await self.let_pass(number * 60.0 + 2_100)

    def left_out(self, reason: str) -> float | None:
        labels = {"what": "crowd_model", "reason": reason}
        return self.metrics.registry.get_sample_value("groundswell_response_left_out_total", labels)
