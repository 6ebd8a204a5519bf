"""Where things are: the files that the program ships with, and the folder that it may write to.

`deploy/`, `configs/` and `requirements/` lie beside the packages in a checkout and in an image; in
a wheel `setup.py` puts what is needed of them into `core/shipped/`. Each file is in the tree once.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Final

HOME_VARIABLE: Final = "GROUNDSWELL_HOME"
CATALOG: Final = "configs/queries.toml"
"""The catalog of queries, below the current folder."""
_PACKAGES: Final = Path(str(files("core"))).resolve()


def home() -> Path:
    """Return the folder of everything that is fetched, built and stored; it need not exist.

    `GROUNDSWELL_HOME` names it; else it is `.groundswell` in the current folder.
    """
    return Path(os.environ.get(HOME_VARIABLE) or ".groundswell").absolute()


def checkout() -> Path | None:
    """Return the root of the source tree that this program runs from; None if it is installed."""
    root = _PACKAGES.parent
    return root if (root / "pyproject.toml").is_file() else None


def shipped(*parts: str) -> Path:
    """Return the path of a file that the program ships with, such as `deploy/redis/redis.conf`."""
    packed = _PACKAGES / "shipped"
    return (packed if packed.is_dir() else _PACKAGES.parent).joinpath(*parts)


def runbooks() -> str:
    """Return the address of this machine's copy of what stands before `docs/runbooks/…`."""
    return f"{shipped().as_uri()}/"


def catalog_file(path: str = CATALOG) -> Path:
    """Return the catalog of queries; the shipped one where the usual one is not there."""
    found = Path(path)
    return shipped(CATALOG) if path == CATALOG and not found.exists() else found


def importable() -> Path:
    """Return a folder that holds our packages and nothing else, for another interpreter's path.

    Beside an installed product lie packages that the model server has in other versions; so there
    it is a folder of links.
    """
    if not (_PACKAGES / "shipped").is_dir():
        return _PACKAGES.parent
    folder = home() / "code"
    folder.mkdir(parents=True, exist_ok=True)
    for package in ("core", "models"):
        link, target = folder / package, _PACKAGES.parent / package
        if link.resolve() != target:
            scratch = folder / f".{package}.{os.getpid()}"
            scratch.symlink_to(target)
            scratch.replace(link)
    return folder
