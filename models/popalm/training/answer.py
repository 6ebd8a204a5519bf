"""Let decoders answer posts, for whoever judges the answers without torch.

    python -m models.popalm.training.answer --posts posts.jsonl --out answers --system base \
        --system sft=.groundswell/training/sft/adapter

Posts are a JSON object with `post` on each line, as `python -m evaluation.responses.generation
--write-posts` writes them. Of every system one file `SYSTEM.jsonl` is written, whose lines hold the
answers to one post; what is answered already is not answered again.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import torch
import typer

from core.errors import ConfigError
from models.popalm.base import SMOLLM2_ID
from models.popalm.training import options
from models.popalm.training.adapters import load_adapter
from models.popalm.training.decoder import ReplyDecoder, load_decoder

DRAWS: Final = 3
_SEED: Final = 20171


def answered(
    decoder: ReplyDecoder, posts: Sequence[str], draws: int, seed: int, batch: int
) -> list[list[str]]:
    """Return answers, `draws` to each post; posts of about one length are answered together."""
    prompts = [decoder.prompt_tokens(post) for post in posts]
    order = sorted(range(len(posts)), key=lambda row: len(prompts[row]))
    found: list[list[str]] = [[] for _ in posts]
    started = time.monotonic()
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        generator = torch.Generator(decoder.device).manual_seed(seed * 1_000_003 + start)
        drawn = decoder.sample([prompts[row] for row in rows], generator, draws)
        texts = decoder.texts(drawn.replies)
        for place, row in enumerate(rows):
            found[row] = texts[place * draws : (place + 1) * draws]
        done = start + len(rows)
        left = (time.monotonic() - started) / done * (len(posts) - done)
        sys.stderr.write(f"answered {done} of {len(posts)} posts, {left:.0f} s left\n")
    return found


def read_posts(file: Path) -> list[str]:
    """Read a file of posts.

    Raises:
        ConfigError: It is not there, or a line is not what it should be.
    """
    try:
        posts = [json.loads(line)["post"] for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no file of posts ({error})") from error
    if not posts or not all(isinstance(post, str) for post in posts):
        raise ConfigError(f"{file}: expected a post on each line")
    return posts


def systems_of(named: Sequence[str]) -> Mapping[str, Path | None]:
    """Return the adapter of each system named `NAME` or `NAME=FOLDER`; None for the bare decoder.

    >>> systems_of(["base"])
    {'base': None}
    """
    parts = (one.partition("=") for one in named)
    return {name: Path(folder) if folder else None for name, _, folder in parts}


def main(
    posts: Annotated[Path, typer.Option(help="File of posts to answer.")],
    out: Annotated[Path, typer.Option(help="Folder of answers.")],
    system: Annotated[list[str], typer.Option(help="NAME, or NAME=FOLDER of an adapter.")],
    decoder: options.Decoder = None,
    base: options.Base = SMOLLM2_ID,
    batch: Annotated[int, typer.Option(min=1, help="Posts that are answered together.")] = 16,
    seed: options.Seed = _SEED,
    device: options.Device = "cpu",
    cpu_threads: options.CpuThreads = 2,
) -> None:
    """Write what systems answer to posts, three draws each."""
    torch.set_num_threads(cpu_threads)
    out.mkdir(parents=True, exist_ok=True)
    asked = read_posts(posts)
    for name, adapter in systems_of(system).items():
        file = out / f"{name}.jsonl"
        if file.is_file():
            continue
        loaded = load_decoder(decoder, base)
        if adapter is not None:
            load_adapter(loaded, adapter)
        loaded.network.to(device)
        rows = answered(loaded, asked, DRAWS, seed, batch)
        lines = [
            json.dumps({"post": post, "answers": row})
            for post, row in zip(asked, rows, strict=True)
        ]
        fresh = out / f"{name}.new"
        fresh.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        fresh.replace(file)


if __name__ == "__main__":
    typer.run(main)
