"""A stand-in for Grafana: reads what Grafana reads at its start, and refuses what Grafana refuses.

It runs in a container of its own (`grafana.Dockerfile`), on the standard library and PyYAML alone.
What it answers: `/api/health`, `/metrics`, and with the administrator's password `/api/search`,
`/api/dashboards/uid/UID` and `/api/datasources/uid/UID/health`, which asks the data source.
It draws nothing and evaluates no query of a panel.
"""

import base64
import hmac
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

_PORT = 3000
_UID = re.compile(r"[a-zA-Z0-9\-_]{1,40}")
_ACCESS = ("proxy", "direct")
_KNOWN_TYPES = {"prometheus": "/-/ready", "alertmanager": "/-/ready"}
_BUILT_IN = {"-- Grafana --", "-- Mixed --", "-- Dashboard --", "grafana"}
_ASK_TIMEOUT_S = 5.0


class Refused(Exception):
    """Grafana would not start with this, or would not load it; the message names the file."""


@dataclass(frozen=True)
class Provisioned:
    """What the provisioning files give.

    Attributes:
        sources: The data sources by their uid.
        dashboards: The dashboards by their uid.
    """

    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)


def setting(environment: Mapping[str, str], name: str, default: str = "") -> str:
    """Return a setting that may stand in a file (`NAME__FILE`).

    Raises:
        Refused: It is given twice, or its file cannot be read or is empty.
    """
    named = environment.get(f"{name}__FILE")
    if named is None:
        return environment.get(name, default)
    if environment.get(name):
        raise Refused(f"both {name} and {name}__FILE are set: they are exclusive")
    try:
        found = Path(named).read_text().strip()
    except OSError as error:
        raise Refused(f"{name}__FILE: {error}") from error
    if not found:
        raise Refused(f"{name}__FILE: {named} is empty")
    return found


def read_provisioning(folder: Path) -> Provisioned:
    """Read the data sources and the dashboards below a provisioning folder.

    Raises:
        Refused: Grafana would refuse one of the files.
    """
    sources = _read_sources(folder / "datasources")
    dashboards: dict[str, dict[str, Any]] = {}
    titles: set[tuple[str, str]] = set()
    names: set[str] = set()
    for path, provider in _entries(folder / "dashboards", "providers"):
        name = provider.get("name", "")
        if not name or name in names:
            raise Refused(f"{path}: a provider needs a name of its own, not {name!r}")
        names.add(name)
        place = Path(str((provider.get("options") or {}).get("path", "")))
        if provider.get("type", "file") != "file" or not place.is_dir():
            raise Refused(f"{path}: {name}: type file and a folder that exists, not {place}")
        for file in sorted(place.glob("**/*.json")):
            board = _read_dashboard(file, sources)
            title = (str(provider.get("folder", "")), board["title"])
            if board["uid"] in dashboards or title in titles:
                raise Refused(f"{file}: uid or title is that of another dashboard")
            titles.add(title)
            dashboards[board["uid"]] = board
    return Provisioned(sources, dashboards)


def _entries(folder: Path, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield what the files of a kind of provisioning list."""
    for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]):
        try:
            tree = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise Refused(f"{path}: {error}") from error
        if not isinstance(tree, dict) or tree.get("apiVersion") != 1:
            raise Refused(f"{path}: apiVersion: 1 is expected")
        for entry in tree.get(key) or []:
            if not isinstance(entry, dict):
                raise Refused(f"{path}: {key} holds {entry!r}")
            yield path, entry


def _read_sources(folder: Path) -> dict[str, dict[str, Any]]:
    sources: dict[str, dict[str, Any]] = {}
    for path, source in _entries(folder, "datasources"):
        uid, name = str(source.get("uid", "")), source.get("name", "")
        if not name or not _UID.fullmatch(uid):
            raise Refused(f"{path}: a data source needs a name and a valid uid, not {uid!r}")
        if source.get("type") not in _KNOWN_TYPES:
            raise Refused(f"{path}: {name}: no plugin for the type {source.get('type')!r}")
        if source.get("access") not in _ACCESS:
            raise Refused(f"{path}: {name}: access is one of {', '.join(_ACCESS)}")
        if uid in sources or name in {other["name"] for other in sources.values()}:
            raise Refused(f"{path}: {name}: name or uid is that of another data source")
        if source.get("isDefault") and any(other.get("isDefault") for other in sources.values()):
            raise Refused(f"{path}: only one data source can be marked as default")
        sources[uid] = source
    return sources


def _read_dashboard(path: Path, sources: Mapping[str, Any]) -> dict[str, Any]:
    try:
        board = json.loads(path.read_text())
    except ValueError as error:
        raise Refused(f"{path}: {error}") from error
    if not isinstance(board, dict) or not str(board.get("title", "")).strip():
        raise Refused(f"{path}: a dashboard's title cannot be empty")
    if not _UID.fullmatch(str(board.get("uid", ""))):
        raise Refused(f"{path}: uid {board.get('uid')!r} is not valid")
    if board.get("id") is not None:
        raise Refused(f"{path}: a provisioned dashboard has no id of its own")
    for named in _named_sources(board):
        if named not in sources and named not in _BUILT_IN and not named.startswith("$"):
            raise Refused(f"{path}: data source {named} was not found")
    return board


def _named_sources(node: Any) -> Iterator[str]:
    """Yield the uids of the data sources that a dashboard names anywhere."""
    if isinstance(node, dict):
        source = node.get("datasource")
        if isinstance(source, dict) and source.get("uid"):
            yield str(source["uid"])
        for child in node.values():
            yield from _named_sources(child)
    elif isinstance(node, list):
        for child in node:
            yield from _named_sources(child)


def handler(given: Provisioned, password: str) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers requests."""
    expected = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/api/health":
                self._json(200, {"database": "ok", "version": "stand-in"})
            elif self.path == "/metrics":
                self._send(200, "text/plain; version=0.0.4", b"grafana_build_info 1\n")
            elif not hmac.compare_digest(self.headers.get("Authorization", ""), expected):
                self._json(401, {"message": "Unauthorized"})
            else:
                self._json(*_answer(given, self.path))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: health checks ask every few seconds."""

        def _json(self, status: int, body: Any) -> None:
            self._send(status, "application/json", json.dumps(body).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Answers


def _answer(given: Provisioned, path: str) -> tuple[int, Any]:
    """Return status and body of an authorised request."""
    if path == "/api/search":
        boards = given.dashboards
        return 200, [{"uid": uid, "title": board["title"]} for uid, board in boards.items()]
    if board := re.fullmatch(r"/api/dashboards/uid/([\w-]+)", path):
        if board[1] in given.dashboards:
            return 200, {"dashboard": given.dashboards[board[1]]}
    elif (asked := re.fullmatch(r"/api/datasources/uid/([\w-]+)/health", path)) and (
        source := given.sources.get(asked[1])
    ):
        address = source["url"].rstrip("/") + _KNOWN_TYPES[source["type"]]
        try:
            with urllib.request.urlopen(address, timeout=_ASK_TIMEOUT_S) as reply:  # noqa: S310
                return 200, {"status": "OK", "message": reply.read().decode()[:200]}
        except (urllib.error.URLError, OSError) as error:
            return 400, {"status": "ERROR", "message": str(error)}
    return 404, {"message": "Not found"}


def main(environment: Mapping[str, str]) -> None:
    """Load everything and serve for good.

    Raises:
        Refused: Grafana would not have started.
    """
    password = setting(environment, "GF_SECURITY_ADMIN_PASSWORD", "admin")
    given = read_provisioning(Path(environment["GF_PATHS_PROVISIONING"]))
    database = Path(environment.get("GF_PATHS_DATA", "/var/lib/grafana"), "grafana.db")
    try:
        if database.exists():  # a later start: the password of the first one holds
            password = database.read_text()
        else:
            database.write_text(password)
            database.chmod(0o600)
    except OSError as error:
        raise Refused(f"data: {error}") from error
    sys.stderr.write(f"{len(given.sources)} data sources, {len(given.dashboards)} dashboards\n")
    ThreadingHTTPServer(("", _PORT), handler(given, password)).serve_forever()


if __name__ == "__main__":
    try:
        main(os.environ)
    except Refused as refused:
        sys.exit(f"grafana: {refused}")
