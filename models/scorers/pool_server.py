"""A server of a pool: what the pool needs of its client, and what it knows of it."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from core.retry import Backoff


class Client(Protocol):
    """What the pool needs of a server's client."""

    async def is_ready(self) -> bool:
        """Whether the server answers and has loaded the model."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Answer(Protocol):
    """What the pool needs of an answer."""

    @property
    def model_version(self) -> str:
        """The model that made it."""
        ...


C = TypeVar("C", bound=Client)
A = TypeVar("A", bound=Answer)


@dataclass(slots=True, eq=False)
class Server(Generic[C]):
    """A server and what the pool knows of it.

    Attributes:
        url: Its address.
        client: Asks it.
        pauses: How long it is left out, next time.
        in_flight: Posts that it was sent and has not answered.
        taken: The number of the last call that it was taken for.
        why_out: Why it is left out; "" while it is in use.
        out_until: It is not asked before, by the monotonic clock.
        is_held: It is left out for its model version alone.
        answers: How many calls it has answered.
        version: What it last answered; "" while that is not known.
        is_doubted: A call of it takes so long that another server is asked as well.
    """

    url: str
    client: C
    pauses: Backoff
    in_flight: int = 0
    taken: int = 0
    why_out: str = ""
    out_until: float = 0.0
    is_held: bool = False
    answers: int = 0
    version: str = ""
    is_doubted: bool = False
