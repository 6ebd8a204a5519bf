"""The crowd model as Triton's python backend runs it; the repository's `model.py` imports it.

Inputs, one row a question: `USUAL` (3), `HEADS` (7), `SEEN` (7, 3) and `FLAGS` (2), float32, and
`TEXT` (1), UTF-8, as `core.ports.CrowdQuestions`. Outputs: `FORECAST` (3), `REACTION` (3) and
`MODEL_VERSION`, row by row, as of the post encoder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from core.ports import CrowdQuestions
from models.serving.crowd import open_crowd
from models.serving.end_with_server import end_with_server

_NUMBERS = ("USUAL", "HEADS", "SEEN", "FLAGS")


class TritonCrowdModel:
    """Called by Triton: once to load, then with the requests of one dynamic batch at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version folder that Triton names."""
        end_with_server()
        self._service = open_crowd(Path(args["model_repository"]) / args["model_version"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; a row has the same numbers in any of them."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        usual, heads, seen, flags, texts = (
            pb.get_input_tensor_by_name(request, name).as_numpy() for name in (*_NUMBERS, "TEXT")
        )
        try:
            said = [text.decode("utf-8", "replace") for text in texts.reshape(-1)]
            answer = self._service.expect(CrowdQuestions(usual, heads, seen, flags, said))
        except Exception as error:  # whatever it is, this batch is refused and the server lives on
            # Never the message: it could quote a post.
            refusal = pb.TritonError(
                f"the model failed with {type(error).__name__}", pb.TritonError.INVALID_ARG
            )
            return pb.InferenceResponse(output_tensors=[], error=refusal)
        versions = np.full((len(said), 1), answer.model_version, np.object_)
        return pb.InferenceResponse(output_tensors=[
            pb.Tensor("FORECAST", answer.forecast), pb.Tensor("REACTION", answer.reaction),
            pb.Tensor("MODEL_VERSION", versions),
        ])  # fmt: skip
