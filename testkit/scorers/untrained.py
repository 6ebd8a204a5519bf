"""Engagement models of random numbers, and posts to ask them about."""

import csv
import gzip
import itertools
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engagement.config import EngagementConfig
from models.engagement.expected import OUTPUTS, PAST_WIDTH
from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.layout import OUTCOMES
from models.serving.engagement import EngagementService

Floats = NDArray[np.float32]


def inputs(chance: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return the tensors that scale the features."""
    return {
        "centre": chance.normal(0, 1, len(FEATURES)).astype(np.float32),
        "scale": chance.uniform(0.5, 2, len(FEATURES)).astype(np.float32),
        "missing": np.arange(0, len(FEATURES), 3),
    }


def tensor(chance: np.random.Generator, *shape: int) -> Floats:
    """Return random weights, or biases."""
    return (chance.normal(0, 1, shape) / np.sqrt(shape[-2] if len(shape) > 1 else 4)).astype(
        np.float32
    )


def perceptron_tensors(seed: int = 0, members: int = 2) -> dict[str, NDArray[Any]]:
    """Return the tensors of a small perceptron."""
    chance = np.random.default_rng(seed)
    found = inputs(chance)
    widths = [len(FEATURES) + len(found["missing"]), 24, 12, OUTPUTS]
    for layer, (before, after) in enumerate(pairwise(widths)):
        found[f"w{layer}"] = tensor(chance, members, before, after)
        found[f"b{layer}"] = tensor(chance, members, after)
    return found


def transformer_tensors(seed: int = 0, width: int = 16, layers: int = 2) -> dict[str, NDArray[Any]]:
    """Return the tensors of a small transformer."""
    chance = np.random.default_rng(seed)
    found = inputs(chance)
    of_post = len(FEATURES) + len(found["missing"])
    for what, before in (("past", PAST_WIDTH), ("post", of_post)):
        found |= {f"{what}_w0": tensor(chance, before, width), f"{what}_b0": tensor(chance, width)}
        found |= {f"{what}_w1": tensor(chance, width, width), f"{what}_b1": tensor(chance, width)}
    for layer in range(layers):
        for name, before, after in (
            ("query", width, width), ("key", width, width), ("value", width, width),
            ("mix", width, width), ("up", width, 2 * width), ("down", 2 * width, width),
        ):  # fmt: skip
            found[f"l{layer}_{name}_w"] = tensor(chance, before, after)
            found[f"l{layer}_{name}_b"] = tensor(chance, after)
        for name in ("attend", "feed"):
            found[f"l{layer}_{name}_gain"] = 1 + tensor(chance, width)
            found[f"l{layer}_{name}_bias"] = tensor(chance, width)
    found |= {"out_w": tensor(chance, width, OUTPUTS), "out_b": tensor(chance, OUTPUTS)}
    return found | {"out_gain": 1 + tensor(chance, width), "out_bias": tensor(chance, width)}


def service(kind: str, seed: int = 0) -> EngagementService:
    """Return an untrained model of a kind, ready to be asked."""
    if kind == "mlp":
        config = EngagementConfig(version="untrained-1", kind="mlp", horizon_s=86_400)
        return EngagementService(config, perceptron_tensors(seed))
    config = EngagementConfig(version="untrained-2", kind="transformer", horizon_s=86_400, heads=4)
    return EngagementService(config, transformer_tensors(seed))


def posts(number: int, seed: int = 3) -> tuple[Floats, Floats]:
    """Return features and sequences with holes, of authors of no outcome to 32."""
    chance = np.random.default_rng(seed)
    features = chance.normal(2, 3, (number, len(FEATURES))).astype(np.float32)
    features[chance.uniform(size=features.shape) < 0.2] = np.nan
    sequence = chance.normal(0, 2, (number, OUTCOMES, len(SEQUENCE))).astype(np.float32)
    sequence[:, :, SEQUENCE.index("hours_before")] = np.abs(sequence[:, :, 3])
    sequence[chance.uniform(size=sequence.shape[:2]) < 0.3, 1] = np.nan
    known = chance.integers(0, OUTCOMES + 1, number)
    sequence[np.arange(OUTCOMES) < OUTCOMES - known[:, None]] = np.nan
    return features, sequence


def write_set(data: Path, name: str, days: int = 60) -> None:
    """Write a set of three authors, a post a day each, whose replies get fewer likes."""
    chance = np.random.default_rng(5)
    folder = data / f"engagement_{name}"
    folder.mkdir(parents=True)
    with gzip.open(folder / "posts.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("author", "created_at", "text", "likes", "replies", "reposts"))
        for author, day in itertools.product(("ann", "bob", "cid"), range(days)):
            at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)
            text = ("hello", "@you: no!")[day % 2]
            likes = int(chance.integers(20, 40)) // (1 + 5 * (day % 2))
            writer.writerow((author, at.isoformat(), text, likes, "", likes // 2))
