"""How fast the built model is, by batch and by length, and what its heads cost. No server.

    python -m evaluation.encoder.bench_model --texts posts.txt --json model.json

The whole path of a post (normalise, tokenise, infer, calibrate) through `PostEncoderService`, with
the cache off. What is compared takes turns inside every round, so that a machine that slows down
slows all of it: a ratio is taken within a round. Posts are tagged with the model's first language,
so the language identifier is not in it.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec.structs import replace

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.caching import cached_share
from evaluation.encoder.cascade import sent_share
from evaluation.encoder.engine_frontier import figures_of, frontier, table
from evaluation.options import BUILT, JsonFile, Repository, Texts, Threads
from models.encoder.config import load_config
from models.serving.candidates import SHIPPED, candidate
from models.serving.engines import EMBEDDING, LOGITS_PREFIX, OpenVinoEngine
from models.serving.normalise import normalise
from models.serving.place import built_model
from models.serving.post_encoder import (
    TOKENIZER_FILE,
    PostEncoderService,
    open_service,
)
from models.serving.tokenise import TextTokenizer

BATCHES: Final = (1, 4, 16, 64, 256, 1_024)
LENGTHS: Final = (8, 16, 32, 64, 128)
"""Upper ends of the length buckets, in tokens."""
BUCKET_BATCH: Final = 64
POSTS_A_ROUND: Final = 1_024
"""Of each batch size in one round, but no more than `CALLS` calls."""
CALLS: Final = 16


def open_services(
    folder: Path, threads: int = 0
) -> tuple[PostEncoderService, PostEncoderService, TextTokenizer]:
    """Return the built model with all heads, with its first head alone, and its tokenizer.

    Both on the engine that can leave heads out, whichever is chosen here. The one-head model is the
    same network with the other heads' outputs cut off.

    Raises:
        ConfigError: There is no model built for CPU, or openvino is not installed.
    """
    network = candidate(SHIPPED).place(folder)
    if not network.is_file():
        raise ConfigError(f"{folder} holds no model built for CPU: run `groundswell models build`")
    config = load_config(folder)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    first = config.heads[0]
    alone = OpenVinoEngine(network, threads, only=(EMBEDDING, LOGITS_PREFIX + first.name))
    whole = OpenVinoEngine(network, threads)
    one_head = replace(config, heads=(first,), confidence_head=first.name)
    return (
        PostEncoderService(config, tokenizer, whole, cached=0),
        PostEncoderService(one_head, tokenizer, alone, cached=0),
        tokenizer,
    )


def by_batch(
    service: PostEncoderService, texts: Sequence[str], rounds: int, posts: int = POSTS_A_ROUND
) -> dict[str, float]:
    """Return latency (ms, median and 95 %) and posts/s of calls of each batch size."""
    taken: dict[int, list[float]] = {size: [] for size in BATCHES}
    lang = service.config.languages[0]
    for round_number in range(rounds):
        for size in BATCHES:
            for call in range(_calls(size, posts)):
                batch = _window(texts, (round_number * CALLS + call) * size, size)
                started = time.perf_counter()
                service.score(batch, [lang] * size)
                taken[size].append(time.perf_counter() - started)
    return {
        name: value
        for size in BATCHES
        for name, value in _figures(f"batch_{size}", size, taken[size]).items()
    }


def by_length(
    service: PostEncoderService,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    rounds: int,
    posts: int = POSTS_A_ROUND,
) -> dict[str, float]:
    """Return the same of batches of `BUCKET_BATCH` posts of one length bucket."""
    lang = service.config.languages[0]
    filled = {most: _of_length(tokenizer, texts, most) for most in LENGTHS}
    taken: dict[int, list[float]] = {most: [] for most in LENGTHS}
    for round_number in range(rounds):
        for most in LENGTHS:
            batch = _window(filled[most], round_number * BUCKET_BATCH, BUCKET_BATCH)
            for _ in range(max(1, _calls(BUCKET_BATCH, posts) // 4)):
                started = time.perf_counter()
                service.score(batch, [lang] * BUCKET_BATCH)
                taken[most].append(time.perf_counter() - started)
    return {
        name: value
        for most in LENGTHS
        for name, value in _figures(f"tokens_to_{most}", BUCKET_BATCH, taken[most]).items()
    }


def head_cost(
    whole: PostEncoderService, alone: PostEncoderService, texts: Sequence[str], rounds: int
) -> dict[str, float]:
    """Return the posts/s and processor time with all heads and with one, and each round's ratio.

    Processor time hardly depends on what else the machine does; it is what a busy one is judged by.
    """
    lang = whole.config.languages[0]
    rates: dict[str, list[float]] = {"all": [], "one": []}
    used: dict[str, list[float]] = {"all": [], "one": []}
    for round_number in range(rounds):
        order = [("all", whole), ("one", alone)]
        # Who goes first changes, as the second finds the machine as the first has left it.
        for name, service in order if round_number % 2 else reversed(order):
            started, spent = time.perf_counter(), time.process_time()
            service.score(texts, [lang] * len(texts))
            rates[name].append(len(texts) / (time.perf_counter() - started))
            used[name].append((time.process_time() - spent) / len(texts) * 1e6)
    ratios = [a / b for a, b in zip(rates["all"], rates["one"], strict=True)]
    by_cpu = [b / a for a, b in zip(used["all"], used["one"], strict=True)]
    return {
        "heads": len(whole.config.heads),
        "all_heads_posts_per_s": statistics.median(rates["all"]),
        "one_head_posts_per_s": statistics.median(rates["one"]),
        "all_over_one_ratio": statistics.median(ratios),
        "all_over_one_ratio_least": min(ratios),
        "all_over_one_ratio_most": max(ratios),
        "all_heads_cpu_us": statistics.median(used["all"]),
        "one_head_cpu_us": statistics.median(used["one"]),
        "all_over_one_cpu_ratio": statistics.median(by_cpu),
        "all_over_one_cpu_ratio_least": min(by_cpu),
        "all_over_one_cpu_ratio_most": max(by_cpu),
    }


def _calls(size: int, posts: int) -> int:
    return max(1, min(CALLS, posts // size))


def _window(texts: Sequence[str], start: int, size: int) -> list[str]:
    return [texts[(start + place) % len(texts)] for place in range(size)]


def _figures(name: str, posts: int, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    middle = statistics.median(ordered)
    return {
        f"{name}_ms": middle * 1000,
        f"{name}_p95_ms": ordered[max(0, -(-len(ordered) * 95 // 100) - 1)] * 1000,
        f"{name}_posts_per_s": posts / middle,
    }


def _of_length(tokenizer: TextTokenizer, texts: Sequence[str], most: int) -> list[str]:
    """Return twice `BUCKET_BATCH` texts of no more than `most` tokens and not far below it."""
    words = " ".join(texts).split()
    made: list[str] = []
    at = 0
    while len(made) < 2 * BUCKET_BATCH:
        size = max(1, most // 2)
        while True:
            text = " ".join(words[(at + place) % len(words)] for place in range(size))
            tokens = len(tokenizer.encode([normalise(text)])[0])
            if tokens <= most or size == 1:
                break
            size -= 1
        made.append(text)
        at += size
    return made


def measure(
    texts: Sequence[str],
    folder: Path,
    threads: int = 0,
    rounds: int = 3,
    posts: int = POSTS_A_ROUND,
) -> dict[str, float]:
    """Return all figures of a built model over these texts.

    Args:
        texts: The posts: at least one, better some hundreds and no two alike.
        folder: The version folder of a built model, such as `post_encoder/1`.
        threads: The number of inference threads; 0 means all cores.
        rounds: The number of timed rounds after one that is not timed.
        posts: The number of posts of each batch size in one round, about.

    Raises:
        ConfigError: There are no texts, there is no built model, or openvino is not installed.
    """
    if not texts:
        raise ConfigError("there is no text to measure with")
    whole, alone, tokenizer = open_services(folder, threads)
    served = open_service(folder, threads, cached=0)
    for service in (whole, alone, served):
        service.warm_up()
    head_cost(whole, alone, texts, 1)
    return {
        "posts": len(texts),
        **by_batch(served, texts, rounds, posts),
        **by_length(served, tokenizer, texts, rounds, posts),
        **head_cost(whole, alone, texts, rounds),
    }


def main(
    texts: Texts,
    json_file: JsonFile = None,
    repository: Repository = BUILT,
    threads: Threads = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 3,
    posts_a_round: Annotated[
        int, typer.Option(min=1, help="Of each batch size, about.")
    ] = POSTS_A_ROUND,
    stream: Annotated[
        Path | None, typer.Option(help="Posts of a stream in order: how many the cache knows.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data sets, for what each engine loses on held-out posts.")
    ] = None,
) -> None:
    """Measure the built model on the posts of a file."""
    try:
        posts = texts.read_text(encoding="utf-8").splitlines()
        folder = built_model(repository)
        figures = measure(posts, folder, threads, rounds, posts_a_round)
        if stream is not None:
            figures["cached_share"] = cached_share(stream.read_text("utf-8").splitlines())
        engine = open_service(folder, threads).choice
        name = engine.engine if engine is not None else ""
        rows, refused = frontier(folder, posts, rounds, data, threads)
        figures |= figures_of(rows, name)
        figures["cascade.sent_share"] = sent_share(folder, posts, threads)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    for figure, value in figures.items():
        typer.echo(f"{figure:<40} {value:>12,.3f}")
    shown = table(rows, name, refused)
    typer.echo(shown)
    if json_file is not None:
        settings = {"threads": threads, "rounds": rounds, "texts": texts.name, "engine": name}
        _write(json_file, figures, settings, rows, shown)


def _write(
    file: Path,
    figures: dict[str, float],
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    shown: str,
) -> None:
    write_report(
        file, "evaluation.encoder.bench_model", figures, settings=settings,
        packages=("openvino", "onnxruntime", "numpy", "tokenizers"),
        tables={"engines": rows}, notes=shown.splitlines(),
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
