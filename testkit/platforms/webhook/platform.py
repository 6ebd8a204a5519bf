"""The webhook's part in the shared checks of network sources: a sender that means it."""

from __future__ import annotations

import http.client
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from core.clock import Clock, SystemClock
from core.settings import Secret
from services.ingest.sources.webhook.source import WebhookSource
from services.local.ports import reserved_port
from testkit.checks.source_reader import FAST_LIMITS, SourceReader
from testkit.platforms.site import PATIENCE_S, wait_for
from testkit.platforms.webhook.client import WebhookClient

BATCH: Final = 50
STANDARD_KEY: Final = Secret("whsec_" + "A" * 32)
OLD_KEY: Final = Secret("a-key-for-tests-only")
_HALF_A_REQUEST: Final = b"POST /v1/posts HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"


class WebhookPlatform:
    """Sends in order, in a thread, each request again until it is accepted.

    A request that was taken but not yet acknowledged (503) does not hold up the next one; one that
    was not taken does. `can_replay`: what was not accepted is sent again, also after a restart.
    """

    can_replay = True

    def __init__(self, port: int) -> None:
        self.port = port
        self.secret = STANDARD_KEY.reveal()
        self._client = WebhookClient(f"http://127.0.0.1:{port}", Secret(self.secret))
        self._numbers = itertools.count()
        self._requests = itertools.count()
        self._waiting: dict[str, Any] = {}
        self._taken: tuple[str, Any] | None = None
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self.accepted = 0
        self._hung_up = 0
        self._impatient = 0
        self._thread = threading.Thread(target=self._send_all, name="sender", daemon=True)
        self._thread.start()

    def options(self) -> Mapping[str, Any]:
        """Return options that listen where this sender sends."""
        return {"port": self.port, "acknowledge_timeout_s": 0.5, "limits": FAST_LIMITS}

    def publish(self, count: int) -> Sequence[str]:
        """Have posts sent."""
        ids = [f"p{next(self._numbers)}" for _ in range(count)]
        with self._lock:
            for start in range(0, count, BATCH):
                batch = [{"id": i, "author": "ana", "text": i} for i in ids[start : start + BATCH]]
                self._waiting[f"r{next(self._requests)}"] = {"posts": batch}
        return ids

    def publish_bad(self) -> int:
        """Send bodies that are refused."""
        bad = [b"{", {"posts": [{"id": 7}]}]
        for body in bad:
            while self._client.send(body).status != 400:
                time.sleep(0.01)
        return len(bad)

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: bodies of one account; the ids of requests name it, too."""
        post = {"id": "p1", "author": author, "text": text, "url": f"https://x.test/@{author}"}
        like = {"kind": "like", "post_id": "p1", "author": author}
        whole = {"posts": [post]}
        encoded = msgspec.json.encode(whole)

        def in_place_of_a_post(**fields: Any) -> Any:
            return {"posts": [post | fields]}

        bad: list[Any] = [
            encoded[:-3],
            b"[" + encoded + b"]",
            b'{"x":' * 5_000 + encoded + b"}" * 5_000,
            {author: text},
            {"posts": f"{author} {text}"},
            in_place_of_a_post(**{f"{author} - at `$.{text}`": text}),
            in_place_of_a_post(text=[text]),
            in_place_of_a_post(author={author: text}),
            in_place_of_a_post(id=f"{author} {text}" * 50),
            in_place_of_a_post(created_at=f"{author} {text}"),
            {"events": [like | {"kind": f"{author} {text}"}]},
            {"events": [like | {"kind": "edit", "lang": f"{author} {text}"[:35]}]},
            {"events": [like | {"likes": f"{author} {text}"}]},
            {"posts": [post] * 1_001},
        ]
        too_large = in_place_of_a_post(id="p2", text=text + "\u00e9" * 60_000)
        good: list[Any] = [whole, {"events": [like, like | {"kind": "edit", "text": text}]}]
        for place, body in enumerate([*good, too_large, *bad]):
            status = 202 if place <= len(good) else 400
            self._send_until(status, body, f"{author}-{place}")
        unsigned = {"webhook-signature": f"v1,{author}", "webhook-timestamp": f"{text}"}
        self._client.send(whole, author, headers=unsigned)
        self._client.send(encoded, author, headers={"Content-Encoding": author})
        return len(bad) + 1

    def _send_until(self, status: int, body: Any, request_id: str) -> None:
        """Send again until the answer is `status`; at first nobody may listen."""
        while not self._ends.is_set():
            with suppress(OSError, http.client.HTTPException):
                if self._client.send(body, request_id).status == status:
                    return
            self._ends.wait(0.02)

    @property
    def disturbances(self) -> int:
        """How often a connection was broken, or made anew."""
        return self._hung_up

    def disconnect(self) -> None:
        """Hang up in the middle of a request, as soon as somebody listens."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as line:
                    line.sendall(_HALF_A_REQUEST)
                    self._hung_up += 1
                    return
            except OSError:  # killed, and not back yet
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(0.02)

    def break_off(self, rng: random.Random) -> None:
        """Hang up in the middle of a request, or after a whole one without hearing the answer."""
        if rng.random() < 0.5:
            self.disconnect()
        else:
            self._impatient = 1

    def close(self) -> None:
        """Stop sending."""
        self._ends.set()
        self._thread.join(PATIENCE_S)

    def _send_all(self) -> None:
        while not self._ends.is_set():
            with self._lock:
                waiting = list(self._waiting.items())
            if self._impatient and not waiting and self._taken is not None:
                self._send(*self._taken)  # nothing else is there to hang up on
            for key, body in waiting:
                if self._ends.is_set() or not self._send(key, body):
                    break
            self._ends.wait(0.02)

    def _send(self, key: str, body: Any) -> bool:
        """Send one request; tell whether it was taken, so that the next one may follow it."""
        patience_s = 5.0
        if self._impatient:
            self._impatient, patience_s = 0, 0.001
            self._hung_up += 1
        try:
            answer = self._client.send(body, key, timeout_s=patience_s)
        except (OSError, http.client.HTTPException):
            return False
        if answer.status == 202:
            with self._lock:
                if self._waiting.pop(key, None) is not None:
                    self.accepted += answer.tree["accepted"]
            self._taken = (key, body)
            return True
        return answer.status == 503


@contextmanager
def running(_directory: Path) -> Iterator[WebhookPlatform]:
    """Give a running platform."""
    with reserved_port() as port:
        platform = WebhookPlatform(port)
        try:
            yield platform
        finally:
            platform.close()


class Receiver:
    """A webhook that listens, its items polled in a thread as the runner would.

    Args:
        directory: Its state.
        cursor: Where it goes on.
        secret: The keys it knows, one a line.
        clock: What its time is, and that of the senders.
        options: Further ones of the source.
    """

    def __init__(
        self, directory: Path, cursor: Any = None, *, secret: str = STANDARD_KEY.reveal(),
        clock: Clock | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.clock = clock or SystemClock()
        # Time-outs of the source are short only where they are what is tested.
        given = {"port": 0, "body_timeout_s": 60.0, "acknowledge_timeout_s": 60.0} | options
        self.reader = SourceReader("webhook", given, directory, secret=secret, clock=self.clock)
        self.reader.open(cursor)
        source = self.reader.source
        if not isinstance(source, WebhookSource):
            raise TypeError("the source webhook is another one")
        self.source = source
        wait_for(lambda: source.port > 0)
        self.port = source.port
        self.client = self.sender(Secret(secret.split()[0]))
        self.turn = threading.Lock()
        """Whoever has it may poll."""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def sender(self, key: Secret, skew_s: float = 0.0) -> WebhookClient:
        """Return a sender whose clock is so far ahead."""
        url = f"http://127.0.0.1:{self.port}"
        return WebhookClient(url, key, lambda: self.clock.now().timestamp() + skew_s)

    def outcomes(self, scheme: str = "standard") -> Mapping[str, float]:
        """Return how many requests came to what."""
        return {
            sample.labels["outcome"]: sample.value
            for family in self.reader.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "groundswell_webhook_requests_total"
            and sample.labels["scheme"] == scheme
        }

    def _poll(self) -> None:
        while not self._ends.wait(0.005):  # a moment in which the turn may be taken
            with self.turn:
                self.reader.poll()

    def close(self) -> None:
        """Stop listening and polling."""
        self._ends.set()
        self._thread.join()
        self.source.close()


Receiving: TypeAlias = Callable[..., Receiver]
