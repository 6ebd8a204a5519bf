"""The responder as Triton's python backend runs it; the repository's `model.py` imports it.

A request is about one post. Inputs: `TEXT` (UTF-8), `NUMBER` int32, `SEED` int64, one of each.
Outputs: `REPLIES` (n) as UTF-8 and `SCORES` (n) float32, best first; `REASONS` (r) and `REFUSED`
(r) int32, how many candidates were refused by reason; `DRAWN_BY` int64, the seed; `MODEL_VERSION`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

from core.errors import ScorerTimedOut
from core.giving_way import give_way
from models.popalm.columns import reply_columns
from models.serving.end_with_server import end_with_server
from models.serving.responder import open_responder


class TritonResponderModel:
    """Called by Triton: once to load, then with one request after the other."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version folder that Triton names, at a low priority.

        Replies may be late, scores may not: both are made on the same cores.
        """
        end_with_server()
        give_way()  # before the engine makes its threads, which are as nice as who makes them
        parameters = json.loads(args["model_config"]).get("parameters", {})
        threads = int(parameters.get("threads", {}).get("string_value", "0"))
        folder = Path(args["model_repository"]) / args["model_version"]
        self._service = open_responder(folder, threads)
        self._service.warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            text, number, seed = (
                pb.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)[0]
                for name in ("TEXT", "NUMBER", "SEED")
            )
            made = self._service.reply(text.decode("utf-8", "replace"), int(number), int(seed))
        except ScorerTimedOut:
            return _refusal("timeout expired: the decoder was too slow", pb.TritonError.UNAVAILABLE)
        except Exception as error:  # whatever it is, this post is refused and the server lives on
            # Never the message: it could quote a post.
            what = f"the model failed with {type(error).__name__}"
            return _refusal(what, pb.TritonError.INVALID_ARG)
        columns = reply_columns(made)
        return pb.InferenceResponse(output_tensors=[pb.Tensor(*one) for one in columns.items()])


def _refusal(what: str, status: Any) -> Any:
    return pb.InferenceResponse(output_tensors=[], error=pb.TritonError(what, status))
