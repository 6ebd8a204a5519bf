"""What the encoder answers to every post that its student learns from, asked once and kept.

    python -m models.student.labelling --data ../shared/data --out .groundswell/training/student

Runs on the built model, without torch. The answers lie in parts beside one another; a run that was
cut off asks only for the parts that are missing. Of a post its word pieces are kept, no text.

Shapes: `N` posts of a part, `L` logits of a head.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from core.errors import ConfigError
from core.model_version import served_version
from models.encoder.config import EncoderConfig, load_config
from models.serving.engines import LOGITS_PREFIX, InferenceEngine
from models.serving.language import LanguageGate, count_letters
from models.serving.normalise import normalise
from models.serving.place import built_model
from models.serving.post_encoder import TOKENIZER_FILE
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine
from models.student.texts import texts_to_ask

PART_POSTS: Final = 2_048
ANSWERS: Final = "answers"
"""The folder of the parts, inside that of a training."""
RECORD_FILE: Final = "record.json"

Part = Mapping[str, NDArray[Any]]


def readable(texts: Sequence[str], config: EncoderConfig, gate: LanguageGate) -> list[str]:
    """Return the normalised texts, each once, that the encoder would read."""
    normalised = dict.fromkeys(normalise(text) for text in texts)
    return [
        text
        for text in normalised
        if count_letters(text) >= config.min_letters and gate.admits(text, "")
    ]


def ask(texts: Sequence[str], tokenizer: TextTokenizer, engine: InferenceEngine) -> Part:
    """Return the pieces of normalised texts, one after another, their counts and all logits."""
    ids = tokenizer.encode(texts)
    found: dict[str, NDArray[Any]] = {
        "pieces": np.concatenate([np.asarray(each, np.uint16) for each in ids]),
        "counts": np.asarray([len(each) for each in ids], np.int32),
    }
    outputs = engine.infer(ids)
    return found | {n: v for n, v in outputs.items() if n.startswith(LOGITS_PREFIX)}


def _parts(texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    for source, each in texts.items():
        for number, start in enumerate(range(0, len(each), PART_POSTS)):
            yield f"{source}-{number:03}.npz", each[start : start + PART_POSTS]


def label(
    texts: Mapping[str, Sequence[str]],
    folder: Path,
    version: str,
    tokenizer: TextTokenizer,
    engine: InferenceEngine,
) -> dict[str, Any]:
    """Ask about every post of every source, parts that are there left alone; return the record.

    Args:
        texts: Source -> normalised texts.
        folder: Of the parts; made when it is not there.
        version: Of the model that is asked.
        tokenizer: Of that model.
        engine: Of that model.

    Raises:
        ConfigError: The folder has answers of another model or to other posts.
    """
    digest = sha256(json.dumps(texts, sort_keys=True, default=list).encode()).hexdigest()
    record = {
        "teacher": version,
        "posts": {source: len(each) for source, each in texts.items()},
        "texts_sha256": digest,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RECORD_FILE
    if file.is_file() and json.loads(file.read_text()) != record:
        raise ConfigError(f"{folder} has answers of another model or to other posts: remove it")
    file.write_text(json.dumps(record, indent=2) + "\n")
    parts = list(_parts(texts))
    for name, each in track(parts, "asking the encoder", console=Console(stderr=True)):
        if not (folder / name).is_file():
            fresh = folder / "new.part"
            arrays: dict[str, Any] = dict(ask(each, tokenizer, engine))
            with fresh.open("wb") as opened:
                np.savez(opened, **arrays)
            fresh.replace(folder / name)
    return record


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    repository: Annotated[Path, typer.Option(help="Model repository with the built encoder.")],
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 means all.")] = 0,
) -> None:
    """Ask the built encoder about every post that the student learns from; run again to go on."""
    folder = built_model(repository)
    try:
        config = load_config(folder)
        gate = LanguageGate(config.languages)
        texts = {
            source: readable(each, config, gate) for source, each in texts_to_ask(data).items()
        }
        tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
        engine, choice = open_engine(folder, config, threads=threads)
        version = served_version(config.version, choice.engine)
        record = label(texts, out / ANSWERS, version, tokenizer, engine)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    for source, posts in record["posts"].items():
        typer.echo(f"{source}: {posts:,} posts")


if __name__ == "__main__":
    typer.run(main)
