"""The console as it is published: who comes in, where alerts lead, and the numbers it shows."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from testkit.compose.failures import ComposeTestFailed
from testkit.compose.stack import PORTS, Stack

CONSOLE: Final = f"http://127.0.0.1:{PORTS['CONSOLE']}"
_TIMEOUT_S: Final = 60.0
_LEAST_POSTS: Final = 20
_OF_GROUPS: Final = ("participation", "problem")
"""What is said of a group is said to nobody for fewer posts (docs/console.md)."""
PlainWindow = Sequence[Any]
"""The query, the start in seconds since 1970, the least and the most of each counter."""


@dataclass(frozen=True)
class Reply:
    """What the console answered.

    Attributes:
        status: Of HTTP.
        headers: By name.
        text: The body.
    """

    status: int
    headers: Mapping[str, str]
    text: str


def ask(path: str, told: str | None = None, **headers: str) -> Reply:
    """Ask the published port once; follow nothing.

    Args:
        path: With a query, if there is one.
        told: A form that is sent; None reads.
        headers: By name, with `_` for `-`.

    Raises:
        ComposeTestFailed: There is no answer.
    """
    words = {name.replace("_", "-"): value for name, value in headers.items()}
    if told is not None:
        words |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": CONSOLE}
    line = http.client.HTTPConnection("127.0.0.1", PORTS["CONSOLE"], timeout=_TIMEOUT_S)
    try:
        line.request("GET" if told is None else "POST", path, told, words)
        reply = line.getresponse()
        return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
    except (OSError, http.client.HTTPException) as error:
        raise ComposeTestFailed(f"{CONSOLE}{path}: {error!r}") from error
    finally:
        line.close()


class Console:
    """The console, for whoever has a key."""

    def __init__(self, key: str) -> None:
        """Ask nothing yet."""
        self._key = key

    def data(self, path: str) -> str:
        """Return what the API answers.

        Raises:
            ComposeTestFailed: It does not answer with status 200.
        """
        return _well(f"/api/v1{path}", ask(f"/api/v1{path}", Authorization=f"Bearer {self._key}"))

    def health(self) -> dict[str, Any]:
        """Return what the API says of store and broker.

        Raises:
            ComposeTestFailed: One does not answer.
        """
        return json.loads(self.data("/health"))

    def sign_in(self) -> str:
        """Return the cookie of a browser that came by the form with the key.

        Raises:
            ComposeTestFailed: It was not let in.
        """
        reply = ask("/sign-in", urllib.parse.urlencode({"key": self._key, "again": "/now"}))
        cookie = reply.headers.get("set-cookie", "")
        if (reply.status, reply.headers.get("location")) != (303, "/now") or not cookie:
            raise ComposeTestFailed(f"/sign-in with a key: {reply.status}, {reply.text[-300:]}")
        return cookie.partition(";")[0]

    def check_alert(self, link: str, query: str) -> None:
        """Follow the link of an alert to its page.

        Raises:
            ComposeTestFailed: It leads elsewhere, or to no alert of this query.
        """
        path = link.removeprefix(CONSOLE)
        if not path.startswith("/alerts/"):
            raise ComposeTestFailed(f"the link of an alert leads to {link!r}")
        if json.loads(self.data(path))["query"] != query:
            raise ComposeTestFailed(f"{link} is not an alert of {query}")
        page = _well(path, ask(path, Cookie=self.sign_in()))
        if "Windows around it" not in page or "Evidence" not in page:
            raise ComposeTestFailed(f"{link} is no page of an alert:\n{page[-1_000:]}")

    def check_windows(self, counters: Sequence[str], plain: Iterable[PlainWindow]) -> int:
        """Compare every window that the API has with the plain program's; return how many.

        Raises:
            ComposeTestFailed: With the first that differ, or if there is none.
        """
        due: dict[str, list[PlainWindow]] = {}
        for window in plain:
            due.setdefault(window[0], []).append(window)
        faults = [] if due else ["the plain program has no window"]
        for query, windows in due.items():
            lines = self.data(f"/queries/{query}/windows?format=jsonl").splitlines()
            faults += find_window_faults(counters, windows, map(json.loads, lines))
        if faults:
            raise ComposeTestFailed("\n".join(faults[:20]))
        return sum(map(len, due.values()))


def find_window_faults(
    counters: Sequence[str], due: Iterable[PlainWindow], rows: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what is wrong with the windows of one query.

    Args:
        counters: The names of the counters in the plain program's order.
        due: The windows of the plain program.
        rows: The windows of the API.
    """
    shown = {_start_s(row["start"]): row for row in rows}
    for query, start_s, least, most in due:
        row = shown.pop(start_s, None)
        if row is None:
            if least[0]:
                yield f"{query} at {start_s}: the console has no such window"
            continue
        if not row["whole"]:
            yield f"{query} at {start_s}: the console says that it is not whole"
        bounds = dict(zip(counters, zip(least, most, strict=True), strict=True))
        for name, (low, high) in bounds.items():
            value, head = row["counters"].get(name), name.partition("_")[0]
            group = bounds[f"{head}_posts"] if head in _OF_GROUPS else (_LEAST_POSTS, _LEAST_POSTS)
            if value is None and group[0] < _LEAST_POSTS:
                continue
            if value is not None and group[1] < _LEAST_POSTS:
                yield f"{query} at {start_s}: the console shows {name} of so few"
            elif value is None or not low <= value <= high:
                yield f"{query} at {start_s}: the console has {name} {value}, not {low} to {high}"
    for start_s, row in shown.items():
        if row["posts"]:
            yield f"{start_s}: the console has a window that is not due, of {row['posts']} posts"


def _start_s(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def make_key(stack: Stack, name: str, role: str) -> str:
    """Return a key that is made as docs/compose.md says.

    Raises:
        ComposeTestFailed: It cannot be made.
    """
    words = ("groundswell", "console", "keys", "add", name, "--role", role)
    return stack("exec", "--no-TTY", "console", *words).strip()


def check_console(stack: Stack) -> None:
    """Come in with the key of the secrets, and be kept out without.

    Raises:
        ComposeTestFailed: Somebody is kept out who may come in, or let in who may not.
    """
    console = Console(stack.console_key)
    health = console.health()
    is_well = (health["status"], health["role"]) == ("ok", "operator")
    if not is_well or health["version"] == "not installed":
        raise ComposeTestFailed(f"the console says of itself {health}")
    now = _well("/now", ask("/now", Cookie=console.sign_in()))
    if "deployment, operator" not in now:
        raise ComposeTestFailed(f"the console's first page:\n{now[-1_000:]}")
    wrong = f"{stack.console_key[:-1]}-"
    for path, headers, status in (
        ("/api/v1/queries", {}, 401),
        ("/api/v1/queries", {"Authorization": f"Bearer {wrong}"}, 401),
        ("/now", {"Cookie": "groundswell_session=none"}, 401),
        # Another site's name that leads to this machine.
        ("/healthz", {"Host": "other.example"}, 400),
    ):
        if (reply := ask(path, **headers)).status != status:
            raise ComposeTestFailed(f"{path} with {headers}: {reply.status}, not {status}")


def _well(path: str, reply: Reply) -> str:
    if reply.status != 200:
        raise ComposeTestFailed(f"{CONSOLE}{path}: {reply.status}\n{reply.text[-500:]}")
    return reply.text
