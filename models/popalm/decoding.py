"""A built decoder that writes: one post is read once, and all candidates go on from there at once.

On OpenVINO, in fp32 with weights in 8 bits (`network`). A candidate that ends falls out of the
batch. What is drawn follows from post, number and seed alone: time runs out for a whole post or
not at all, as a reply that depends on how busy the machine was could not be made again.

Shapes: `B` candidates, `T` tokens, `V` pieces.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.cores import usable_cores
from core.errors import ConfigError, ScorerTimedOut
from models.popalm.prompt import (
    HEAD,
    MAX_POST_TOKENS,
    MAX_REPLY_TOKENS,
    STOP,
    TAIL,
    as_data,
)
from models.popalm.sampling import Sampling, draw, log_softmax

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NETWORK_FILE: Final = "model.xml"
TOKENIZER_FILE: Final = "tokenizer.json"
Clock = Callable[[], float]
"""Seconds that only grow."""


@dataclass(slots=True)
class Candidate:
    """What was written, before anybody has looked at it.

    Attributes:
        tokens: Its pieces, without the one that ends it.
        log_probabilities: What the decoder gave each of them, and the end if it came.
        has_ended: Whether it ended by itself, not by the number of tokens.
        text: Its text.
    """

    tokens: list[int] = field(default_factory=list[int])
    log_probabilities: list[float] = field(default_factory=list[float])
    has_ended: bool = False
    text: str = ""

    @property
    def likelihood(self) -> float:
        """The mean of its log-probabilities: the length is taken out."""
        return sum(self.log_probabilities) / max(len(self.log_probabilities), 1)


class PostReader:
    """Makes of a post what the decoder is asked, as numbers of pieces.

    Args:
        tokenizer: What cuts texts into pieces.

    Raises:
        ConfigError: It does not know the mark that ends a turn.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        stop = tokenizer.token_to_id(STOP)
        if stop is None:
            raise ConfigError(f"the vocabulary has no {STOP}: expected one of a chat decoder")
        self.tokenizer = tokenizer
        self.stop = stop
        # No text of ours is made of them, so no reply may be: they would speak for somebody else.
        added = tokenizer.get_added_tokens_decoder()
        self.forbidden = sorted(number for number in added if number != stop)
        self._marks = set(added)
        self._head, self._tail = self._pieces(HEAD), self._pieces(TAIL)

    def _pieces(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def tokens(self, post: str) -> list[int]:
        """Return the question about a post, cut to `MAX_POST_TOKENS`; no mark is left in it."""
        pieces = [one for one in self._pieces(as_data(post)) if one not in self._marks]
        return [*self._head, *pieces[:MAX_POST_TOKENS], *self._tail]

    def text(self, tokens: Sequence[int]) -> str:
        """Return what pieces spell; a character that is not whole is left out."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True).replace("\ufffd", "")


class Decoder:
    """A decoder of a version folder. One call at a time.

    Args:
        folder: Where its network and its vocabulary are.
        threads: The CPU threads; 0 means the cores that this process may use.
        clock: What time is told by.

    Raises:
        ConfigError: Files are missing or of another kind, or openvino is not installed.
    """

    def __init__(self, folder: Path, threads: int = 0, clock: Clock = time.monotonic) -> None:
        try:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # the library raises nothing more specific
            raise ConfigError(f"{folder / TOKENIZER_FILE} cannot be read: {error}") from error
        self.reader = PostReader(tokenizer)
        self._request = _compiled(folder / NETWORK_FILE, threads).create_infer_request()
        self._clock = clock

    def write(
        self, post: str, number: int, seed: int, sampling: Sampling, limit_s: float = np.inf
    ) -> list[Candidate]:
        """Write candidates; the same arguments give the same ones.

        Args:
            post: The text of the post.
            number: How many candidates there are.
            seed: What they are drawn by.
            sampling: How they are drawn.
            limit_s: How long it may take; what is not done by then is given up as a whole.

        Raises:
            ScorerTimedOut: It took longer.
        """
        end_s = self._clock() + limit_s
        rng = np.random.default_rng([seed, number])
        logits = np.repeat(self.read(post), number, axis=0)
        candidates = [Candidate() for _ in range(number)]
        rows, going = np.zeros(number, np.int32), list(candidates)
        for _step in range(MAX_REPLY_TOKENS):
            if self._clock() > end_s:
                raise ScorerTimedOut(f"no reply within {limit_s:g} s: the machine is too busy")
            pieces = self._next(logits, going, sampling, rng)
            kept = np.flatnonzero(pieces != self.reader.stop)
            going = [going[row] for row in kept]
            if not going or len(going[0].tokens) == MAX_REPLY_TOKENS:
                break
            logits = self._infer(pieces[kept][:, None], rows[kept])
            rows = np.arange(len(going), dtype=np.int32)
        for one in candidates:
            one.text = self.reader.text(one.tokens)
        return candidates

    def _next(
        self,
        logits: NDArray[np.float32],
        going: Sequence[Candidate],
        sampling: Sampling,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Draw a piece for each candidate and note it there."""
        said = log_softmax(logits)
        allowed = said.copy()
        allowed[:, self.reader.forbidden] = -np.inf
        pieces = draw(allowed, sampling, rng)
        for one, piece, row in zip(going, pieces, said, strict=True):
            one.log_probabilities.append(float(row[piece]))
            one.has_ended = bool(piece == self.reader.stop)
            if not one.has_ended:
                one.tokens.append(int(piece))
        return pieces

    def log_probabilities(self, post: str, reply: Sequence[int]) -> list[float]:
        """Return what the decoder gives each piece of a reply to a post, piece by piece."""
        found, logits = list[float](), self.read(post)
        for piece in reply:
            found.append(float(log_softmax(logits)[0, piece]))
            logits = self._infer(np.array([[piece]], np.int64), np.zeros(1, np.int32))
        return found

    def read(self, post: str) -> NDArray[np.float32]:
        """Forget what was read, read a post; return (1, V) logits of the reply's first piece."""
        self._request.reset_state()
        self._seen = 0
        return self._infer(np.array([self.reader.tokens(post)], np.int64), np.zeros(1, np.int32))

    def _infer(self, tokens: NDArray[np.int64], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return (B, V) logits of what follows (B, T) further tokens of rows of the last call."""
        new = tokens.shape[1]
        whole = self._seen + new
        # A token sees itself and those before it.
        mask = np.triu(np.full((new, whole), -np.inf, np.float32), self._seen + 1)
        found: Any = self._request.infer(
            {
                "tokens": tokens,
                "positions": np.arange(self._seen, whole),
                "mask": mask,
                "rows": rows,
            }
        )
        self._seen = whole
        return np.array(next(iter(found.values())), np.float32)


def _compiled(network: Path, threads: int) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "the responder needs openvino, which is in the model server's environment: use "
            "responder.kind = 'triton', or run this with .venv-server/bin/python"
        ) from error
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        # The cores are shared with the broker, the store and the workers.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
    }
    try:
        return openvino.Core().compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise ConfigError(f"{network} cannot be loaded: {str(error)[:200]}") from error
