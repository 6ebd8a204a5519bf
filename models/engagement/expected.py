"""The tensors that an engagement model has to have, by the sizes that it chose for itself.

A size is read off one tensor of the model, and every other one is held against it. Shapes: `F`
features, `E` networks that are averaged.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.layout import LEVELS, TARGETS
from models.tensors import tensor_fault

OUTPUTS: Final = len(TARGETS) * len(LEVELS)
PAST_WIDTH: Final = len(SEQUENCE) + len(TARGETS)
OF_INPUTS: Final = ("centre", "scale", "missing")
_Shapes = dict[str, tuple[int, ...]]
_Tensors = Mapping[str, Any]


def check_perceptron(tensors: _Tensors) -> None:
    """Refuse what are no tensors of a perceptron.

    Raises:
        ValueError: With the tensor, what it is and what was expected.
    """
    layers = max(1, sum(re.fullmatch(r"b\d+", name) is not None for name in tensors))
    networks = _size(tensors, "b0", 0)
    widths = [_input_width(tensors), *(_size(tensors, f"b{layer}", 1) for layer in range(layers))]
    widths[-1] = OUTPUTS
    shapes = _of_inputs(tensors)
    for layer in range(layers):
        shapes[f"w{layer}"] = (networks, widths[layer], widths[layer + 1])
        shapes[f"b{layer}"] = (networks, widths[layer + 1])
    _check(tensors, shapes)


def check_transformer(tensors: _Tensors) -> int:
    """Refuse what are no tensors of a transformer; return its number of layers.

    Raises:
        ValueError: With the tensor, what it is and what was expected.
    """
    width = _size(tensors, "post_b1", 0)
    shapes = _of_inputs(tensors)
    for what, inputs in (("past", PAST_WIDTH), ("post", _input_width(tensors))):
        inner = _size(tensors, f"{what}_b0", 0)
        shapes |= {f"{what}_w0": (inputs, inner), f"{what}_b0": (inner,)}
        shapes |= {f"{what}_w1": (inner, width), f"{what}_b1": (width,)}
    layers = max(1, sum(re.fullmatch(r"l\d+_up_b", name) is not None for name in tensors))
    for layer in range(layers):
        shapes |= _of_layer(f"l{layer}", width, _size(tensors, f"l{layer}_up_b", 0))
    shapes |= {"out_w": (width, OUTPUTS), "out_b": (OUTPUTS,)}
    shapes |= {"out_gain": (width,), "out_bias": (width,)}
    _check(tensors, shapes)
    return layers


def _of_layer(name: str, width: int, inner: int) -> _Shapes:
    shapes: _Shapes = {}
    for part, before, after in (
        ("query", width, width), ("key", width, width), ("value", width, width),
        ("mix", width, width), ("up", width, inner), ("down", inner, width),
    ):  # fmt: skip
        shapes |= {f"{name}_{part}_w": (before, after), f"{name}_{part}_b": (after,)}
    for part in ("attend", "feed"):
        shapes |= {f"{name}_{part}_gain": (width,), f"{name}_{part}_bias": (width,)}
    return shapes


def _of_inputs(tensors: _Tensors) -> _Shapes:
    features = len(FEATURES)
    return {
        "centre": (features,),
        "scale": (features,),
        "missing": (_size(tensors, "missing", 0),),
    }


def _input_width(tensors: _Tensors) -> int:
    return len(FEATURES) + _size(tensors, "missing", 0)


def _size(tensors: _Tensors, name: str, axis: int) -> int:
    """Return a size of a tensor; 0 of one that is not there or has no such axis."""
    shape = np.shape(tensors.get(name, ()))
    return shape[axis] if axis < len(shape) and name in tensors else 0


def _check(tensors: _Tensors, shapes: _Shapes) -> None:
    if wrong := tensor_fault(tensors, shapes, whole=("missing",)):
        raise ValueError(wrong)
    if empty := next(
        (name for name, shape in shapes.items() if name != "missing" and 0 in shape), ""
    ):
        raise ValueError(f"has nothing in {empty}")
    missing = np.asarray(tensors["missing"])
    if ((missing < 0) | (missing >= len(FEATURES))).any():
        raise ValueError(f"has a number in missing that is of no feature, of {len(FEATURES)}")
