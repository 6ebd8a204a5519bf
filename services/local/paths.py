"""Where the local stack keeps its files, all below one git-ignored folder of the project."""

from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The repository; right because the project is always installed editable (style of deployment
of an application, see the decision on the top-level layout) or copied whole into an image."""


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """Folders and files below the run-time root, `.groundswell/` of the project by default."""

    root: Path = PROJECT_ROOT / ".groundswell"
    shared_cache: Path | None = None
    """A cache elsewhere, for stacks that share one; None puts it below the root."""

    @property
    def cache(self) -> Path:
        """Downloads that survive `--fresh`: the broker's jars."""
        return self.shared_cache or self.root / "cache"

    @property
    def state(self) -> Path:
        """What the servers store; `--fresh` removes it."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log file per process of the running stack."""
        return self.root / "logs"

    @property
    def runfile(self) -> Path:
        """Description of the running stack: process ids, ports, addresses."""
        return self.root / "run.json"

    @property
    def author_key(self) -> Path:
        """The key of the author hashes; it outlives `--fresh`: authors stay the same ones."""
        return self.root / "author.key"

    @property
    def model_repository(self) -> Path:
        """The Triton model repository that `models.build` fills."""
        return self.root / "model_repository"


DEFAULT_PATHS = RuntimePaths()
"""The project's own run-time folder."""


def deploy_file(*parts: str) -> Path:
    """Return the path of a template below the project's `deploy/` folder."""
    return PROJECT_ROOT.joinpath("deploy", *parts)
