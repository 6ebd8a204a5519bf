"""The model as Triton's python backend runs it; the repository's `model.py` only imports this.

Inputs, one row per post: `TEXT` (UTF-8) and `LANG` (BCP-47 or empty). Outputs: `RATED`, one
array of calibrated probabilities per head, `MODEL_VERSION`, and `EMBEDDING` when asked for. Where a
student answers too, `ROUTE` says how each post was answered and `COST` its share of the seconds.
The version travels with the scores, row by row, so a score cannot be taken for one of another
model when the server is replaced behind a long-lived connection.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from models.serving.end_with_server import end_with_server
from models.serving.engine_choice import AUTO
from models.serving.post_encoder import PostEncoderService, ScoredTexts, open_service

TEXT, LANG = "TEXT", "LANG"
RATED, VERSION, EMBEDDING = "RATED", "MODEL_VERSION", "EMBEDDING"
ROUTE, COST = "ROUTE", "COST"


def _strings(request: Any, name: str) -> list[str]:
    """Texts of an input (B, 1); bytes that are not UTF-8 become replacement characters."""
    values = pb.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [value.decode("utf-8", "replace") for value in values]


class TritonPythonModel:
    """Called by Triton: once to load, then with the requests of one dynamic batch at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version folder that Triton names."""
        end_with_server()
        parameters = json.loads(args["model_config"]).get("parameters", {})
        threads = int(parameters.get("threads", {}).get("string_value", "0"))
        folder = Path(args["model_repository"]) / args["model_version"]
        engine = parameters.get("engine", {}).get("string_value", AUTO)
        self._service: PostEncoderService = open_service(folder, threads, engine=engine)
        if self._service.choice is not None:
            pb.Logger.log_info(f"engine: {self._service.choice.said()}")
        self._service.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Score all posts of the batch together: the wider the window, the less padding."""
        texts = [_strings(request, TEXT) for request in requests]
        langs = [_strings(request, LANG) for request in requests]
        wants = [EMBEDDING in request.requested_output_names() for request in requests]
        try:
            scored = self._service.score(
                [text for part in texts for text in part],
                [lang for part in langs for lang in part],
                with_embedding=any(wants),
            )
        except Exception:
            # Only the request at fault may fail: score each by itself.
            return [self._alone(*parts) for parts in zip(texts, langs, wants, strict=True)]
        responses, start = [], 0
        for part, wants_embedding in zip(texts, wants, strict=True):
            rows = slice(start, start + len(part))
            responses.append(self._response(scored, rows, wants_embedding))
            start += len(part)
        return responses

    def _alone(self, texts: list[str], langs: list[str], wants_embedding: bool) -> Any:
        try:
            scored = self._service.score(texts, langs, wants_embedding)
        except Exception as error:  # whatever it is, this batch is refused and the server lives on
            # Never the message: it could quote a post.
            refusal = pb.TritonError(
                f"the model failed with {type(error).__name__}", pb.TritonError.INVALID_ARG
            )
            return pb.InferenceResponse(output_tensors=[], error=refusal)
        return self._response(scored, slice(None), wants_embedding)

    def _response(self, scored: ScoredTexts, rows: slice, wants_embedding: bool) -> Any:
        tensors = [pb.Tensor(RATED, scored.rated[rows].reshape(-1, 1))]
        tensors += [pb.Tensor(name, values[rows]) for name, values in scored.heads.items()]
        if wants_embedding and scored.embedding is not None:
            tensors.append(pb.Tensor(EMBEDDING, np.ascontiguousarray(scored.embedding[rows])))
        if scored.routes is not None:
            tensors.append(pb.Tensor(ROUTE, scored.routes.bits[rows].reshape(-1, 1)))
            # Of a batch's seconds each post has the same part: the parts of a request can be added.
            seconds = np.array([scored.routes.student_s, scored.routes.encoder_s], np.float32)
            share = seconds / np.float32(max(1, len(scored.rated)))
            tensors.append(pb.Tensor(COST, np.tile(share, (len(scored.rated[rows]), 1))))
        versions = np.full((len(scored.rated[rows]), 1), self._service.version, np.object_)
        tensors.append(pb.Tensor(VERSION, versions))
        return pb.InferenceResponse(output_tensors=tensors)
