"""docker-compose.yml as tests see it: variables filled with their defaults, anchors merged."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?:-(?P<default>[^}]*)|\?(?P<refusal>[^}]+)))?\}")
_LOCKED = {"docker-compose", "hadolint", "shellcheck", "yamllint"}
"""Programs that come with the packages of `requirements/dev.txt`."""
_FILLED = {"GROUNDSWELL_SECRETS": "./.groundswell/secrets"}
"""What deploy/docker/make_secrets.sh says of a variable that must be given."""


@dataclass(frozen=True)
class Service:
    """One service of the file.

    Attributes:
        name: its key.
        body: what the file says of it.
    """

    name: str
    body: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.body.get("environment", {}).items()}

    @property
    def settings(self) -> dict[str, str]:
        """The variables that are Groundswell's."""
        return {k: v for k, v in self.environment.items() if k.startswith("GROUNDSWELL__")}

    @property
    def command(self) -> list[str]:
        return [str(word) for word in self.body.get("command", [])]

    @property
    def health(self) -> list[str]:
        """The command of the health check, without its `CMD`."""
        first, *rest = self.body["healthcheck"]["test"]
        assert first == "CMD"
        return [str(word) for word in rest]

    @property
    def networks(self) -> set[str]:
        return set(self.body.get("networks", []))

    @property
    def is_task(self) -> bool:
        """Whether it does one thing and ends."""
        return self.body["restart"] == "no"

    @property
    def is_ours(self) -> bool:
        """Whether it runs the program `groundswell`."""
        return self.body["image"].startswith("groundswell/app:")

    def mounts(self) -> dict[str, str]:
        """Where in the container -> what of this project or which volume is mounted there."""
        pairs = [volume.split(":") for volume in self.body.get("volumes", [])]
        return {target: source for source, target, *_ in pairs}


@dataclass(frozen=True)
class Compose:
    """The whole file.

    Attributes:
        text: as written.
        tree: parsed, every variable at its default.
        variables: name -> default of every variable; None if it has none.
        refusals: name -> what is said where a variable that must be given is not.
    """

    text: str
    tree: dict[str, Any]
    variables: dict[str, str | None] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Service]:
        return {name: Service(name, body) for name, body in self.tree["services"].items()}


def read_compose(path: Path) -> Compose:
    """Parse a compose file without Docker."""
    text = path.read_text()
    # `$$` is compose's way to write a dollar sign
    filled = _VARIABLE.sub(_fill, text).replace("$$", "$")
    variables = {found["name"]: found["default"] for found in _VARIABLE.finditer(text)}
    refusals = {f["name"]: f["refusal"] for f in _VARIABLE.finditer(text) if f["refusal"]}
    return Compose(text, yaml.safe_load(filled), variables, refusals)


def _fill(found: re.Match[str]) -> str:
    return _FILLED[found["name"]] if found["refusal"] else found["default"] or ""


@pytest.fixture(scope="session")
def compose() -> Compose:
    return read_compose(ROOT / "docker-compose.yml")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a program, also one that came with the environment the tests run in.

    Without one of the distribution's the test is skipped; one of the lock must be there.
    """
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

    def find(name: str) -> str:
        found = shutil.which(name, path=beside)
        if found is None and name in _LOCKED:
            pytest.fail(f"{name} is not installed: make setup-dev")
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find
