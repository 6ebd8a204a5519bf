"""The crowd model inside this process: tests, evaluation, and the bits of Triton's."""

from typing import Final

from core.errors import ScorerRefused, ScorerUnavailable
from core.ports import CrowdAnswer, CrowdQuestions
from core.settings import ScorerSettings
from models.scorers.crowd_edge import as_sent, checked_crowd
from models.scorers.edge import Asked
from models.serving.crowd import CrowdService, open_crowd
from models.serving.place import built_model

_WHO: Final = "the crowd model in this process"


class InProcessCrowd:
    """Satisfies `core.ports.CrowdModel`."""

    def __init__(self, service: CrowdService) -> None:
        self._service = service
        self._is_closed = False

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """See `CrowdModel.expect`."""
        if self._is_closed:
            raise ScorerUnavailable(f"{_WHO} was closed")
        try:
            said = self._service.expect(as_sent(questions))
        except Exception as error:
            raise ScorerRefused(
                f"{_WHO} failed with {type(error).__name__} on {len(questions.texts)} questions"
            ) from error
        asked = Asked(_WHO, len(questions.texts), ())
        return checked_crowd(asked, said.model_version, said.forecast, said.reaction)

    async def is_ready(self) -> bool:
        """Whether it was not closed; the model is loaded at construction."""
        return not self._is_closed

    async def close(self) -> None:
        """Answer no more."""
        self._is_closed = True


def from_settings(scorer: ScorerSettings) -> InProcessCrowd:
    """The registry's entry: the model of `scorer.repository`.

    Raises:
        ConfigError: It was not built, or its files are not those that were.
    """
    return InProcessCrowd(open_crowd(built_model(scorer.repository, "crowd")))
