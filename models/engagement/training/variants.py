"""What is trained: a network, a loss, a scaling, and the settings of a run; one file a variant."""

from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from core.errors import ConfigError

Network = Literal["mlp", "gru", "transformer", "trees"]
Loss = Literal["mae", "mse", "huber", "quantile"]
Scaling = Literal["author", "log", "robust"]

VARIANTS: Final = Path(__file__).resolve().parent / "variants"


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant of the engagement model.

    Attributes:
        network: The network.
        loss: Of the point. The steps between quantiles are always fitted by pinball loss.
        scaling: What the network predicts: `author` is the log less the author's base, `log` the
            log itself, `robust` the log less the median of training over its quartile distance.
        weights: What the posts of a set count for, times the usual; 1 where it is not named.
        rows: So many posts of a set are trained on at most, drawn by chance.
        widths: Of hidden layers of an MLP; of other networks, the width of a place.
        layers: Of a transformer or GRU.
        heads: Of attention.
        epochs: Passes over the posts.
        batch: Posts in a step.
        learning_rate: At its highest; it falls to zero by a cosine.
        dropout: Share of numbers that are left out while training.
        weight_decay: Of AdamW.
        members: So many networks of an MLP are averaged.
        shrink: What a served point keeps of its distance to the author's base: below one it errs
            less on authors whom it does not know well, and a little more on the mean.
        trees: Iterations of boosting.
        leaves: Leaves of a tree at most.
        seed: Of every chance.
    """

    network: Network
    loss: Loss = "mae"
    scaling: Scaling = "author"
    weights: dict[str, float] = {}
    rows: int = 60_000
    widths: tuple[int, ...] = (128, 64)
    layers: int = 1
    heads: int = 4
    epochs: int = 6
    batch: int = 512
    learning_rate: float = 2e-3
    dropout: float = 0.1
    weight_decay: float = 1e-4
    members: int = 1
    shrink: float = 1.0
    trees: int = 200
    leaves: int = 31
    seed: int = 15


def variant_of(name: str) -> Variant:
    """Return a variant by the name of its file, or by its path.

    Raises:
        ConfigError: There is none, or it has a field that is unknown or wrong.
    """
    path = Path(name) if name.endswith(".json") else VARIANTS / f"{name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Variant)
    except FileNotFoundError as error:
        known = ", ".join(sorted(found.stem for found in VARIANTS.glob("*.json")))
        raise ConfigError(f"no variant {name!r}; expected one of {known}, or a file") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
