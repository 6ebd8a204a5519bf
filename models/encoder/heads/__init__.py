"""How each head of `core.heads` is trained: a file each, found by its name, without torch.

A new head is a row of that table and a file here that says `TRAINING`; `layers` has the networks.
"""

from core.errors import ConfigError
from core.heads import TABLE
from core.registry import Registry
from models.encoder.heads.base import HeadTraining, OfficialTest

HEADS = Registry("head")
for _spec in TABLE:
    HEADS.add(_spec.name, f"models.encoder.heads.{_spec.name}:TRAINING")


def training_of(head: str) -> HeadTraining:
    """The training side of a head.

    Raises:
        ConfigError: there is no such head.
    """
    found: HeadTraining = HEADS.get(head)
    return found


def official_test(head: str) -> OfficialTest:
    """The test that a head is measured on.

    Raises:
        ConfigError: there is no such head, or it has no test.
    """
    found = training_of(head).test
    if found is None:
        raise ConfigError(f"head {head!r} has no official test, so there is nothing to measure")
    return found
