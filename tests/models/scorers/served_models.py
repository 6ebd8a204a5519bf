"""What the tests of small models that are served share: closing, being away, being built again."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from core.errors import ConfigError, ScorerUnavailable


class Closable(Protocol):
    async def is_ready(self) -> bool: ...

    async def close(self) -> None: ...


Model = TypeVar("Model", bound=Closable)


@contextlib.asynccontextmanager
async def closing(model: Model) -> AsyncIterator[Model]:
    try:
        yield model
    finally:
        await model.close()


async def answers_no_more_when_closed(
    model: Model, ask: Callable[[Model], Awaitable[object]]
) -> None:
    await model.close()
    await is_away(model, ask)


async def is_away(model: Model, ask: Callable[[Model], Awaitable[object]]) -> None:
    assert not await model.is_ready()
    with pytest.raises(ScorerUnavailable):
        await ask(model)


def is_built_again_when_changed(
    place: Path, build: Callable[[], tuple[str, bool]], open_it: Callable[[], object]
) -> str:
    """Change a byte of built weights: not opened, built again; returns Triton's configuration."""
    version, was_current = build()
    assert was_current
    text = (place / "config.pbtxt").read_text()
    assert f'string_value: "{version}"' in text
    tensors = place / "1" / "model.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ConfigError, match="changed after the build"):
        open_it()
    assert build() == (version, False)
    assert tensors.read_bytes() == whole
    return text
