"""The console is compared with the plain program to the integer, and asked as people ask it."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from testkit.compose import console as module
from testkit.compose.console import Console, check_console, find_window_faults
from testkit.compose.failures import ComposeTestFailed

NAMES = ("posts", "participation_posts", "participation_none", "problem_posts")
START = "1970-01-01T00:01:00Z"

HEALTH = {"status": "ok", "role": "operator", "version": "local"}


def row(posts=30, participation=None, *, start=START, whole=True, **counters):
    shown = {"posts": posts, "problem_posts": 30, **counters}
    if participation is not None:
        shown |= {"participation_posts": participation, "participation_none": 7}
    return {"start": start, "posts": posts, "whole": whole, "counters": shown}


def plain(posts=30, participation=30, *, most=None, start_s=60):
    least = [posts, participation, 7, 30]
    return ["all", start_s, least, [posts if most is None else most, *least[1:]]]


def faults(due, rows):
    return list(find_window_faults(NAMES, due, rows))


def test_equal_windows_have_no_fault():
    assert faults([plain()], [row(30, 30)]) == []
    assert faults([plain(30, 30, most=31)], [row(31, 30)]) == []
    assert faults([plain(participation=19)], [row(30)]) == []
    assert faults([plain(posts=0)], []) == []  # of posts that were all deleted
    assert faults([], [row(0)]) == []


@pytest.mark.parametrize(
    ("due", "rows", "said"),
    [
        ([plain()], [], "all at 60: the console has no such window"),
        ([plain()], [row(31, 30)], "the console has posts 31, not 30 to 30"),
        ([plain()], [row(30)], "the console has participation_posts None, not 30 to 30"),
        ([plain(participation=19)], [row(30, 19)], "shows participation_posts of so few"),
        ([plain()], [row(30, 30, whole=False)], "says that it is not whole"),
        ([], [row()], "60: the console has a window that is not due, of 30 posts"),
    ],
)
def test_each_difference_is_said(due, rows, said):
    assert said in faults(due, rows)[0]


KEY = f"gw_0123456789ab_{'5' * 43}"


@contextmanager
def served(monkeypatch, **changes):
    """Serve what a console answers, with changes: (method, path, who asks) -> the answer."""
    good = {
        ("GET", "/api/v1/health", "key"): (200, HEALTH),
        ("GET", "/now", "cookie"): (200, "deployment, operator"),
        ("POST", "/sign-in", "key"): (303, ""),
        ("GET", "/api/v1/alerts/a1", "key"): (200, {"query": "all"}),
        ("GET", "/alerts/a1", "cookie"): (200, "Evidence Windows around it"),
        ("GET", "/healthz", "other"): (400, ""),
    } | changes.pop("answers", {})

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(self._who())

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer("key" if KEY in body else "nobody")

        def _who(self):
            if self.headers["Host"] == "other.example":
                return "other"
            if self.headers.get("Cookie") == "session=1":
                return "cookie"
            return "key" if self.headers.get("Authorization") == f"Bearer {KEY}" else "nobody"

        def _answer(self, who):
            status, said = good.get((self.command, self.path, who), (401, ""))
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            if status == 303:
                self.send_header("location", "/now")
                self.send_header("set-cookie", "session=1; HttpOnly")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        monkeypatch.setitem(module.PORTS, "CONSOLE", server.server_port)
        monkeypatch.setattr(module, "CONSOLE", f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Stack:
    console_key = KEY


def test_a_console_that_lets_in_who_may_and_nobody_else_is_well(monkeypatch):
    with served(monkeypatch):
        check_console(Stack())
        Console(KEY).check_alert(f"{module.CONSOLE}/alerts/a1", "all")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({("GET", "/api/v1/health", "key"): (503, "")}, "/api/v1/health: 503"),
        ({("GET", "/api/v1/health", "key"): (200, HEALTH | {"role": "viewer"})}, "viewer"),
        (
            {("GET", "/api/v1/health", "key"): (200, HEALTH | {"version": "not installed"})},
            "not installed",
        ),
        ({("POST", "/sign-in", "key"): (403, "")}, "/sign-in with a key: 403"),
        ({("GET", "/now", "cookie"): (200, "somebody")}, "first page"),
        ({("GET", "/api/v1/queries", "nobody"): (200, "")}, "200, not 401"),
        ({("GET", "/now", "nobody"): (200, "")}, "200, not 401"),
        ({("GET", "/healthz", "other"): (200, "")}, "200, not 400"),
    ],
)
def test_a_console_that_lets_in_the_wrong_ones_or_nobody_is_found(monkeypatch, answers, said):
    with served(monkeypatch, answers=answers), pytest.raises(ComposeTestFailed, match=said):
        check_console(Stack())


@pytest.mark.parametrize(
    ("path", "answers", "said"),
    [
        ("/d/groundswell-conversation", {}, "leads to"),
        (
            "/alerts/a1",
            {("GET", "/api/v1/alerts/a1", "key"): (200, {"query": "b"})},
            "not an alert",
        ),
        ("/alerts/a1", {("GET", "/alerts/a1", "cookie"): (200, "")}, "no page of an alert"),
        ("/alerts/a2", {}, "/api/v1/alerts/a2: 401"),
    ],
)
def test_a_link_that_leads_elsewhere_is_found(monkeypatch, path, answers, said):
    with served(monkeypatch, answers=answers), pytest.raises(ComposeTestFailed, match=said):
        Console(KEY).check_alert(f"{module.CONSOLE}{path}", "all")


def test_windows_are_asked_query_by_query(monkeypatch):
    path = "/api/v1/queries/all/windows?format=jsonl"
    lines = f"{json.dumps(row(30, 30))}\n"
    with served(monkeypatch, answers={("GET", path, "key"): (200, lines)}):
        assert Console(KEY).check_windows(NAMES, [plain()]) == 1
        with pytest.raises(ComposeTestFailed, match="posts 30, not 31"):
            Console(KEY).check_windows(NAMES, [plain(31)])
        with pytest.raises(ComposeTestFailed, match="has no window"):
            Console(KEY).check_windows(NAMES, [])
