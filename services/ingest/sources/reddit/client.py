"""The only place that knows asyncpraw: three calls, and what its errors mean here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aiohttp

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.reddit.options import RedditOptions
from services.ingest.sources.web import ended_by, read_bounded

PAGE_THINGS: Final = 100
MAX_ANSWER_BYTES: Final = 16_777_216
_PATHS: Final = {"posts": "new", "comments": "comments"}


class _BoundedAnswer(aiohttp.ClientResponse):
    """An answer that is not read beyond its bound, as small as it may be when compressed."""

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            AnswerRefused: It cannot be held.
        """
        if self._body is None:
            self._body = await read_bounded(self, MAX_ANSWER_BYTES)
        return self._body


def bounded_session(timeout_s: float) -> aiohttp.ClientSession:
    """Return a session whose answers are bounded in size and, altogether, in time."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        response_class=_BoundedAnswer,
        auto_decompress=False,
    )


class RedditClient:
    """Asks Reddit as an application without a user; asyncpraw keeps to the rate-limit headers.

    Args:
        options: The options of the source.
        secret: The secret of the application.
        http: A session; closed by whoever made it.
    """

    def __init__(self, options: RedditOptions, secret: Secret, http: aiohttp.ClientSession) -> None:
        # Here and not above: the package is an extra, and the module is looked up by name.
        import asyncpraw

        self._communities = "+".join(dict.fromkeys(options.communities))
        self._reddit = asyncpraw.Reddit(
            client_id=options.client_id,
            client_secret=secret.reveal(),
            user_agent=options.user_agent,
            reddit_url=options.reddit_url,
            oauth_url=options.oauth_url,
            check_for_updates=False,
            requestor_class=_punctual_requestor(),
            requestor_kwargs={"session": http, "timeout": options.request_timeout_s},
        )

    async def page(self, listing: str, after: str) -> Any:
        """Return the JSON of a page of a listing, newest first.

        Raises:
            SessionEnded, ConfigError: Reddit does not give it.
        """
        query: dict[str, str | int] = {"limit": PAGE_THINGS, "raw_json": 1}
        if after:
            query["after"] = after
        return await self._get(f"r/{self._communities}/{_PATHS[listing]}", query)

    async def things(self, ids: Sequence[str]) -> Any:
        """Return the JSON of things by their full names, a hundred at most.

        Raises:
            SessionEnded, ConfigError: Reddit does not give it.
        """
        return await self._get("api/info", {"id": ",".join(ids), "raw_json": 1})

    async def _get(self, path: str, query: dict[str, str | int]) -> Any:
        from asyncprawcore import exceptions

        try:
            return await self._reddit.request(method="GET", path=path, params=query)
        except exceptions.OAuthException as error:
            raise _refused() from error
        except exceptions.ResponseException as error:
            raise _ended(error) from error
        except exceptions.RequestException as error:
            raise _broken(error.original_exception) from error
        except exceptions.AsyncPrawcoreException as error:
            raise SessionEnded("network", type(error).__name__) from error


def _refused() -> ConfigError:
    return ConfigError(
        "reddit: Reddit refused the application: expected the option `client_id` and the setting "
        "`ingest.source_secret` as registered"
    )


def _punctual_requestor() -> Any:
    """Return a requestor class that keeps to its own `timeout`, as nothing else is asked for.

    asyncpraw's setting of that name reaches no request: each comes with a constant of 16 s.
    """
    from asyncprawcore import Requestor

    class Punctual(Requestor):
        def request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
            return super().request(*args, timeout=self.timeout, **kwargs)

    return Punctual


def _broken(error: BaseException) -> SessionEnded:
    if isinstance(error, SessionEnded):
        return error
    if isinstance(error, TimeoutError):
        return SessionEnded("stalled", "the answer did not come in time")
    return SessionEnded("network", type(error).__name__)


def _ended(error: Any) -> SessionEnded | ConfigError:
    status = getattr(error.response, "status", 0)
    if status == 401:
        return _refused()
    asked = getattr(error, "retry_after", None)
    return ended_by(status, float(asked) if isinstance(asked, int | float) else None)
