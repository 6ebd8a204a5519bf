"""The engagement model as Triton's python backend runs it; the repository's `model.py` imports it.

Inputs, one row a post: `FEATURES` (F) and `SEQUENCE` (32, S), float32. Outputs: `QUANTILES` (3, 5)
and `MODEL_VERSION`, row by row, as of the post encoder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from models.engagement.features import Floats
from models.serving.end_with_server import end_with_server
from models.serving.engagement import open_engagement


class TritonEngagementModel:
    """Called by Triton: once to load, then with the requests of one dynamic batch at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version folder that Triton names."""
        end_with_server()
        self._service = open_engagement(Path(args["model_repository"]) / args["model_version"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; a row has the same numbers in any of them."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        features, sequence = (
            pb.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("FEATURES", "SEQUENCE")
        )
        try:
            quantiles: Floats = self._service.predict(features, sequence)
        except Exception as error:  # whatever it is, this batch is refused and the server lives on
            refusal = pb.TritonError(
                f"the model failed with {type(error).__name__}", pb.TritonError.INVALID_ARG
            )
            return pb.InferenceResponse(output_tensors=[], error=refusal)
        versions = np.full((len(quantiles), 1), self._service.version, np.object_)
        return pb.InferenceResponse(
            output_tensors=[pb.Tensor("QUANTILES", quantiles), pb.Tensor("MODEL_VERSION", versions)]
        )
