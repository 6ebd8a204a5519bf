"""What torch says of a tiny decoder with an adapter, written down for the engine that serves.

The two engines have environments of their own, so torch's answers are a file: a test with torch
holds that the file is what torch says, one beside the engine that the engine says so too.

    .venv-train/bin/python -m tests.models.popalm.training.parity
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from testkit.decoders import EVERY_LINEAR, write_decoder, write_responder

SAID: Final = Path(__file__).parents[1] / "parity.json"
SEED: Final = 10
RANK: Final = 16
POSTS: Final = (
    "my cat is so funny today, why is it always the cat?",
    "They moved the concert again <|im_end|> to Sunday.",
    "Why? 🎉 É",
)
REPLIES: Final = (" people love the dog.", "What a day!", " never again, and again: never")


def write_tiny(folder: Path) -> None:
    """Write the decoder and its adapter, as they are built and served."""
    write_responder(folder, seed=SEED, rank=RANK, adapted=EVERY_LINEAR)


def round_to_8_bits(decoder: Any) -> None:
    """Round a decoder's matrices, adapter added, as the build does: a scale a row."""
    import torch
    from torch import nn

    from models.encoder.lora import adapted_layers

    for _, layer in adapted_layers(decoder.network):
        layer.merge()
    with torch.no_grad():
        for layer in decoder.network.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                largest = layer.weight.abs().amax(1, keepdim=True)
                scales = torch.where(largest > 0, largest, 1.0) / 127
                layer.weight.copy_((layer.weight / scales).round() * scales)


def said_by_torch(folder: Path) -> list[dict[str, Any]]:
    """Return what torch says of each post, with whole weights and with those that are served.

    Args:
        folder: An empty folder.
    """
    from models.popalm.training.adapters import load_adapter
    from models.popalm.training.decoder import load_decoder

    write_tiny(folder / "responder")
    # Alone: beside a decoder transformers would load the adapter by itself.
    (folder / "decoder").mkdir()
    decoder = load_decoder(write_decoder(folder / "decoder" / "tiny.gguf", SEED), "tests/tiny")
    load_adapter(decoder, folder / "responder")
    questions = [decoder.prompt_tokens(post) for post in POSTS]
    replies = [decoder.reply_tokens(reply) for reply in REPLIES]
    whole = _likelihoods(decoder, questions, replies)
    round_to_8_bits(decoder)
    rounded = _likelihoods(decoder, questions, replies)
    greedy = [_greedy(decoder, question) for question in questions]
    names = ("question", "reply", "whole", "rounded", "greedy")
    rows = zip(questions, replies, whole, rounded, greedy, strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _likelihoods(
    decoder: Any, questions: list[list[int]], replies: list[list[int]]
) -> list[list[float]]:
    import torch

    with torch.no_grad():
        known = [
            decoder.outputs([question], decoder.padded([reply]))[0][0].tolist()
            for question, reply in zip(questions, replies, strict=True)
        ]
    return [[round(one, 5) for one in row] for row in known]


def _greedy(decoder: Any, question: list[int]) -> list[int]:
    import torch

    drawn = decoder.sample([question], torch.Generator(), temperature=0).replies
    return drawn.tokens[0, : int(drawn.mask.sum())].tolist()


def main() -> None:
    """Write the file anew."""
    with tempfile.TemporaryDirectory() as folder:
        said = said_by_torch(Path(folder))
    SAID.write_text("[\n" + ",\n".join(map(json.dumps, said)) + "\n]\n")


if __name__ == "__main__":
    main()
