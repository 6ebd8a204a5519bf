"""How fast the bare model is: no server, no broker, all texts sorted by length. No torch.

    python -m evaluation.encoder.bench_bare --texts posts.txt --json bare.json

The yardstick of the end-to-end benchmarks: same engine, same texts, same machine. Identical
texts are scored every time (no cache); language is not judged.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigError
from core.report import write_report
from evaluation.options import BUILT, JsonFile, Repository, Texts, Threads
from models.encoder.config import load_config
from models.serving.normalise import normalise
from models.serving.place import built_model
from models.serving.post_encoder import TOKENIZER_FILE
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine

REPEATS: Final = 3


def bare_throughput(
    texts: Sequence[str], model_folder: Path, threads: int = 0, repeats: int = REPEATS
) -> dict[str, float]:
    """Return the posts/s of normalising, tokenising and inference over all texts as one window.

    Args:
        texts: Posts; at least one.
        model_folder: Version folder of a built model, such as `post_encoder/1`.
        threads: Inference threads; 0 means all cores.
        repeats: Timed rounds after one round that is not timed.

    Raises:
        ConfigError: There are no texts, there is no built model, or openvino is not installed.
    """
    if not texts:
        raise ConfigError("there is no text to measure with")
    config = load_config(model_folder)
    tokenizer = TextTokenizer(model_folder / TOKENIZER_FILE, config.max_tokens)
    engine, _ = open_engine(model_folder, config, threads=threads)
    rates, tokens = [], 0
    for _ in range(repeats + 1):
        started = time.perf_counter()
        token_ids = tokenizer.encode([normalise(text) for text in texts])
        engine.infer(token_ids)
        rates.append(len(texts) / (time.perf_counter() - started))
        tokens = sum(len(ids) for ids in token_ids)
    timed = rates[1:]
    return {
        "posts_per_s": statistics.median(timed),
        "posts_per_s_least": min(timed),
        "posts_per_s_most": max(timed),
        "posts": len(texts),
        "tokens_per_post": tokens / len(texts),
    }


def main(
    texts: Texts,
    json_file: JsonFile = None,
    repository: Repository = BUILT,
    threads: Threads = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = REPEATS,
) -> None:
    """Measure the bare model on the posts of a file."""
    try:
        posts = texts.read_text(encoding="utf-8").splitlines()
        folder = built_model(repository)
        if not folder.is_dir():
            raise ConfigError(f"{folder} does not exist: run `groundswell models build`")
        figures = bare_throughput(posts, folder, threads, repeats)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    typer.echo(
        f"{figures['posts_per_s']:,.0f} posts/s ({figures['posts_per_s_least']:,.0f} to "
        f"{figures['posts_per_s_most']:,.0f}), {figures['tokens_per_post']:.1f} tokens a post"
    )
    if json_file is not None:
        packages = ("openvino", "numpy", "tokenizers")
        settings = {"threads": threads, "repeats": repeats, "texts": texts.name}
        write_report(
            json_file,
            "evaluation.encoder.bench_bare",
            figures,
            settings=settings,
            packages=packages,
        )


if __name__ == "__main__":
    typer.run(main)
