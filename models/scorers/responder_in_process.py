"""The responder inside this process: tests, small installations, and the bits of Triton's.

Runs in the model server's environment (openvino), in a thread, one post after the other.
"""

import asyncio

from core.errors import ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.ports import Generated
from core.responder_settings import ResponderSettings
from core.settings import ScorerSettings
from models.popalm.columns import reply_columns
from models.popalm.config import check_question
from models.scorers.edge import Asked
from models.scorers.responder_edge import checked_replies
from models.serving.place import FIRST_VERSION, built_model
from models.serving.responder import ResponderService, open_responder

_WHO = "the responder in this process"


class InProcessResponder:
    """Satisfies `core.ports.Responder`."""

    def __init__(self, service: ResponderService) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def reply(self, text: str, number: int, seed: int) -> Generated:
        """See `Responder.reply`."""
        check_question(number, seed)
        async with self._turn:
            if self._is_closed:
                raise ScorerUnavailable(f"{_WHO} was closed")
            try:
                made = await asyncio.to_thread(self._service.reply, text, number, seed)
            except ScorerTimedOut:
                raise
            except Exception as error:
                raise ScorerRefused(f"{_WHO} failed with {type(error).__name__}") from error
        asked = Asked(_WHO, 1, (), self._service.version)
        return checked_replies(asked, text, number, seed, reply_columns(made))

    async def is_ready(self) -> bool:
        """Whether it was not closed; the model is loaded at construction."""
        return not self._is_closed

    async def close(self) -> None:
        """Answer no more."""
        self._is_closed = True


def from_settings(responder: ResponderSettings, scorer: ScorerSettings) -> InProcessResponder:
    """The registry's entry: the responder of `scorer.repository`.

    Raises:
        ConfigError: It was not built, its files are not those that were, or openvino is missing.
    """
    folder = built_model(scorer.repository, responder.model, responder.version or FIRST_VERSION)
    return InProcessResponder(open_responder(folder, responder.threads))
