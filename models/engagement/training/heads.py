"""Head scores of recorded posts, made once by the built post encoder and kept in a cache.

    python -m models.engagement.training.heads --data ../shared/data --sets musk,accounts

Making them wants the model server's environment; reading them, any. A file of the cache is named by
the set, the digest of its file and the version of the encoder, so scores of other posts or of
another encoder are never taken for these. They are kept as the stream has them: in micro-units.
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from core.config import load
from core.errors import ConfigError
from core.folders import home
from core.schemas import MICRO
from models.encoder.config import load_config
from models.engagement.features import HEADS_USED, Floats
from models.engagement.training.sets import EngagementSet, present_sets, read_set, rows_of, set_file
from models.serving.place import built_model

_BATCH: Final = 1_024
_TELL_EVERY: Final = 16
_POSTS_A_SECOND: Final = 400
"""About so many on two cores, for the guess before the first batch is done."""

Scores = tuple[Floats, NDArray[np.bool_]]
"""(N, H) probabilities of `HEADS_USED`, one head after the other, and (N,) whether rated."""


def cache_folder() -> Path:
    """Return the folder of the cache, outside what is committed."""
    return home() / "cache" / "engagement-heads"


def encoder_folder() -> Path:
    """Return the version folder of the built post encoder that the settings name."""
    scorer = load().scorer
    return built_model(scorer.repository, scorer.model)


def cache_file(posts: EngagementSet, version: str, cache: Path) -> Path:
    """Return where the scores of a set by a version of the encoder are kept."""
    return cache / f"{posts.name}-{posts.digest[:12]}-{version.replace('/', '_')}.npz"


def head_scores(
    data: Path, posts: EngagementSet, cache: Path | None = None, encoder: Path | None = None
) -> Scores:
    """Return the head scores of the posts of a set; they are made where the cache has none.

    Raises:
        ConfigError: The encoder was not built, or there is nothing to run it with here.
    """
    folder = encoder or encoder_folder()
    version = load_config(folder).version
    path = cache_file(posts, version, cache or cache_folder())
    if not path.is_file():
        _make(set_file(data, posts.name), folder, path)
    with np.load(path) as kept:
        micro, rated = kept["heads"], kept["rated"]
    heads = micro.astype(np.float32) / np.float32(MICRO)
    return heads[posts.rows], rated[posts.rows]


def _make(posts: Path, encoder: Path, into: Path) -> None:
    """Score every row of a file, tell how far it is, and keep the result."""
    from models.serving.post_encoder import open_service

    service = open_service(encoder)
    texts = [row["text"] for row in rows_of(posts)]
    name = posts.parent.name
    _say(f"{name}: scoring {len(texts)} posts, about {len(texts) / _POSTS_A_SECOND:.0f} s")
    started, columns, rated = time.monotonic(), [], []
    for step, start in enumerate(range(0, len(texts), _BATCH)):
        scored = service.score(batch := texts[start : start + _BATCH], [""] * len(batch))
        of_heads = np.concatenate([scored.heads[head] for head in HEADS_USED], axis=1)
        columns.append(np.rint(of_heads.astype(np.float64) * MICRO).astype(np.int32))
        rated.append(scored.rated)
        if step % _TELL_EVERY == 0:
            done, spent_s = start + len(batch), time.monotonic() - started
            left_s = spent_s / done * (len(texts) - done)
            _say(f"{name}: {done} of {len(texts)} posts, {left_s:.0f} s left")
    into.parent.mkdir(parents=True, exist_ok=True)
    scratch = into.with_suffix(".part.npz")
    np.savez_compressed(scratch, heads=np.concatenate(columns), rated=np.concatenate(rated))
    scratch.replace(into)
    size = into.stat().st_size / 1e6
    _say(f"{name}: {len(texts)} posts in {time.monotonic() - started:.0f} s, {size:.0f} MB {into}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    sets: Annotated[str, typer.Option(help="Comma-separated; else all that are there.")] = "",
    cache: Annotated[Path | None, typer.Option(help="Folder of the scores.")] = None,
    encoder: Annotated[Path | None, typer.Option(help="Version folder of the encoder.")] = None,
) -> None:
    """Make the head scores of sets where the cache has none."""
    try:
        for name in sets.split(",") if sets else present_sets(data):
            head_scores(data, read_set(data, name), cache, encoder)
    except ConfigError as error:
        _say(str(error))
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
