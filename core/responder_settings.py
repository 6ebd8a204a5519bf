"""The settings of the responder; see `core.settings`."""

from __future__ import annotations

from msgspec import Struct

from core.server_settings import NotNegative, Seconds


class ResponderSettings(Struct, frozen=True, kw_only=True):
    """Replies that a model writes to posts."""

    kind: str = "triton"
    """`triton`, or `in_process`: the same decoder without a server."""
    model: str = "responder"
    """Model name on the server `scorer.url`."""
    version: str = ""
    """Version of the model; empty is the server's choice."""
    timeout_s: Seconds = 20.0
    """A post unanswered for so long counts as model down."""
    weights: str = ""
    """Folder of the adapter and its configuration that are built; empty: shipped."""
    decoder: str = ""
    """GGUF file of the decoder, or a folder with one; empty: the package that carries it."""
    threads: NotNegative = 0
    """Inference threads of `in_process`; 0 means all cores."""
