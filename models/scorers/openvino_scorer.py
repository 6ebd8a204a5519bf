"""The built model inside this process: tests, small installations, and parity with Triton.

Runs in the model server's environment (openvino, tokenizers).
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from core.errors import ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.logs import get_logger
from core.ports import ScoreBatch
from core.settings import ScorerSettings
from models.scorers.edge import Asked, checked
from models.serving.place import FIRST_VERSION, built_model
from models.serving.post_encoder import PostEncoderService, open_service

_log = get_logger(__name__)


class OpenVinoScorer:
    """Satisfies `core.ports.Scorer` with one thread of its own for the model."""

    def __init__(self, service: PostEncoderService, timeout_s: float = 30.0) -> None:
        self._service = service
        self._timeout_s = timeout_s
        # One thread: the engine itself uses all cores, and takes one batch at a time.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="openvino-scorer")
        self._is_closed = False

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """See `Scorer.score_batch`."""
        if self._is_closed:
            raise ScorerUnavailable("the in-process scorer was closed")
        loop = asyncio.get_running_loop()
        scoring = loop.run_in_executor(self._executor, self._service.score, texts, langs)
        try:
            scored = await asyncio.wait_for(scoring, self._timeout_s)
        except TimeoutError as error:
            raise ScorerTimedOut(
                f"the in-process model took longer than {self._timeout_s:g} s for "
                f"{len(texts)} posts"
            ) from error
        except Exception as error:
            # The message of the cause could quote a post.
            raise ScorerRefused(
                f"the in-process model failed with {type(error).__name__} on {len(texts)} posts"
            ) from error
        asked = Asked("the in-process model", len(texts), self._service.heads)
        return checked(asked, self._service.version, scored.rated, scored.heads, scored.routes)

    async def is_ready(self) -> bool:
        """Whether it was not closed; the model is loaded at construction."""
        return not self._is_closed

    async def close(self) -> None:
        """Wait for the batch in work, if any, and end the thread."""
        self._is_closed = True
        await asyncio.to_thread(self._executor.shutdown, wait=True)


def from_settings(settings: ScorerSettings) -> OpenVinoScorer:
    """The registry's entry: a model of `scorer.repository`.

    Raises:
        ConfigError: it was not built, or no engine can run it here.
    """
    version = settings.version or FIRST_VERSION
    folder = built_model(settings.repository, settings.model, version)
    service = open_service(folder, settings.threads, engine=settings.engine)
    if service.choice is not None:
        _log.info("the model runs in this process", engine=service.choice.said())
    return OpenVinoScorer(service, settings.timeout_s)
