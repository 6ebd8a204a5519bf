"""Who signed a request, what the signature covers, and its body, read to a bound and no further.

Standard Webhooks (https://www.standardwebhooks.com): the id, the time and the body are signed, by
the library `standardwebhooks`. Its `verify` is not used: it asks the wall clock, its tolerance is
fixed, it reads `1e9` as a time, ignores what is no base64 and raises whatever a malformed header
makes it raise. What is here reads the headers strictly, with our clock, and leaves the signing to
it.

The scheme of before signed the time and the body only. It goes with the next release.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from aiohttp import web
from msgspec import Struct
from standardwebhooks import Webhook

from core.errors import ConfigError
from core.settings import Secret

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
OLD_ID_HEADER: Final = "Idempotency-Key"
OLD_TIMESTAMP_HEADER: Final = "X-Groundswell-Timestamp"
OLD_SIGNATURE_HEADER: Final = "X-Groundswell-Signature"

STANDARD_PREFIX: Final = "whsec_"
_STANDARD_KEY_BYTES: Final = range(24, 65)
MIN_OLD_KEY_CHARS: Final = 16
_MAX_SIGNATURES: Final = 8
# No full stop: it is what divides the parts that are signed, and another id and time would have
# the same signature.
_ID: Final = re.compile(r"[!-\-/-~]{1,200}")
_TIME: Final = re.compile(r"[0-9]{1,11}")
_OLD_SCHEME: Final = "sha256="

Scheme: TypeAlias = Literal["standard", "old"]
AllOf: TypeAlias = Callable[[str], Sequence[str]]
"""Header -> all its values."""


class WrongField(Struct, frozen=True):
    """Why a request cannot be taken; says nothing of what it carries.

    Attributes:
        field: Where, such as a header or `posts[3].text`; "" for the whole of it.
        expected: What was expected there.
    """

    field: str
    expected: str


class Claim(Struct, frozen=True):
    """What a request's headers say of it; nothing of it is true before `is_signed`.

    Attributes:
        scheme: Which one signed it.
        id: The sender's id of the request; signed by the standard scheme only, "" if there is none.
        at_s: When it was signed, seconds since 1970.
        signatures: Any good one of them will do: a sender that changes its key sends two.
    """

    scheme: Scheme
    id: str
    at_s: int
    signatures: tuple[str, ...]


class Keys(Struct, frozen=True):
    """The keys that requests may be signed by; a key serves one scheme and no other."""

    standard: tuple[Webhook, ...]
    old: tuple[Secret, ...]


def read_keys(text: str) -> Keys:
    """Return the keys of a text that has one a line.

    Raises:
        ConfigError: One of them is no key; which one is not said by its content.
    """
    standard: list[Webhook] = []
    old: list[Secret] = []
    for place, key in enumerate(text.split(), start=1):
        if key.startswith(STANDARD_PREFIX):
            standard.append(Webhook(_standard_key(key, place)))
        elif len(key) < MIN_OLD_KEY_CHARS:
            raise ConfigError(
                f"webhook: signing key {place} is no whsec_ key and has under {MIN_OLD_KEY_CHARS} "
                "characters"
            )
        else:
            old.append(Secret(key))
    return Keys(tuple(standard), tuple(old))


def _standard_key(key: str, place: int) -> bytes:
    """Return the bytes of a `whsec_` key; the library would take any text for one."""
    encoded = key.removeprefix(STANDARD_PREFIX).rstrip("=")
    try:
        found = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) not in _STANDARD_KEY_BYTES:
        raise ConfigError(
            f"webhook: signing key {place}: expected whsec_ and base64 of 24 to 64 bytes, such as "
            '"whsec_$(head -c 32 /dev/urandom | base64)"'
        )
    return found


def sign(key: Secret, request_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a request, by the scheme that the key is of.

    Args:
        key: Shared with the receiver.
        request_id: The same for every attempt at one request; may be "" with a key of before.
        at_s: Seconds since 1970.
        body: The request's body; UTF-8 where the scheme is the standard one.

    Example:
        >>> sign(Secret("whsec_" + 32 * "A"), "r1", 0, b"{}")["webhook-signature"][:14]
        'v1,pRBUKcXxHPL'
    """
    text = key.reveal()
    if text.startswith(STANDARD_PREFIX):
        return {
            ID_HEADER: request_id,
            TIMESTAMP_HEADER: str(at_s),
            SIGNATURE_HEADER: _signed(Webhook(_standard_key(text, 1)), request_id, at_s, body),
        }
    headers = {OLD_TIMESTAMP_HEADER: str(at_s), OLD_SIGNATURE_HEADER: _old_signed(key, at_s, body)}
    return headers | ({OLD_ID_HEADER: request_id} if request_id else {})


def read_claim(all_of: AllOf) -> Claim | WrongField:
    """Return what the headers say; a header that stands there twice says nothing."""
    if any(all_of(name) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)):
        return _read(
            "standard", all_of, (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER), " ", needs_id=True
        )
    old = (OLD_ID_HEADER, OLD_TIMESTAMP_HEADER, OLD_SIGNATURE_HEADER)
    if all_of(OLD_TIMESTAMP_HEADER) or all_of(OLD_SIGNATURE_HEADER):
        return _read("old", all_of, old, ",", needs_id=False)
    return WrongField(SIGNATURE_HEADER, "expected a signed request")


def _read(
    scheme: Scheme, all_of: AllOf, names: tuple[str, str, str], divider: str, *, needs_id: bool
) -> Claim | WrongField:
    values: list[str] = []
    for name in names:
        found = all_of(name)
        is_needed = needs_id or name != names[0]
        if len(found) > 1 or (is_needed and not found):
            return WrongField(name, "expected this header once")
        values.append(found[0] if found else "")
    request_id, at, signatures = values
    if needs_id and not _ID.fullmatch(request_id):
        return WrongField(names[0], "expected 1 to 200 visible ASCII characters and no full stop")
    if len(request_id) > 200 or not request_id.isprintable():
        return WrongField(names[0], "expected at most 200 printable characters")
    if not _TIME.fullmatch(at):
        return WrongField(names[1], "expected seconds since 1970")
    given = tuple(one.strip() for one in signatures.split(divider) if one.strip())
    if not 0 < len(given) <= _MAX_SIGNATURES:
        return WrongField(names[2], f"expected 1 to {_MAX_SIGNATURES} signatures")
    return Claim(scheme, request_id, int(at), given)


def is_signed(claim: Claim, body: bytes, keys: Keys) -> bool:
    """Tell whether one of the keys signed this; compares in constant time."""
    if claim.scheme == "standard":
        try:
            body.decode()
        except UnicodeDecodeError:  # it cannot be signed by the library, nor be JSON
            return False
        wanted = [_signed(key, claim.id, claim.at_s, body) for key in keys.standard]
    else:
        wanted = [_old_signed(key, claim.at_s, body) for key in keys.old]
    is_good = False
    for expected in wanted:
        for one in claim.signatures:
            is_good |= hmac.compare_digest(expected.encode(), one.encode("utf-8", "replace"))
    return is_good


def names_of(claim: Claim, body: bytes) -> tuple[bytes, ...]:
    """Return what a request is known by when it comes again, whatever its unsigned headers say.

    The first of them is signed. Of the standard scheme it is the id. Of the one before it is the
    time and the body; the second is the key, by which an honest sender means the same request
    signed anew. Hashes, because senders may put anything into an id.
    """
    if claim.scheme == "standard":
        return (_name(b"standard", claim.id.encode()),)
    return (
        _name(b"old", b"%d." % claim.at_s + body),
        old_key_name(claim.id or f"body:{hashlib.sha256(body).hexdigest()}"),
    )


def old_key_name(key: str) -> bytes:
    """Return the name that an idempotency key gives a request of the scheme of before."""
    return _name(b"key", key.encode("utf-8", "replace"))


def _name(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha256(kind + b"\0" + content).digest()


def _signed(key: Webhook, request_id: str, at_s: int, body: bytes) -> str:
    return key.sign(request_id, datetime.fromtimestamp(at_s, UTC), body.decode())


def _old_signed(key: Secret, at_s: int, body: bytes) -> str:
    digest = hmac.digest(key.reveal().encode(), b"%d." % at_s + body, "sha256")
    return _OLD_SCHEME + digest.hex()


class RequestRefused(Exception):
    """A request that is not to be trusted, or not read to its end.

    Attributes:
        status: The HTTP status that says why.
        code: A word for it, also a metric label.
        expected: What was expected; says nothing of what came.
        field: Where; "" for the whole request.
    """

    def __init__(self, status: int, code: str, expected: str, field: str = "") -> None:
        super().__init__(expected)
        self.status = status
        self.code = code
        self.expected = expected
        self.field = field


async def read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    """Return the body as it was sent.

    Raises:
        RequestRefused: It is compressed, longer than `max_bytes`, or did not come in time.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "unsupported", "expected a body that is not compressed")
    too_large = RequestRefused(413, "too_large", f"expected at most {max_bytes} bytes")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > max_bytes:
                    raise too_large
                pieces.append(piece)
    except TimeoutError:
        raise RequestRefused(408, "timeout", "the body did not come in time") from None
    return b"".join(pieces)


async def pass_over(request: web.Request, max_bytes: int, timeout_s: float) -> None:
    """Read on for a while and keep nothing, so that an honest sender hears why it was refused.

    A connection that is closed while its sender is still writing loses the answer. Whoever sends
    more than `max_bytes` loses it.
    """
    left = max_bytes
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                left -= len(piece)
                if left < 0:
                    return
    except TimeoutError:
        return
