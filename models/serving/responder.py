"""A loaded responder: used by Triton's model, by the twin in this process, by the command line.

Writes more candidates than are asked for, refuses what may not be shown (`models.popalm.safety`),
and puts the rest in order by one judge.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ConfigError, ScorerTimedOut
from core.ports import Generated
from models.backbone import sha256_of
from models.popalm.config import (
    REWARD_FOLDER,
    ResponderConfig,
    as_sent,
    check_question,
    load_responder_config,
)
from models.popalm.decoding import Candidate, Decoder
from models.popalm.folding import words_of
from models.popalm.reward import WEIGHTS_FILE
from models.popalm.safety import post_fault, reply_fault, tidied
from models.serving.place import check_bits
from models.serving.reply_judge import Judge, by_likelihood, by_reward

_WARM_UP: Final = "What a day."


@dataclass(slots=True)
class ResponderService:
    """A responder that answers in this thread, one post at a time.

    Attributes:
        config: What it is.
        decoder: What writes.
        judge: What puts candidates in order.
    """

    config: ResponderConfig
    decoder: Decoder
    judge: Judge = by_likelihood

    @property
    def version(self) -> str:
        """The model version that every answer carries."""
        return self.config.version

    def warm_up(self) -> None:
        """Answer once, so that the first post does not wait for memory and kernels.

        On a machine that is too busy for an answer in time that is given up, as any answer is: a
        model that could not be loaded would keep its server, and all its models, from being ready.
        """
        with suppress(ScorerTimedOut):
            self.reply(_WARM_UP, 2, 0)

    def reply(self, text: str, number: int, seed: int) -> Generated:
        """Write replies to a post; see `core.ports.Responder.reply`.

        Raises:
            ValueError: `number` or `seed` are outside their ranges.
            ScorerTimedOut: It took too long.
        """
        check_question(number, seed)
        post = as_sent(text)
        if fault := post_fault(post):
            return Generated(self.version, (), (), {fault: 1}, seed)
        written = self.decoder.write(
            post, number * self.config.spare, seed, self.config.sampling, self.config.limit_s
        )
        kept, refused = _sifted(post, written)
        scores = self.judge(post, kept) if kept else ()
        order = sorted(range(len(kept)), key=lambda at: -scores[at])[:number]
        return Generated(
            self.version,
            tuple(kept[at].text for at in order),
            tuple(float(scores[at]) for at in order),
            dict(refused),
            seed,
        )


def _sifted(post: str, written: Sequence[Candidate]) -> tuple[list[Candidate], Counter[str]]:
    """Return the candidates that may be shown, tidied, and the number of others by reason."""
    kept, refused, said = list[Candidate](), Counter[str](), set[tuple[str, ...]]()
    for one in written:
        text = tidied(one.text, one.has_ended)
        # Signs that are not seen are looked for in what was written, not in what is left of it.
        reason = reply_fault(post, text) if text or not one.text.strip() else "unfinished"
        words = tuple(words_of(text))
        if not reason and words in said:
            reason = "twin"
        if reason:
            refused[reason] += 1
            continue
        said.add(words)
        one.text = text
        kept.append(one)
    return kept, refused


def open_responder(folder: Path, threads: int = 0) -> ResponderService:
    """Load a built responder.

    Args:
        folder: A version folder of a model repository.
        threads: The CPU threads; 0 means the cores that it may use.

    Raises:
        ConfigError: The folder holds no responder, or other files than were built.
    """
    config = load_responder_config(folder)
    check_bits(folder, config.version)
    judge = by_likelihood
    if config.reward:
        place = folder / REWARD_FOLDER
        if (found := sha256_of(place / WEIGHTS_FILE)) != config.reward_sha256:
            raise ConfigError(
                f"{place}: SHA-256 is {found}, expected {config.reward_sha256}: it was changed "
                "after the build; `groundswell models build` makes it anew"
            )
        judge = by_reward(place)
    return ResponderService(config, Decoder(folder, threads), judge)
