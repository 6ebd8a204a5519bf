"""How a model of two networks answered posts: bits of a number for each, beside its scores.

No bit is set of a post that neither read. `READ` is set of one that was read, `SENT` when the
larger network answered, `AUDITED` when the post is one of those that it is asked about whatever the
smaller one is sure of; of those `agreed_bit(head)` is set when both decided alike on that head.

Shapes: `B` posts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.heads import HEADS

if TYPE_CHECKING:  # numpy is the caller's; core itself stays without it
    import numpy as np
    from numpy.typing import NDArray

READ: Final = 1
SENT: Final = 2
AUDITED: Final = 4
_FIRST_HEAD: Final = 3
KNOWN: Final = (1 << (_FIRST_HEAD + len(HEADS))) - 1
"""All bits that mean something."""
_PLACES: Final = {head: place for place, head in enumerate(HEADS)}


def agreed_bit(head: str) -> int:
    """Return the bit of a head of `core.heads`."""
    return 1 << (_FIRST_HEAD + _PLACES[head])


@dataclass(frozen=True, slots=True)
class Routes:
    """How the posts of a batch were answered.

    Attributes:
        bits: (B,) of each post.
        student_s: Seconds that the smaller network took, for all of them.
        encoder_s: Seconds that the larger one took.
    """

    bits: NDArray[np.uint16]
    student_s: float = 0.0
    encoder_s: float = 0.0

    def count(self, bit: int) -> int:
        """Return of how many posts a bit is set."""
        return int((self.bits & bit).astype(bool).sum())
