"""What the metrics show of the crowds that are followed: sums over events, nothing of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.heads import SENTIMENT
from core.metrics import Metrics
from services.responder.followed import FollowedEvent


def show_crowds(
    events: Iterable[FollowedEvent], named: Callable[[str], str], metrics: Metrics
) -> None:
    """Set means of the shares that are expected and seen, and the most that was told of a turn.

    Args:
        events: Those that are followed.
        named: Source -> its label.
        metrics: The metrics of this process.
    """
    shown: dict[tuple[str, str, str], list[float]] = {}
    turns: dict[str, float] = {}
    for event in events:
        if event.crowd is None or not (answers := sum(event.crowd.counts)):
            continue
        name = named(event.source)
        if event.told is not None and event.told.crowd is not None:
            evidence = event.told.crowd.turn_evidence
            if evidence is not None:
                turns[name] = max(evidence, turns.get(name, evidence))
        seen = [count / answers for count in event.crowd.counts]
        for what, shares in (("expected", event.crowd.start.forecast), ("observed", seen)):
            for label, share in zip(SENTIMENT, shares, strict=True):
                shown.setdefault((name, what, label), []).append(share)
    metrics.crowd_turn_evidence.clear()
    for name, evidence in turns.items():
        metrics.crowd_turn_evidence.labels(source=name).set(evidence)
    metrics.crowd_share.clear()
    for (source, what, label), shares in shown.items():
        gauge = metrics.crowd_share.labels(source=source, what=what, label=label)
        gauge.set(sum(shares) / len(shares))
